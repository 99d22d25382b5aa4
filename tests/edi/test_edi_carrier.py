"""One request and what it is answered: what waits, what fails, what is told of it; pages; what the official samples look like."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from edi_wire import AT, Wire, document
from edi_world import NAME, EdiWorld, once
from hubs import EPJ, HUB
from openapi import Api
from serving import served

from adapters.carriers import edi as carriers_edi
from adapters.carriers.edi import EdiCarrier
from adapters.carriers.meldingstjener import Meldingstjener
from adapters.demo.processes import free_ports
from adapters.epj import meldingstjener
from adapters.epj.meldingstjener import DROPPED, SLOW, Fault
from adapters.seals.edi import EdiSeal
from ebxml import apprec
from ebxml.kith import HER, Coded, Ident, Party
from hub.adapter import Adapter, Surroundings, Unopened
from hub.config import Misconfigured
from hub.delivery import State
from hub.faces.inbox import STATUS, Inbox
from hub.message import Content, Letter, Parcel, ReceiptKind
from hub.problem import Problem, Refused, Unavailable

FNR = "13897297471"


def seal(**settings: Any) -> EdiSeal:
    return EdiSeal(Surroundings(Path("."), "epj", EPJ, HUB, "Solbakken", settings))


def taken(carrier: Any) -> list[Parcel]:
    found = []
    for parcel, done in carrier.collect():
        found.append(parcel)
        done()
    return found


@pytest.mark.spec("facts/helsenorge", "15.6.errors")
@pytest.mark.parametrize("status", [404, 408, 409, 423, 425, 429, 500, 502, 503, 504])
def test_what_says_nothing_of_the_letter_lets_it_wait_as_long_as_the_service_says(wire: Wire, status: int) -> None:
    carrier, parcel = wire.carrier(), wire.parcel()
    wire.service.fault = once(Fault(status, {"retry-after": "17"}), "POST")
    with pytest.raises(Unavailable) as later:
        carrier.send(parcel)
    assert later.value.retry_after == 17 and f"HTTP {status}" in later.value.detail and "requestId" in later.value.detail
    carrier.send(parcel)
    assert len(wire.service.to(EPJ)) == 1


@pytest.mark.parametrize("kind", [DROPPED, SLOW], ids=["no answer", "too late an answer"])
def test_no_answer_in_time_lets_it_wait(wire: Wire, kind: str) -> None:
    carrier = wire.carrier(wait="300ms")
    wire.service.fault = once(Fault(kind), "POST")
    with pytest.raises(Unavailable):
        carrier.send(wire.parcel())


@pytest.mark.spec("facts/helsenorge", "15.6.errors")
def test_what_the_service_will_never_take_says_what_to_change_and_nothing_of_what_was_sent(wire: Wire) -> None:
    text = {"error": f"Pasient {FNR} Kari Nordmann", "errorCode": 1000, "validationErrors": [f"The businessDocument field: {FNR} Nordmann"],
            "stackTrace": None, "requestId": "a686f859-1a0a-489a-bd77-41f86d273cd2"}
    answer = (400, {}, orjson.dumps(text))
    wire.service._error = lambda *_, **__: answer  # type: ignore[method-assign]
    wire.service.fault = once(Fault(400), "POST")
    with pytest.raises(Refused) as never:
        wire.carrier().send(wire.parcel())
    assert never.value.problem is Problem.NOT_DELIVERED
    assert never.value.detail == (
        "HTTP 400 from the message service, errorCode 1000, requestId a686f859-1a0a-489a-bd77-41f86d273cd2: "
        "the service does not take it like this: businessDocument"
    )


@pytest.mark.parametrize("request_id", ["", "Kari Nordmann", FNR, {"a": 1}, None])
def test_a_request_id_that_is_none_is_not_repeated(wire: Wire, request_id: Any) -> None:
    wire.service._error = lambda *_, **__: (400, {}, orjson.dumps({"requestId": request_id, "errorCode": "E"}))  # type: ignore[method-assign]
    wire.service.fault = once(Fault(400), "POST")
    with pytest.raises(Refused) as never:
        wire.carrier().send(wire.parcel())
    assert never.value.detail == "HTTP 400 from the message service: the service does not take it like this"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"null", b"\xff"])
def test_an_error_that_is_no_error_message_is_told_by_its_status(wire: Wire, body: bytes) -> None:
    wire.service._error = lambda *_, **__: (503, {}, body)  # type: ignore[method-assign]
    wire.service.fault = once(Fault(503), "POST")
    with pytest.raises(Unavailable, match="^HTTP 503 from the message service$"):
        wire.carrier().send(wire.parcel())


def test_a_her_id_that_the_client_may_not_send_for_is_said(wire: Wire) -> None:
    with pytest.raises(Refused, match="may not send for our HER-id"):
        wire.carrier().send(wire.parcel(sender="8200000"))


def test_a_her_id_that_the_client_may_not_read_for_is_said(wire: Wire) -> None:
    with pytest.raises(Unavailable, match="may not read for HER-id 8200000"):
        taken(wire.carrier(her_ids=["8200000"]))


def test_a_letter_larger_than_the_service_takes_is_not_tried(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.carriers.meldingstjener.LARGEST", 100)
    with pytest.raises(Refused) as never:
        wire.carrier().send(wire.parcel())
    assert never.value.problem is Problem.TOO_LARGE and not wire.service.seen


def test_a_refused_letter_leaves_no_mark_and_one_in_doubt_does(wire: Wire) -> None:
    carrier, folder = wire.carrier(), wire.home / "edi" / "epj"
    wire.service.fault = once(Fault(400), "POST")
    with pytest.raises(Refused):
        carrier.send(wire.parcel())
    assert not list(folder.iterdir())
    wire.service.fault = once(Fault(500), "POST", "/Messages")
    with pytest.raises(Unavailable):
        carrier.send(wire.parcel())
    (mark,) = folder.iterdir()
    assert mark.read_text().startswith("\n"), "no number"


@pytest.mark.parametrize("content", [b"", b"12", b'"no uuid"', b"{}"])
def test_taken_under_no_number_is_in_doubt(wire: Wire, content: bytes) -> None:
    wire.service._created = lambda id_: (201, {}, content)  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        wire.carrier().send(wire.parcel())


@pytest.mark.spec("facts/helsenorge", "15.6.read")
def test_all_pages_are_read_in_the_order_of_their_gendates(wire: Wire, api: Api) -> None:
    for n in reversed(range(230)):
        wire.lies(b"<x/>", generated=f"2026-11-26T07:{n // 60:02}:{n % 60:02}")
    found = taken(wire.carrier())
    by_date = sorted(wire.service.messages, key=lambda kept: kept.generated)
    assert [parcel.headers["edi:message"] for parcel in found] == [kept.id for kept in by_date] and all(kept.read for kept in by_date)
    assert sum(r.path == "/Messages" and "SenderHerId" in dict(r.query) for r, _ in wire.service.seen) == 3
    assert {api.check(*seen) for seen in wire.service.seen if seen[0].path.startswith("/Messages")} == {"GetMessages", "GetBusinessDocument", "MarkMessageAsRead"}


def test_what_cannot_be_let_go_of_does_not_hide_what_lies_behind_it(wire: Wire) -> None:
    """A page full of messages that the hub has a bug for: the newest ones are looked at all the same."""
    for n in range(120):
        wire.lies(b"<x/>", generated=f"2026-11-26T07:{n // 60:02}:{n % 60:02}")
    found = [parcel for parcel, _ in wire.carrier().collect()]
    assert len({parcel.headers["edi:message"] for parcel in found}) == len(found) == 120


def test_one_document_that_cannot_be_fetched_does_not_hold_up_the_next_and_two_in_a_row_end_the_look(wire: Wire) -> None:
    kept = [wire.lies(generated=f"2026-11-26T07:00:0{n}") for n in range(5)]
    broken = {kept[0].id, kept[2].id, kept[3].id}
    wire.service.fault = lambda request: Fault(500) if request.path.endswith("/business-document") and request.path.split("/")[2] in broken else None
    with pytest.raises(Unavailable):
        taken(wire.carrier())
    assert [one.read for one in kept] == [False, True, False, False, False]
    wire.service.fault = lambda request: None
    assert len(taken(wire.carrier())) == 4


def test_one_letter_whose_fate_cannot_be_asked_holds_up_nothing(wire: Wire) -> None:
    carrier = wire.carrier()
    for _ in range(3):
        carrier.send(wire.parcel())
        wire.clock.now += 1
    broken = wire.service.to(EPJ)[0].id
    wire.service.fault = lambda request: Fault(500) if broken in request.path else None
    unread = wire.lies()
    found = taken(carrier)
    assert [("edi:letter" in parcel.headers) for parcel in found] == [True, True, False] and unread.read


def test_what_lies_unread_is_fetched_though_no_fate_can_be_asked(wire: Wire) -> None:
    carrier = wire.carrier()
    for _ in range(3):
        carrier.send(wire.parcel())
    wire.service.fault = lambda request: Fault(503) if request.path.endswith("/status") else None
    unread = wire.lies()
    assert len(taken(carrier)) == 1 and unread.read
    assert sum(request.path.endswith("/status") for request, _ in wire.service.seen) == 2, "two in a row are enough"


def test_one_message_that_cannot_be_marked_holds_up_nothing_and_two_in_a_row_end_the_look(wire: Wire) -> None:
    kept = [wire.lies(generated=f"2026-11-26T07:00:0{n}") for n in range(5)]
    broken = {kept[0].id, kept[2].id, kept[3].id}
    wire.service.fault = lambda request: Fault(500) if request.method == "PUT" and request.path.split("/")[2] in broken else None
    with pytest.raises(Unavailable):
        taken(wire.carrier())
    assert [one.read for one in kept] == [False, True, False, False, False]


def test_several_senders_are_asked_for_each_by_itself(wire: Wire) -> None:
    wire.lies()
    second, other = wire.lies(sender="8100102"), wire.lies(sender="8100103")
    found = taken(wire.carrier(senders=[EPJ, 8100102]))
    assert [parcel.trouble for parcel in found[:2]] == [None, None] and second.read and not other.read


def test_that_strangers_messages_lie_unread_is_told_once_and_by_one_adapter(wire: Wire) -> None:
    folder = wire.home / "adapters"
    folder.mkdir()
    text = 'party = "{}"\nseal = {{ kind = "edi" }}\nformat = {{ kind = "msghead" }}\ncarrier = {{ kind = "edi", senders = [{}] }}\n'
    for name, her in (("epj", EPJ), ("later", "8100102")):
        (folder / f"{name}.toml").write_text(text.format(her, her))
    wire.lies(sender="8100102")
    assert taken(wire.carrier()) == [], "another adapter's"
    other = wire.lies(sender="8100103")
    carrier, later = wire.carrier(), EdiCarrier(replace(wire.around(senders=["8100102"]), name="later"), wire.clock)
    (told,) = taken(carrier)
    assert told.trouble is not None and told.trouble.problem is Problem.UNKNOWN_PARTNER and "8100103" not in told.trouble.detail
    wire.clock.now += 3600
    assert taken(carrier) == [] and [parcel.trouble for parcel in taken(later)] == [None] and not other.read
    later.close()
    wire.lies(sender="8100104")
    wire.clock.now += 3600
    assert len(taken(carrier)) == 1, "a new one is told of"


def test_a_letter_that_nobody_waits_for_any_more_is_forgotten(wire: Wire) -> None:
    carrier = wire.carrier()
    wire.service.accepts = "Unconfirmed"
    carrier.send(wire.parcel())
    wire.clock.now += carriers_edi.FORGOTTEN + 1
    assert taken(carrier) == [] and not list((wire.home / "edi" / "epj").iterdir())


def test_the_longer_a_letter_is_under_way_the_seldomer_it_is_asked_for(wire: Wire) -> None:
    carrier, parcel = wire.carrier(every="10s"), wire.parcel()
    wire.service.accepts = "Unconfirmed"
    carrier.send(parcel)
    for _ in range(360):  # an hour
        taken(carrier)
        wire.clock.now += 10
    asked = sum(r.path.endswith("/status") for r, _ in wire.service.seen)
    assert 8 < asked < 16


@pytest.mark.parametrize("said", [b"{}", b"[1]", b"nonsense", b'[{"id": "../../x", "receiverHerId": 8100000}]', b'[{"id": null}]'])
def test_a_list_that_is_none_is_not_believed(wire: Wire, said: bytes) -> None:
    routes = tuple((m, p, (lambda *_: (200, {}, said)) if p == "/Messages" and m == "GET" else w) for m, p, w in meldingstjener._ROUTES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(meldingstjener, "_ROUTES", routes)
        with pytest.raises(Unavailable):
            taken(wire.carrier())
    assert not [r for r, _ in wire.service.seen if r.method == "PUT" or r.path.startswith("/Messages/")]


@pytest.mark.spec("facts/helsenorge", "15.6")
def test_the_official_samples_of_a_list_a_status_and_a_document_are_read(wire: Wire, samples: Callable[[str], Any]) -> None:
    """Lists without metadata, with properties that nobody knows, and times without a zone."""
    entry = samples("get-message-response-with-unknown-property.json")
    bare = samples("get-messages-response.json")
    documents = {entry["id"]: samples("get-business-document-response.json"), **{one["id"]: samples("get-business-document-apprec-response.json") for one in bare}}
    lists = [[entry, *bare], []]

    def one(service: Any, client: Any, request: Any, id_: str, part: str | None) -> Any:
        return 200, {}, orjson.dumps(documents[id_])

    routes = (("GET", r"/Messages", lambda *_: (200, {}, orjson.dumps(lists.pop(0)))), ("GET", r"/Messages/([0-9a-f-]{36})(/business-document)", one),
              ("PUT", r"/Messages/([0-9a-f-]{36})/read/([0-9]+)", lambda *_: (204, {}, b"")))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(meldingstjener, "_ROUTES", routes)
        found = taken(wire.carrier(her_ids=["8143060"], senders=["8094866"]))
    sealed = seal()
    envelopes = [sealed.open(parcel, AT) for parcel in found]
    assert [e.id for e in envelopes] == [entry["businessDocumentId"], *(one["id"] for one in bare)], "without metadata the service's own number is the id"
    assert envelopes[0].content.body.startswith(b"<?xml") and envelopes[1].content.body.startswith(b"<?xml")
    assert apprec.read(envelopes[1].content.body).status == apprec.OK


@pytest.mark.spec("facts/helsenorge", "15.6.status")
@pytest.mark.parametrize("name, kind", [
    ("get-status-acked.json", ReceiptKind.ARRIVED), ("get-status.json", None), ("get-apprecinfo-ok.json", ReceiptKind.ARRIVED),
    ("get-apprecinfo-multi.json", ReceiptKind.ARRIVED),
])
def test_the_official_samples_of_what_became_of_a_letter_mean_what_they_say(samples: Callable[[str], Any], name: str, kind: ReceiptKind | None) -> None:
    parcel = Parcel({"edi:message": "n", "edi:letter": "L"}, orjson.dumps(samples(name)))
    if kind is None:
        with pytest.raises(Unopened):
            seal().open(parcel, AT)
    else:
        receipt = seal().open(parcel, AT).receipt
        assert receipt is not None and receipt.kind is kind and receipt.refers_to == "l"


@pytest.mark.parametrize("states, kind", [
    (["Acknowledged", "Acknowledged"], ReceiptKind.ARRIVED), (["Acknowledged", "Rejected"], ReceiptKind.FAILED), (["Rejected", "Unconfirmed"], ReceiptKind.FAILED),
])
def test_one_receiver_that_rejects_is_enough_and_all_must_have_it(states: list[str], kind: ReceiptKind) -> None:
    body = orjson.dumps([{"receiverHerId": n, "transportDeliveryState": state} for n, state in enumerate(states)])
    receipt = seal().open(Parcel({"edi:message": "n", "edi:letter": "L"}, body), AT).receipt
    assert receipt is not None and receipt.kind is kind


def test_nothing_that_was_posted_to_the_inbox_is_believed(wire: Wire) -> None:
    """The seal believes its carrier alone; what names a letter of ours or a message of the service's cannot be sent as a header of HTTP."""
    said = {"content-type": "application/xml", "edi-message": "x", "x-message-id": "y"}
    with pytest.raises(Unopened) as never:
        seal().open(Parcel(said, document(EPJ, HUB, "m")), AT)
    assert never.value.problem is Problem.NOT_AUTHENTICATED and STATUS[Problem.NOT_AUTHENTICATED] == 401
    assert seal().refusal(never.value, AT) is None


