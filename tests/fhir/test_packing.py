"""Compression both ways: bodies that come as gzip, within bounds, and files that leave as gzip."""

from __future__ import annotations

import gzip
import io
import json
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.faces.packing import packed, wants

JSON, FORM = {"content-type": "application/fhir+json"}, {"content-type": "application/x-www-form-urlencoded"}
GZIP = {"content-encoding": "gzip"}
DEVICE = json.dumps({"resourceType": "Device", "status": "active"}).encode()


def number(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


def bomb(megabytes: int) -> bytes:
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb") as file:
        for _ in range(megabytes):
            file.write(b" " * 1024 * 1024)
    return made.getvalue()


def test_a_packed_body_is_as_if_it_had_come_unpacked(api: httpx.Client) -> None:
    """On every road: interactions, Bundles, search forms, operations and patches, in JSON and XML."""
    made = api.post("/Device", content=gzip.compress(DEVICE), headers=JSON | GZIP)
    assert made.status_code == 201 and made.json()["status"] == "active", made.text
    where = f"/Device/{made.json()['id']}"
    in_xml = f'<Device xmlns="http://hl7.org/fhir"><id value="{made.json()["id"]}"/><status value="inactive"/></Device>'.encode()
    changed = api.put(where, content=gzip.compress(in_xml), headers={"content-type": "application/fhir+xml", "content-encoding": "X-GZIP"})
    assert changed.status_code == 200 and changed.json()["status"] == "inactive"
    patched = api.patch(where, content=gzip.compress(b'{"status": "unknown"}'), headers={"content-type": "application/merge-patch+json"} | GZIP)
    assert patched.status_code == 200 and patched.json()["status"] == "unknown"
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Device"}}]}
    assert api.post("/", content=gzip.compress(json.dumps(bundle).encode()), headers=JSON | GZIP).json()["type"] == "batch-response"
    found = api.post("/Device/_search", content=gzip.compress(b"status=unknown&_format=xml"), headers=FORM | GZIP)
    assert found.headers["content-type"].startswith("application/fhir+xml") and 'total' not in found.text and made.json()["id"] in found.text
    assert api.post("/Device/$validate", content=gzip.compress(DEVICE), headers=JSON | GZIP).status_code == 200
    parameters = json.dumps({"resourceType": "Parameters", "parameter": [{"name": "id", "valueId": "x"}]}).encode()
    assert api.post("/Subscription/$status", content=gzip.compress(parameters), headers=JSON | GZIP).status_code == 200


@pytest.mark.parametrize(("body", "encoding", "told"), [
    (bomb(64), "gzip", (413, "BB-102")), (gzip.compress(DEVICE)[:-4], "gzip", (400, "BB-101")), (DEVICE, "gzip", (400, "BB-101")),
    (gzip.compress(DEVICE) * 2, "gzip", (400, "BB-101")), (zlib.compress(DEVICE), "deflate", (415, "BB-407")), (DEVICE, "br", (415, "BB-407")),
    (gzip.compress(gzip.compress(DEVICE)), "gzip, gzip", (415, "BB-407")),
])
def test_a_bomb_a_broken_and_an_unknown_packing_are_refused(api: httpx.Client, body: bytes, encoding: str, told: tuple[int, str]) -> None:
    """What is too large unpacked is never unpacked whole; 415 says which packing would do (RFC 9110 15.5.16)."""
    for path in ("/Device", "/", "/Subscription/$status", "/Device/_search"):
        kind = FORM if path.endswith("_search") else JSON
        answer = api.post(path, content=body, headers=kind | {"content-encoding": encoding})
        assert number(answer) == told, path
        assert (answer.headers.get("accept-encoding") == "gzip") is (told[0] == 415)
    assert api.get("/Device", params={"_summary": "count"}).json()["total"] == 0


def test_files_of_an_export_leave_packed_where_that_is_asked_for(api: httpx.Client) -> None:
    begun = api.get("/$export", params={"_type": "Slot"}, headers={"prefer": "respond-async"})
    url = api.get(begun.headers["content-location"]).json()["output"][0]["url"]
    plain = api.get(url, headers={"accept-encoding": "identity"})
    asked = api.get(url, headers={"accept-encoding": "gzip;q=0.5"})
    assert "content-encoding" not in plain.headers and asked.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == asked.headers["vary"] == "accept-encoding"
    assert asked.content == plain.content and asked.num_bytes_downloaded < len(plain.content) / 5
    head = api.head(url, headers={"accept-encoding": "gzip"})
    assert head.headers["content-encoding"] == "gzip" and head.num_bytes_downloaded == 0
    assert "content-encoding" not in api.get(url, headers={"accept-encoding": "br, gzip;q=0"}).headers


@pytest.mark.parametrize(("header", "wanted"), [
    ("gzip", True), ("GZIP, br", True), ("br;q=1.0, x-gzip;q=0.5", True), ("*", True), ("gzip;q=0, *", False), ("gzip; q=0.000", False), ("", False),
    ("identity", False), ("*;q=0", False), ("deflate", False),
])
def test_accept_encoding_is_read_with_its_weights(header: str, wanted: bool) -> None:
    assert wants(header) is wanted


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_pieces_come_out_as_they_went_in(pieces: list[bytes]) -> None:
    assert gzip.decompress(b"".join(packed(iter(pieces)))) == b"".join(pieces)
