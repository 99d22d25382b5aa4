"""Every address of the faces for machines, from the OpenAPI document and the booking API's own table: nothing is done for whoever shows no token,
a made-up one, one of too little scope, or one without a department."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from hub.faces import conformance
from hub.faces.booking.face import ROUTES
from hub.fhir import definitions

OPEN = ("/metadata", "/openapi.json", "/.well-known/smart-configuration", *(f"/{type_}" for type_ in conformance.TYPES))
"""What anybody may read."""
BESIDE = [
    ("get", "/$export"), ("post", "/$export"), ("get", "/Patient/$export"), ("get", "/$export/x"), ("delete", "/$export/x"), ("get", "/$export-file/x/Slot"),
    ("post", "/$message"), ("post", "/$reset"), ("get", "/SubscriptionTopic/appointment-lifecycle"), ("get", "/Subscription/x/$events"),
    ("get", "/Subscription/$status"), ("post", "/"), ("get", "/_history"), ("get", "/Nothing"), ("post", "/Appointment/$book"), ("get", "/Slot/$publish"),
]
"""Not everything is told in the OpenAPI document."""


CLIENT = httpx.Client(trust_env=False)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    more = f'[[vendors]]\nname = "none"\ntoken_digest = "{hashlib.sha256(b"none-token").hexdigest()}"\ndepartments = []\n'
    client = '\n[[clients]]\nid = "basic"\nissuer = "test"\ndepartments = ["*"]\nscopes = "system/Basic.rs"\n'
    with hub_on(tmp_path_factory.mktemp("home"), "sqlite:///hub.db", per_minute=1_000_000, more=more + client) as made:
        yield made


@pytest.fixture(scope="module")
def addresses(hub: Machines) -> list[tuple[str, str]]:
    """(method, path) below the hub, with an id of something that is there."""
    types = definitions.load().served
    there = {type_: next((r["id"] for r in TOWN.resources if r["resourceType"] == type_), "x") for type_ in types}
    told = httpx.get(f"{hub.url}/fhir/openapi.json", trust_env=False).json()["paths"]
    found = [(method, path) for path, methods in told.items() for method in methods if method in ("get", "post", "put", "patch", "delete", "head")]
    assert len(found) > 150
    fhir = [(method, re.sub(r"\{\w+\}", there.get(path.split("/")[1], "x"), path)) for method, path in [*found, *BESIDE]]
    booking = [(way.lower(), "/".join(parts).replace("{id}", "x")) for parts, (way, _, _) in ROUTES.items()]
    return [(m, f"/fhir{p}") for m, p in fhir if not p.startswith(OPEN)] + [(m, f"/booking/v1/{p}") for m, p in booking]


def asked(hub: Machines, method: str, path: str, authorization: str | None) -> httpx.Response:
    headers = {"content-type": "application/json" if path.startswith("/booking") else "application/fhir+json", "prefer": "respond-async"}
    headers |= {"authorization": authorization} if authorization else {}
    type_ = path.split("/")[2]
    body = f'{{"resourceType": "{type_}"}}' if method in ("post", "put", "patch") else None
    return CLIENT.request(method, f"{hub.url}{path}", headers=headers, content=body)


@pytest.mark.parametrize("shown", [None, "Bearer guess", "Bearer a.b.c", "Basic c2ltcGxlLXRva2Vu", "DPoP simple-token"])
def test_nothing_is_done_for_who_proves_nothing(hub: Machines, addresses: list[tuple[str, str]], shown: str | None) -> None:
    newest = hub.parts.store.write(lambda tx: tx.newest())
    for method, path in addresses:
        answer = asked(hub, method, path, shown)
        assert answer.status_code == 401, (method, path)
        assert "Bearer" in answer.headers["www-authenticate"] and "DPoP" in answer.headers["www-authenticate"]
        assert method == "head" or "BB-" in answer.text
    assert hub.parts.store.write(lambda tx: tx.newest()) == newest


def test_a_token_of_too_little_scope_does_nothing(hub: Machines, addresses: list[tuple[str, str]]) -> None:
    """Its one type is Basic, to be read: whatever else there is, is refused, and nothing of it is told."""
    token = httpx.post(f"{hub.url}/oauth/test/token", data={"grant_type": "client_credentials", "client_id": "basic"}, trust_env=False).json()["access_token"]
    newest, mine = hub.parts.store.write(lambda tx: tx.newest()), []
    for method, path in addresses:
        answer = asked(hub, method, path, f"Bearer {token}")
        if answer.status_code < 400:
            mine.append(path)
            assert method in ("get", "head") or path.endswith(("_search", "$validate")), (method, path)
            assert '"resourceType":"Basic"' in answer.text or '"entry"' not in answer.text
        else:
            assert answer.status_code in (400, 403, 404, 405, 415, 422), (method, path, answer.status_code)
    of_basic = {f"/fhir/Basic{rest}" for rest in ("", "/_history", "/_search", "/$validate", "/x/$validate")}
    assert {path.split("?")[0] for path in mine} <= {*of_basic, "/fhir/_history", "/fhir/SubscriptionTopic/appointment-lifecycle"}
    assert hub.parts.store.write(lambda tx: tx.newest()) == newest


def test_a_token_without_a_department_sees_and_does_nothing(hub: Machines, addresses: list[tuple[str, str]]) -> None:
    newest = hub.parts.store.write(lambda tx: tx.newest())
    for method, path in addresses:
        answer = asked(hub, method, path, "Bearer none-token")
        own = path.startswith("/fhir/Subscription") or path.endswith(("$validate", "_history", "$export"))
        nothing = method == "delete" and answer.status_code == 204  # as for an id that never was
        assert answer.status_code >= 400 or nothing or (own and '"entry":[{"fullUrl"' not in answer.text), (method, path, answer.status_code)
        assert answer.status_code < 500, (method, path)
    assert hub.parts.store.write(lambda tx: tx.newest()) == newest