def test_the_inbox_believes_no_header_that_looks_like_the_services(alone: EdiWorld) -> None:
    """Over a real server: who fetches everything itself is posted nothing, whatever the lines say that come along."""
    owed = alone.booked()[1]
    (port,) = free_ports(1)
    said = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in (("edi:message", "n"), ("edi:letter", owed.id)))
    body = orjson.dumps([{"receiverHerId": int(EPJ), "transportDeliveryState": "Rejected"}])
    with ThreadPoolExecutor(1) as pool, served(Inbox(alone.flow, alone.adapters, pool), port), socket.create_connection(("127.0.0.1", port), 10) as raw:
        head = b"POST /inbox/%s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n" % (NAME.encode(), len(body))
        raw.sendall(head + said + b"\r\n" + body)
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 401 ") and alone.state(owed) is State.DUE
    assert not alone.store.envelopes(NAME, None, None, None, 5)


def test_a_message_that_the_service_says_is_from_somebody_else_is_not_the_partners(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.lies()
    carrier, asked = wire.carrier(), Meldingstjener.unread
    monkeypatch.setattr(Meldingstjener, "unread", lambda *given, **more: [{**one, "senderHerId": 8100999} for one in asked(*given, **more) or ()])
    troubles = [parcel.trouble for parcel in taken(carrier)]
    assert troubles[0] is not None and troubles[0].problem is Problem.WRONG_PARTY


def test_whose_messages_are_the_partners_is_set_in_one_place() -> None:
    with pytest.raises(Misconfigured, match=r"\[carrier\] alene"):
        seal(senders=["8100999"])


def test_a_letter_is_posted_as_its_settings_say(wire: Wire, api: Api) -> None:
    parcel = wire.parcel(receivers=[EPJ], ebxml={"applicationName": "Besøksbro", "compressPayload": True})
    wire.carrier(source_system="Besoksbro, v9", api_version="2").send(parcel)
    (request, answer) = next(seen for seen in wire.service.seen if seen[0].method == "POST" and seen[0].path == "/Messages")
    assert api.check(request, answer) == "PostMessage"
    said = json.loads(request.body)
    assert said["receiverHerIdsSubset"] == [int(EPJ)] and said["ebXmlOverrides"] == {"applicationName": "Besøksbro", "compressPayload": True}
    assert request.headers["nhn-source-system"] == "Besoksbro, v9" and request.headers["api-version"] == "2"
    assert base64.b64decode(said["businessDocument"]).startswith(b'<?xml version="1.0" encoding="UTF-8"?>')


def test_a_document_that_does_not_declare_its_encoding_is_given_the_declaration() -> None:
    made = seal().close(Content(b"<MsgHead/>", "application/xml"), Letter("i", "c", "booking", AT), AT)
    assert base64.b64decode(json.loads(made.body)["businessDocument"]) == b'<?xml version="1.0" encoding="UTF-8"?>\n<MsgHead/>'


def test_an_apprec_of_what_did_not_come_through_the_service_is_refused() -> None:
    party = Party("X", (Ident(HUB, HER),))
    body = apprec.write(apprec.AppRec("a", AT, party, party, apprec.OK, Coded("T"), "", "m"))
    with pytest.raises(Refused) as never:
        seal().close(Content(body, "application/xml"), Letter("i", "a-conversation", "receipt", AT), AT)
    assert never.value.problem is Problem.NOT_SUPPORTED


def test_an_id_that_is_too_long_is_rejected_with_its_field(wire: Wire) -> None:
    told = {"edi:message": "n", "edi:document": "m" * 500, "edi:from": EPJ, "edi:to": HUB, "edi:receipt": ""}
    adapter = Adapter("epj", EPJ, wire.carrier(), seal(), None, frozenset())  # type: ignore[arg-type]
    with pytest.raises(Unopened) as never:
        adapter.open(Parcel(told, b"<x/>"), AT)
    refusal = seal().refusal(never.value, AT)
    assert refusal is not None and refusal.headers["content-location"] == f"Messages/n/apprec/{HUB}" and b"T99" in refusal.body


@pytest.mark.parametrize("settings, wrong", [
    ({"url": "ftp://x"}, "url"), ({"her_ids": ["abc"]}, "HER-id"), ({"senders": ["0"]}, "HER-id"), ({"senders": [2**31]}, "HER-id"), ({"every": "soon"}, "varighet"),
    ({"helseid": {}}, "issuer, client_id, key_file, scope"),
])
def test_a_mistake_in_the_settings_is_named(wire: Wire, settings: dict[str, Any], wrong: str) -> None:
    around = wire.around()
    with pytest.raises(Misconfigured, match=wrong):
        carriers_edi.EdiCarrier(Surroundings(wire.home, "epj", EPJ, HUB, "S", {**around.settings, **settings}))


def test_an_override_that_the_api_does_not_have_is_named() -> None:
    with pytest.raises(Misconfigured, match="compress"):
        seal(ebxml={"compress": True})
