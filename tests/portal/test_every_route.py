"""Every address of the portal and the console, taken from the application itself: a new one is held to the same by being there."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from pages import TOKEN, Clock, Replayed, application, context
from starlette.routing import Route
from starlette.testclient import TestClient
from town import NOW, department, resources, uid, visit
from visiting import csrf

from hub.config import Operator
from hub.faces.portal.choosing import service_key
from hub.fhir.query import Query
from hub.store import Store

OPEN = {"/", "/logg-inn", "/tilgjengelighet", "/personvern", "/om-demoen", "/drift/logg-inn", "/static/{name}"}
"""What anybody may see or send: to make another address open is to write it here."""
MARK = "<img src=x onerror=alert(1)>\"'"
ODD = ("\0", "x" * 2000, "../../etc/passwd", "%00", "'; drop table resource; --", "å\u202e😀", "-1", "9" * 40, MARK, "{{7*7}}", "a\r\nSet-Cookie: x=y", " ", "²", "١٢")
HEADERS = {
    "cache-control": "no-store", "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


def walked(app: Any) -> list[tuple[str, str, str]]:
    """(method, address with its names, face) of every route."""
    found = []
    for route in app.routes:
        assert isinstance(route, Route), "what else is mounted would not be walked"
        face = "console" if route.path.startswith("/drift") else "portal"
        found += [(method, route.path, face) for method in sorted((route.methods or set()) - {"HEAD"})]
    assert len(found) > 60
    return found


def filled(address: str, value: str = "x") -> str:
    """The address with something in place of its names."""
    given = {"service": service_key("hjemmesykepleie"), "key": "1"}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: given.get(m[1], value), address)


class Visitor:
    """One browser, logged in."""

    def __init__(self, app: Any, face: str, who: str = "", token: str = TOKEN) -> None:
        self.client, self.face = TestClient(app, follow_redirects=False), face
        where = "/drift/logg-inn" if face == "console" else "/logg-inn"
        answer = self.client.post(where, data={"nokkel": token, "hvem": who})
        assert answer.status_code == 303, answer.text
        if answer.headers["location"] == "/velg":
            self.client.post("/velg", data={"hvem": "self", **csrf(self.client, "/velg")})
        self.csrf = csrf(self.client, "/drift" if face == "console" else "/velg")["csrf"]

    def post(self, address: str, form: dict[str, str] | None = None, **headers: str) -> Any:
        return self.client.post(address, data={"csrf": self.csrf, **(form or {})}, headers=headers)


def newest(store: Store) -> int:
    return store.write(lambda tx: tx.newest())


@pytest.fixture
def app(busy_store: Store) -> Any:
    connected: dict[str, Any] = {name: lambda *_: "" for name in ("resend", "replay", "turn", "test_notice")}
    return application(context(busy_store, Clock(), **connected | {"replay": Replayed()}))


KARI, PER = f"Patient/{uid('kari')}", f"Patient/{uid('per')}"


def test_every_form_wants_the_csrf_value_of_its_own_session(app: Any, busy_store: Store) -> None:
    visitors = {"portal": Visitor(app, "portal", KARI), "console": Visitor(app, "console")}
    others = {"portal": Visitor(app, "portal", PER), "console": Visitor(app, "console")}
    before, forms = newest(busy_store), [(address, face) for method, address, face in walked(app) if method == "POST"]
    assert len(forms) > 25
    for address, face in forms:
        one, other, path = visitors[face], others[face], filled(address)
        for form in ({}, {"csrf": ""}, {"csrf": other.csrf}, {"csrf": visitors["console" if face == "portal" else "portal"].csrf}):
            assert one.client.post(path, data=form).status_code == 403, (path, form)
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://testserver.evil.example"}):
            assert one.post(path, **headers).status_code == 403, (path, headers)
        if address in OPEN:
            anybody = TestClient(app, follow_redirects=False)
            assert anybody.post(path, headers={"origin": "https://evil.example"}).status_code == 403
    assert newest(busy_store) == before
    for one in visitors.values():
        assert one.client.get("/drift" if one.face == "console" else "/").status_code == 200, "nor was anybody logged out"


def test_every_address_but_the_open_ones_wants_a_login_of_its_own_face(app: Any, busy_store: Store) -> None:
    visitors = {"portal": Visitor(app, "portal", KARI), "console": Visitor(app, "console")}
    assert {address for _, address, _ in walked(app)} >= OPEN
    before = newest(busy_store)
    for method, address, face in walked(app):
        if address in OPEN:
            continue
        elsewhere = visitors["console" if face == "portal" else "portal"]
        (token,) = (cookie.value for cookie in elsewhere.client.cookies.jar)
        for cookies in ({}, {face: token or ""}, {face: "made-up"}, {face: "\""}):
            client = TestClient(app, follow_redirects=False, cookies=cookies)
            answer = client.request(method, filled(address))
            assert answer.status_code == 303 and answer.headers["location"].partition("?")[0] in ("/logg-inn", "/drift/logg-inn"), (method, address)
            assert answer.headers["location"].startswith("/drift") == (face == "console")
    assert newest(busy_store) == before


def test_every_answer_bears_the_headers_and_runs_no_script_of_others(app: Any) -> None:
    visitors = {"portal": Visitor(app, "portal", KARI), "console": Visitor(app, "console")}
    for method, address, face in walked(app):
        if address.startswith("/static"):
            continue
        one = visitors[face]
        for asked in (method, "DELETE", "HEAD"):
            answer = one.client.request(asked, filled(address))
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy and "*" not in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy, (asked, address)
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS, (asked, address)
            assert not re.search(r"<script(?![^>]* src=)|\son\w+=|style=\"|javascript:", answer.text), address
            assert all("httponly" in c.lower() and "samesite=lax" in c.lower() for c in answer.headers.get_list("set-cookie"))


def everything(store: Store, whose: str) -> set[str]:
    """Ids of all that is there of somebody."""
    found = set()
    for type_ in ("Appointment", "CarePlan", "Communication", "Consent", "Encounter", "ServiceRequest", "RelatedPerson", "Patient"):
        found |= {kept.id for kept in store.search(Query(type_, count=1000)).entries if whose in kept.text or kept.id == whose.partition("/")[2]}
    return found


def test_nobody_reaches_anothers_by_any_id_in_any_address_or_field(app: Any, busy_store: Store) -> None:
    per = Visitor(app, "portal", PER)
    kari, told = everything(busy_store, KARI), ("Lindemann", "Anne Berg")
    deliveries = {d.id for d in busy_store.deliveries((), "", None, 100)}
    mine = everything(busy_store, PER) - kari
    before = newest(busy_store)
    assert len(kari) > 20
    addresses = [(method, address) for method, address, face in walked(app) if face == "portal" and address not in OPEN | {"/logg-ut", "/velg"}]
    for method, address in addresses:
        if method == "GET" and "{id}" in address:
            unknown = per.client.get(filled(address, "never-was"))
            for id_ in kari | deliveries:
                answer = per.client.get(filled(address, id_))
                assert (answer.status_code, answer.text.replace(id_, "")) == (unknown.status_code, unknown.text.replace("never-was", "")), (address, id_)
        elif method == "GET":
            for name in ("besok", "fra", "dag", "id"):
                for id_ in sorted(kari)[:5]:
                    assert not any(word in per.client.get(filled(address), params={name: id_}).text for word in told)
        else:
            for id_ in sorted(kari | deliveries):
                fields = dict.fromkeys(("besok", "bestilling", "hvem", "nokkel", "id", "gjelder", "reference", "emne"), id_)
                answer = per.post(filled(address, id_), fields | {"tid": "2026-11-25T08:00:00Z", "tekst": "Hei", "grunn": "x"})
                assert answer.status_code in (303, 404, 409), (address, id_, answer.status_code)
                assert not any(word in answer.text for word in told), (address, id_)
    for id_ in kari | {"self ", "*", ""}:
        assert per.post("/velg", {"hvem": id_}).headers["location"] == "/velg"
    changed = [kept.reference for kept in busy_store.changes(before, 1000) if kept.id not in mine and KARI in kept.text]
    assert changed == []
    assert not any(word in per.client.get(path).text for path in ("/", "/tidligere", "/meldinger", "/velg", "/hvem-har-sett") for word in told)


def test_nothing_odd_in_an_address_a_query_or_a_field_is_a_fault_of_ours(app: Any) -> None:
    visitors = {"portal": Visitor(app, "portal", KARI), "console": Visitor(app, "console")}
    names = {"fra", "dag", "minutter", "besok", "stengt", "retning", "partner", "status", "feil", "flytt", "avbestill", "bestilt", "uke", "avdeling", "gjort"}
    fields = {"tid", "bestilling", "grunn", "hvem", "emne", "tekst", "nokkel", "niva", "kanal", "til", "fra", "ikke", "gjenta", "handling", "dag", "klokke",
              "avdeling", "begrunnelse", "nummer", "valg", "besok", "fravik"}
    for method, address, face in walked(app):
        if address in ("/logg-ut", "/drift/logg-ut"):
            continue
        one = visitors[face]
        for odd in ODD:
            if method == "GET":
                answers = [one.client.get(filled(address), params=dict.fromkeys(names, odd))]
            else:
                answers = [one.post(filled(address), dict.fromkeys(fields, odd)), one.post(filled(address), {odd: odd, "handling": "ny", "gjenta": "ja"})]
            if "{" in address:
                from urllib.parse import quote

                there = filled(address, quote(odd, safe=""))
                answers.append(one.client.get(there) if method == "GET" else one.post(there))
            for answer in answers:
                assert answer.status_code < 500, (method, address, odd[:20])
                assert MARK not in answer.text and MARK not in unescape(answer.headers.get("location", "")) and answer.text != "49"
                assert "x=y" not in str(answer.headers.get_list("set-cookie")) and not answer.headers.get("location", "/").startswith(("//", "http", "/\\"))


def test_what_others_wrote_is_shown_as_text(town_store: Store) -> None:
    """Names, comments, reasons, messages and departments: each is a word that an EPJ, a shop or a person can write."""
    from letters import fill

    def marked(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: f"{v[:20]} {MARK}" if isinstance(v, str) and k in ("text", "display", "family", "name", "title", "comment", "contentString", "description")
                    else [f"{n} {MARK}" for n in v] if k == "given" else marked(v) for k, v in node.items()}
        return [marked(each) for each in node] if isinstance(node, list) else node

    town_store.write(lambda tx: [tx.keep(marked(each), origin=f"test {MARK}") for each in resources()])
    town_store.write(fill)

    def spoil(tx: Any) -> None:
        for type_ in ("Communication", "Appointment", "CarePlan", "ServiceRequest"):
            for kept in tx.search(Query(type_, count=1000)).entries:
                tx.keep(marked(kept.resource), origin=f"test {MARK}")
                tx.note(kept.reference, "received", f"note {MARK}", origin=f"origin {MARK}")

    town_store.write(spoil)
    app = application(context(town_store, Clock()))
    visitors = [Visitor(app, "portal", KARI), Visitor(app, "portal", f"RelatedPerson/{uid('ola-kari')}"), Visitor(app, "console")]
    pages = shown = 0
    ids = everything(town_store, KARI) | {d.id for d in town_store.deliveries((), "", None, 100)}
    for one in visitors:
        for method, address, face in walked(app):
            if method != "GET" or face != one.face:
                continue
            for id_ in ids if "{id}" in address or "{person}" in address else {""}:
                answer = one.client.get(filled(address, id_))
                pages, shown = pages + 1, shown + ("&lt;img src=x" in answer.text)
                assert answer.status_code < 500, (address, id_)
                assert "<img src=x" not in answer.text or answer.headers["content-type"].startswith(("text/csv", "application/")), address
    assert pages > 200 and shown > 40


RIGHTS = {"/drift/bestill": "books", "/drift/brukermeldinger": "messages"}
"""Addresses that need a right of their own, with what is below them."""


@pytest.mark.parametrize("role", ["plain", "books", "messages"])
def test_every_console_address_needs_the_right_it_needs(busy_store: Store, role: str) -> None:
    import hashlib

    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    operator = Operator("vakt", digest, books=role == "books", messages=frozenset({"*"}) if role == "messages" else frozenset())
    app = application(context(busy_store, Clock(), "test", operators=(operator,)))
    one, ids = Visitor(app, "console"), everything(busy_store, KARI)
    for method, address, face in walked(app):
        needed = next((right for start, right in RIGHTS.items() if address == start or address.startswith(f"{start}/")), "")
        if face != "console" or address in OPEN | {"/drift/logg-ut"} or needed in ("", role):
            continue
        for id_ in ids if "{" in address else {""}:
            answer = one.client.get(filled(address, id_)) if method == "GET" else one.post(filled(address, id_), {"nummer": "12814512329", "handling": "ny"})
            assert answer.status_code == 404 and "Lindemann" not in answer.text, (role, address)


def test_an_operator_who_is_taken_out_of_the_settings_is_out(busy_store: Store) -> None:
    """A session lives in the database: it outlived the right that it was given on."""
    import hashlib

    operator = Operator("vakt", hashlib.sha256(TOKEN.encode()).hexdigest())
    one = Visitor(application(context(busy_store, Clock(), "test", operators=(operator,))), "console")
    assert one.client.get("/drift").status_code == 200
    later = TestClient(application(context(busy_store, Clock(), "test", operators=())), follow_redirects=False, cookies=dict(one.client.cookies))
    assert later.get("/drift").headers["location"].startswith("/drift/logg-inn")
    assert later.post("/drift/varsler", data={"csrf": one.csrf}).status_code == 303


def test_a_name_is_no_formula_in_a_spreadsheet(town_store: Store) -> None:
    booked = {**visit("booked", "per", NOW), "basedOn": [{"reference": "ServiceRequest/d1"}]}
    town_store.write(lambda tx: tx.keep(booked, origin="portal"))
    for first in "=+-@\t":
        town_store.write(lambda tx, first=first: tx.keep(department("hjemmesykepleie", f"{first}HYPERLINK(1)"), origin="test"))
        lines = Visitor(application(context(town_store, Clock())), "console").client.get("/drift/gevinst.csv").text.splitlines()
        assert any("HYPERLINK" in line for line in lines) and not any(line.lstrip('"').startswith(first) for line in lines)
