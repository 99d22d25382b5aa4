"""Files with messages in the portal, as forms without script on both databases: sent, listed, fetched; what is refused, and by whom nothing is got."""

from __future__ import annotations

import asyncio
import re
import tomllib
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from files import HOSTILE, JPEG, PDF, PNG, POLYGLOT, form, large
from hubs import World
from hypothesis import given
from hypothesis import strategies as st
from pages import application
from starlette.testclient import TestClient
from stores import audited
from visiting import csrf, text
from writing import HELLO, NURSING, as_relative, faces, fields, log_in, messages, relative, somebody

from hub.access import Scope
from hub.booking.attachments import File, Limits
from hub.config import Misconfigured
from hub.dialogue import let_go, read_limits
from hub.faces import uploads
from hub.faces.enclosing import size
from hub.faces.forms import Sent
from hub.problem import Problem, Refused
from hub.store.attachments import SIZE

NEW = "/meldinger/ny"
LINK = re.compile(r'href="(/meldinger/[^"]+/vedlegg/[^"]+)"')


def post(client: TestClient, *files: File, path: str = NEW, said: str = HELLO, **changes: str) -> Any:
    """Fills in the form there, with files, and sends it."""
    page = client.get(path).text
    return client.post(path, data=fields(page, path) | {"tekst": said} | changes, files=form(*files) or {"vedlegg": ("", b"")})


def rows(world: World, what: str = "count(*)") -> Any:
    return world.store.write(lambda tx: tx.connection.row(f"select {what} from attachment"))[0]


@pytest.mark.spec("portal.md", "P13")
def test_files_go_with_a_message_are_listed_and_come_back_as_they_were(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    page = client.get(NEW).text
    assert "Vedlegg (valgfritt) PDF, JPEG eller PNG. Høyst 5 filer, 10 MB til sammen." in text(page)
    assert 'enctype="multipart/form-data"' in page and 'aria-describedby="vedlegg-hjelp"' in page
    scan = large(3 * SIZE + 5)
    answer = post(client, File("Epikrise æøå.pdf", scan), File("sår.JPG", JPEG), File("kart.png", PNG))
    assert answer.status_code == 303, text(answer.text)
    shown = client.get(answer.headers["location"]).text
    assert "Epikrise æøå.pdf (PDF, 3,1 MB) sår.JPG (JPEG-bilde, 1 kB) kart.png (PNG-bilde, 1 kB)" in text(shown)
    links = LINK.findall(shown)
    got = [client.get(link) for link in links]
    assert [g.content for g in got] == [scan, JPEG, PNG]
    assert [g.headers["content-type"] for g in got] == ["application/pdf", "image/jpeg", "image/png"]
    (kept,) = messages(world, kari.reference)
    assert kept.text == HELLO and [file.title for file in kept.files] == ["Epikrise æøå.pdf", "sår.JPG", "kart.png"]
    resource = world.store.get("Communication", kept.id)
    assert resource is not None and len(resource.text) < 3000 and '"data"' not in resource.text, "a page of messages never loads the bytes"
    assert not any("Epikrise" in link or ".pdf" in link for link in links)


def test_what_is_kept_is_encrypted_in_pieces_with_its_message(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    post(client, File("brev.pdf", large(2 * SIZE + 1)))
    every = world.store.write(lambda tx: tx.connection.rows("select id, number, message, size, body from attachment order by number"))
    (kept,) = messages(world, kari.reference)
    assert [(row[0], row[1], row[2], row[3]) for row in every] == [(kept.files[0].id, n, kept.id, 2 * SIZE + 1) for n in range(3)]
    assert all(b"%PDF" not in bytes(row[4]) and b"Catalog" not in bytes(row[4]) for row in every)
    world.store.prune(world.clock.now + timedelta(days=4000))
    assert world.store.attachments.body(kept.files[0].id) == large(2 * SIZE + 1), "kept as long as the message"
    swapped = "update attachment set body = (select body from attachment where number = 1) where number = 0"
    world.store.write(lambda tx: tx.connection.run(swapped))
    with pytest.raises(ValueError, match="does not open"):
        world.store.attachments.body(kept.files[0].id)


def test_nothing_is_kept_of_a_message_that_is_refused_and_nothing_twice(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    assert post(client, File("brev.pdf", PDF), said=" ").status_code == 409 and rows(world) == 0
    page = client.get(NEW).text
    for _ in range(2):
        assert client.post(NEW, data=fields(page, NEW) | {"tekst": HELLO}, files=form(File("brev.pdf", PDF))).status_code == 303
    assert len(messages(world, kari.reference)) == 1 and rows(world) == 1
    client.post(NEW, data=fields(page, NEW) | {"tekst": HELLO}, files=form(File("brev.pdf", PNG)))
    assert len(messages(world, kari.reference)) == 2, "other files in the same form are another message"


def test_a_message_that_is_removed_takes_its_files_along(world: World, client: TestClient) -> None:
    """Only the sandbox removes messages."""
    world.store.on_changed(let_go)
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    post(client, File("brev.pdf", PDF))
    (kept,) = messages(world, kari.reference)
    stored = world.store.get("Communication", kept.id)
    assert stored is not None and rows(world) == 1
    world.store.write(lambda tx: tx.remove(stored, origin="test"))
    assert rows(world) == 0
    with pytest.raises(Refused) as why:
        world.keeping.stated(world.store, f"Communication/{kept.id}", 1)
    assert why.value.problem is Problem.UNKNOWN_RESOURCE, "its letter is given up, and not tried for ever"


def test_an_answer_in_the_thread_may_have_files_too(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = post(client).headers["location"].partition("?")[0]
    assert post(client, File("b.png", PNG), path=thread).status_code == 303
    assert [len(m.files) for m in messages(world, kari.reference)] == [0, 1]
    (link,) = LINK.findall(client.get(thread).text)
    assert client.get(link).content == PNG


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_such_file_is_told_by_the_field_and_the_text_is_kept(world: World, client: TestClient, body: bytes) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    answer = post(client, File("god.png", PNG), File("ond<b>.pdf", body))
    why = "er tom" if not body else "er ikke en PDF, JPEG eller PNG"
    assert answer.status_code == 409 and f"Filen «ond<b>.pdf» {why}. Velg filene på nytt." in text(answer.text).replace("&lt;", "<").replace("&gt;", ">")
    assert "ond<b>" not in answer.text and HELLO in answer.text and 'href="#vedlegg"' in answer.text
    assert 'aria-describedby="vedlegg-hjelp vedlegg-feil" aria-invalid="true"' in answer.text
    assert messages(world, kari.reference) == [] and rows(world) == 0


def test_a_form_that_is_wrong_elsewhere_says_that_the_files_must_be_chosen_again(world: World, client: TestClient) -> None:
    log_in(client, somebody(world, NURSING).reference)
    answer = post(client, File("brev.pdf", PDF), emne="")
    assert answer.status_code == 409 and "Velg hva meldingen gjelder." in text(answer.text) and "Velg filene på nytt." in text(answer.text)


def test_a_polyglot_is_served_as_what_it_was_taken_for_and_as_no_page_of_ours(world: World, client: TestClient) -> None:
    log_in(client, somebody(world, NURSING).reference)
    shown = client.get(post(client, File("regning\u202efdp.html", POLYGLOT)).headers["location"]).text
    got = client.get(LINK.findall(shown)[0])
    assert got.content == POLYGLOT and got.headers["content-type"] == "application/pdf" and got.headers["x-content-type-options"] == "nosniff"
    policy = got.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and policy.endswith("; sandbox") and got.headers["cache-control"] == "no-store"
    assert got.headers["content-disposition"] == 'attachment; filename="regningfdp.html.pdf"'
    assert got.headers["cross-origin-resource-policy"] == "same-origin" and got.headers["x-frame-options"] == "DENY"


def test_a_name_with_anything_in_it_is_no_header_of_ours(world: World, client: TestClient) -> None:
    log_in(client, somebody(world, NURSING).reference)
    shown = client.get(post(client, File('å"\r\nSet-Cookie: x=y; 100%.pdf', PDF)).headers["location"]).text
    got = client.get(LINK.findall(shown)[0])
    assert got.headers["content-disposition"].startswith('attachment; filename="_') and "filename*=UTF-8''%C3%A5" in got.headers["content-disposition"]
    assert "set-cookie" not in got.headers and got.content == PDF


def test_too_many_and_too_large_are_told_and_cost_no_more_than_what_is_allowed(world: World, client: TestClient) -> None:
    """Twenty megabytes and a little: more than is taken, which is let go of as soon as that is known."""
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    limits = world.messaging.limits
    many = post(client, *[File(f"{n}.png", PNG) for n in range(limits.files + 1)])
    huge = post(client, File("a.pdf", large(limits.size)), File("b.pdf", large(limits.size)))
    for answer in (many, huge):
        assert answer.status_code == 409 and "Det er for mange filer, eller de er for store. PDF, JPEG eller PNG. Høyst 5 filer, 10 MB" in text(answer.text)
        assert HELLO in answer.text
    assert messages(world, kari.reference) == [] and post(client, File("a.pdf", large(limits.size))).status_code == 303


class Streamed:
    """A request whose body comes in pieces that are made when they are asked for."""

    def __init__(self, size: int) -> None:
        self.size, self.given = size, 0
        self.headers = {"content-type": "multipart/form-data; boundary=b"}

    async def stream(self) -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="tekst"\r\n\r\nHei\r\n--b\r\nContent-Disposition: form-data; name="vedlegg"; filename="a.pdf"\r\n\r\n%PDF-'
        while self.given < self.size:
            self.given += 65536
            yield bytes(65536)
        yield b"\r\n--b--\r\n"


async def read(request: Streamed | Pieces, *, keeps: bool) -> Any:
    return await uploads.read(request, Limits(5, 1_000_000), keeps=keeps)  # type: ignore[arg-type]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_huge_body_costs_no_memory_and_is_not_read_for_ever(keeps: bool) -> None:
    request = Streamed(200_000_000)
    tracemalloc.start()
    sent = asyncio.run(read(request, keeps=keeps))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000 and request.given < (uploads.READ_ON if keeps else 1_000_000) + 200_000
    assert sent.fields == {"tekst": "Hei"} and sent.files == () and sent.too_large and sent.chosen


class Pieces:
    """A request whose body comes in these pieces."""

    headers = {"content-type": "multipart/form-data; boundary=b"}

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def stream(self) -> Any:
        for piece in self.pieces:
            yield piece


WHOLE = b'--b\r\nContent-Disposition: form-data; name="tekst"\r\n\r\nHei\r\n--b\r\nContent-Disposition: form-data; name="vedlegg"; filename="a.pdf"\r\n\r\n%PDF-1\r\n--b--\r\n'


@given(st.integers(0, len(WHOLE) - 4))
def test_a_form_that_was_cut_short_is_no_form_and_never_one_without_its_file(end: int) -> None:
    assert asyncio.run(read(Pieces(WHOLE[:end]), keeps=True)) == Sent({})


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_however_it_is_cut_into_pieces_it_is_the_same(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(WHOLE)]
    assert asyncio.run(read(Pieces(*(WHOLE[a:b] for a, b in pairwise(at))), keeps=True)) == Sent({"tekst": "Hei"}, (File("a.pdf", b"%PDF-1"),), False, True)


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([WHOLE[:40], WHOLE[60:], b"\r\n", b"--b", b"--b--", b"\r\n--b\r\n", b"\r\n\r\n"])), max_size=12))
def test_no_body_is_a_fault_of_ours(pieces: list[bytes]) -> None:
    sent = asyncio.run(read(Pieces(*pieces), keeps=True))
    assert sent is None or all(isinstance(name, str) for name in sent.fields)


def test_no_more_parts_are_looked_at_than_any_form_of_ours_has() -> None:
    assert asyncio.run(read(Pieces(*[WHOLE[:-6] + b"\r\n"] * 150), keeps=True)) is None


MANGLED = (
    b"", b"--b", b"--b--", b"\r\n--b\r\n\r\n", b"--x\r\nnothing", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", b"\0" * 500,
    b"--b\r\n" + b"A" * 9000 + b": x\r\n\r\n", b'--b\r\nContent-Disposition: form-data; name="a"; filename="\xff\xfe"\r\n\r\n%PDF-', b"--b\r\nx: y\r\n" * 50,
    b'--b\r\nContent-Disposition: form-data; name="csrf"; filename="csrf"\r\n\r\nx\r\n--b--\r\n',
)


def test_a_mangled_form_is_no_fault_of_ours(world: World, client: TestClient) -> None:
    log_in(client, somebody(world, NURSING).reference)
    for body in MANGLED:
        for boundary in ("b", "", "x" * 5000):
            answer = client.post(NEW, content=body, headers={"content-type": f"multipart/form-data; boundary={boundary}"})
            assert answer.status_code == 403 and rows(world) == 0, (body, boundary)


def test_fields_that_are_larger_than_any_of_ours_are_told_so(world: World, client: TestClient) -> None:
    log_in(client, somebody(world, NURSING).reference)
    page = client.get(NEW).text
    assert client.post(NEW, data=fields(page, NEW) | {"tekst": "x" * 70_000}, files=form(File("a.png", PNG))).status_code == 413
    many = fields(page, NEW) | {f"f{n}": "" for n in range(60)}
    assert client.post(NEW, data=many, files=form(File("a.png", PNG))).status_code == 413


def test_somebody_elses_file_is_answered_exactly_as_one_that_does_not_exist(world: World, client: TestClient) -> None:
    kari, per = [p for p in world.town.bookable if p.departments == (NURSING,) and not p.protected][:2]
    log_in(client, kari.reference)
    hers = LINK.findall(client.get(post(client, File("a.pdf", PDF)).headers["location"]).text)[0]
    other = TestClient(client.app, follow_redirects=False)
    log_in(other, per.reference)
    his = post(other, File("b.pdf", PNG)).headers["location"].partition("?")[0]
    file, nothing = hers.rpartition("/")[2], "00000000-0000-0000-0000-000000000000"
    answers = [other.get(address) for address in (hers, f"{his}/vedlegg/{file}", f"{his}/vedlegg/{nothing}", f"{his}/vedlegg/{'x' * 300}")]
    assert {a.status_code for a in answers} == {404} and len({re.sub(r'data-after="\d+"', "", a.text) for a in answers}) == 1
    assert not [line for line in audited(world.store, kari.reference) if line.reader == per.reference]
    assert TestClient(client.app, follow_redirects=False).get(hers).headers["location"].startswith("/logg-inn")


def test_a_message_that_tells_of_another_messages_file_does_not_give_it(world: World, client: TestClient) -> None:
    """Whoever may write a Communication by another way cannot point it at what is not its own."""
    kari, per = [p for p in world.town.bookable if p.departments == (NURSING,) and not p.protected][:2]
    log_in(client, kari.reference)
    post(client, File("a.pdf", PDF))
    hers = messages(world, kari.reference)[0].files[0].id
    other = TestClient(client.app, follow_redirects=False)
    log_in(other, per.reference)
    his = post(other, File("b.png", PNG)).headers["location"].partition("?")[0]
    (own,) = messages(world, per.reference)
    kept = world.store.get("Communication", own.id)
    assert kept is not None
    pointed = [kept.resource["payload"][0], {"contentAttachment": {"url": f"Binary/{hers}", "contentType": "application/pdf", "title": "a.pdf"}}]
    world.store.write(lambda tx: tx.keep({**kept.resource, "payload": pointed}, origin="test"))
    assert other.get(f"{his}/vedlegg/{hers}").status_code == 404


def test_a_relative_fetches_with_the_right_to_read_and_the_log_says_so(world: World, client: TestClient) -> None:
    mandate = relative(world, Scope.SEE, Scope.READ_MESSAGES, Scope.WRITE_MESSAGES)
    as_relative(world, client, mandate)
    answer = post(client, File("a.pdf", PDF))
    assert answer.status_code == 303, text(answer.text)
    link = LINK.findall(client.get(answer.headers["location"]).text)[0]
    assert client.get(link).content == PDF
    (holder,) = mandate.holders
    line = next(a for a in audited(world.store, mandate.person) if a.kind == "message-file")
    assert (line.reader, line.ground, line.channel, line.given) == (holder, mandate.ground.value, "portal", True)
    consent = world.store.get("Consent", mandate.id)
    assert consent is not None
    codes = [c for c in consent.resource["provision"]["code"] if c["coding"][0]["code"] == Scope.SEE.value]
    world.store.write(lambda tx: tx.keep({**consent.resource, "provision": {**consent.resource["provision"], "code": codes}}, origin="test"))
    assert client.get(link).status_code == 404, "the scope was taken back"
    world.store.write(lambda tx: tx.keep({**consent.resource, "status": "inactive"}, origin="test"))
    ended = client.get(link)
    assert ended.status_code in (303, 403) and PDF not in ended.content


def test_fetching_stands_in_the_persons_own_log(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    client.get(LINK.findall(client.get(post(client, File("a.pdf", PDF)).headers["location"]).text)[0])
    assert "message-file" in {line.kind for line in audited(world.store, kari.reference)}
    assert "Et vedlegg til en melding" in text(client.get("/hvem-har-sett").text)


@pytest.mark.spec("portal.md", "P13")
def test_a_draft_keeps_the_text_and_says_that_files_must_be_chosen_again(world: World, client: TestClient) -> None:
    log_in(client, somebody(world, NURSING).reference)
    assert "Filer lagres ikke i utkast." in text(client.get(NEW).text)
    answer = post(client, File("a.pdf", PDF), gjor="lagre")
    assert answer.headers["location"] == "/meldinger?lagret-uten-filer=1" and rows(world) == 0
    assert "Filene er ikke lagret: velg dem på nytt når du skriver ferdig." in text(client.get(answer.headers["location"]).text)
    assert HELLO in client.get(NEW).text and post(client, gjor="lagre").headers["location"] == "/meldinger?lagret=1"


def test_what_was_sent_too_late_keeps_the_text_and_is_not_sent_without_its_files(world: World, client: TestClient) -> None:
    """Whoever was logged out while they wrote must not believe that the files went along."""
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    page = client.get(NEW).text
    world.clock.now += timedelta(hours=12)
    late = client.post(NEW, data=fields(page, NEW) | {"tekst": HELLO}, files=form(File("a.pdf", PDF)), headers={"sec-fetch-site": "same-origin"})
    assert late.status_code == 303
    log_in(client, kari.reference)
    offered = client.get("/fortsett").text
    assert "ikke på filene du la ved. Velg dem på nytt" in text(offered) and HELLO in offered
    hidden = dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', offered)) | csrf(client, "/meldinger")
    again = client.post(NEW, data=hidden)
    assert again.status_code == 409 and "Filene du la ved, er ikke tatt vare på. Velg dem på nytt" in text(again.text) and HELLO in again.text
    assert "vedlegg-borte" not in again.text and messages(world, kari.reference) == []
    sent = client.post(NEW, data=fields(again.text, NEW) | {"tekst": HELLO}, files=form(File("a.pdf", PDF)))
    assert sent.status_code == 303 and [len(m.files) for m in messages(world, kari.reference)] == [1]


@pytest.fixture
def without_files(world: World) -> Iterator[TestClient]:
    made = faces(world)
    with TestClient(application(replace(made, messaging=replace(made.messaging, limits=Limits(0)))), follow_redirects=False) as client:
        yield client


def test_a_municipality_that_takes_no_files_asks_for_none(world: World, without_files: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(without_files, kari.reference)
    assert "Vedlegg" not in text(without_files.get(NEW).text)
    assert post(without_files, File("a.pdf", PDF)).status_code == 409 and post(without_files).status_code == 303
    assert messages(world, kari.reference)[0].files == ()


@pytest.mark.parametrize(("bytes_", "said"), [(1, "1 kB"), (320_400, "320 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (1_249_999, "1,2 MB"), (10_000_000, "10 MB")])
def test_sizes_are_said_as_norwegians_say_them(bytes_: int, said: str) -> None:
    assert size(bytes_) == said


@pytest.mark.parametrize(("told", "limits"), [
    ("", Limits(5, 10_000_000)), ("[attachments]\nfiles = 0", Limits(0, 10_000_000)), ("[attachments]\nfiles = 2\nmegabytes = 18", Limits(2, 18_000_000)),
])
def test_a_municipality_says_how_much_it_takes(told: str, limits: Limits) -> None:
    assert read_limits(SimpleNamespace(tables=tomllib.loads(told))) == limits  # type: ignore[arg-type]


@pytest.mark.parametrize("told", ["files = -1", "files = 21", "files = true", "megabytes = 0", "megabytes = 19", 'megabytes = "10"', "megabytes = 1.5"])
def test_what_cannot_be_meant_is_told_when_the_hub_starts(told: str) -> None:
    with pytest.raises(Misconfigured, match=r"hub.toml \[attachments\]"):
        read_limits(SimpleNamespace(tables=tomllib.loads(f"[attachments]\n{told}")))  # type: ignore[arg-type]
