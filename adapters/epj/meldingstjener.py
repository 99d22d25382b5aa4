"""A Meldingstjener in a box: keeps and hands on documents as NHN's MSH API v2 says, between the HER-ids of its clients, with faults on demand.

It is written from the OpenAPI file (facts/helsenorge.md 15.6), against which the tests check what it is asked and what it answers.
"""

from __future__ import annotations

import base64
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from adapters.epj.sts import Answer, Client, Sts
from ebxml import apprec, msghead
from ebxml.errors import Violation
from ebxml.kith import HER, Coded, Ident, Party

AUDIENCE = "nhn:msh"
LOST, DROPPED, SLOW = "lost", "dropped", "slow"
STATUS = {"Ok": apprec.OK, "Rejected": apprec.REJECTED, "OkErrorInMessagePart": apprec.PARTLY}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came, header names in lower case. `host`: scheme, host and port."""

    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request: a status; LOST (done, and the connection closed), DROPPED (closed, nothing done), SLOW (done, and the
    answer held back until the service is told to go on)."""

    kind: int | str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Kept:
    """One message. `receipt`: what its receiver's application said of it."""

    id: str
    sender: int
    receiver: int
    document_id: str
    generated: str
    body: bytes
    is_receipt: bool = False
    read: bool = False
    state: str = "Acknowledged"
    receipt: dict[str, Any] | None = None
    fetched: int = 0


class Service:
    """One Meldingstjener and its HelseID. `fault` decides what goes wrong with a request; `accepts` what a document that comes in is at first:
    Acknowledged, Unconfirmed or Rejected by its receiver's system."""

    def __init__(self, sts: Sts) -> None:
        self.sts = sts
        self.messages: list[Kept] = []
        self.seen: list[tuple[Request, Answer | None]] = []
        """Every request, and what it was answered; None: nothing."""
        self.fault: Callable[[Request], Fault | None] = lambda request: None
        self.accepts = "Acknowledged"
        self.twice = False
        """Each list names its messages twice."""
        self.go_on = threading.Event()
        self._lock = threading.RLock()

    def handle(self, request: Request) -> Answer | None:
        """None: the connection is closed without an answer."""
        fault = self.fault(request)
        if fault is not None and isinstance(fault.kind, int):
            answer: Answer | None = self._error(fault.kind, "An unknown error occurred", headers=fault.headers)
        elif fault is not None and fault.kind == DROPPED:
            answer = None
        else:
            with self._lock:
                answer = self._answer(request)
            if fault is not None and fault.kind == SLOW:
                self.go_on.wait(30)
            if fault is not None and fault.kind == LOST:
                answer = None
        self.seen.append((request, answer))
        return answer

    def _answer(self, request: Request) -> Answer:
        if request.path == "/.well-known/openid-configuration":
            return self.sts.metadata()
        if request.path == "/connect/token":
            return self.sts.token(request.body, request.headers)
        client = self.sts.admit(request.method, request.host + request.path, request.headers, AUDIENCE)
        if not isinstance(client, Client):
            return client
        if not request.headers.get("api-version") or not request.headers.get("nhn-source-system"):
            return self._error(400, "Model validation error occurred", ["api-version and nhn-source-system are required"])
        for method, pattern, work in _ROUTES:
            if method == request.method and (found := re.fullmatch(pattern, request.path)):
                return work(self, client, request, *found.groups())
        return self._error(404, "Not found")

    def _error(self, status: int, text: str, wrong: list[str] | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        said = {"error": text, "errorCode": 1000 if wrong else 0, "validationErrors": wrong, "stackTrace": None, "requestId": str(uuid.uuid4())}
        return status, dict(headers or {}), orjson.dumps(said)

    def _list(self, client: Client, request: Request) -> Answer:
        asked = dict(request.query)
        hers = [int(value) for name, value in request.query if name == "ReceiverHerIds"]
        many = int(asked.get("MessagesToFetch", 10))
        if not hers or not 1 <= many <= 100:
            return self._error(400, "Model validation error occurred", ["ReceiverHerIds"])
        if not client.her_ids.issuperset(hers):
            return self._error(403, "Not authorized for HerId(s)")
        found = [
            kept for kept in self.messages
            if not kept.read and kept.state != "Rejected" and kept.receiver in hers and str(kept.sender) == asked.get("SenderHerId", str(kept.sender))
            and kept.document_id == asked.get("BusinessDocumentId", kept.document_id)
        ]
        found.sort(key=lambda kept: kept.generated, reverse=asked.get("OrderBy") == "Descending")
        told = list(_metadata(found[0])) if found and asked.get("IncludeMetadata") == "true" else ["id", "receiverHerId"]
        listed = [{name: value for name, value in _metadata(kept).items() if name in told} for kept in found[:many]]
        return 200, {}, orjson.dumps([one for one in listed for _ in range(2 if self.twice else 1)])

    def _post(self, client: Client, request: Request) -> Answer:
        try:
            said = orjson.loads(request.body)
            body = base64.b64decode(said["businessDocument"], validate=True)
            message = msghead.read_info(body)
        except (ValueError, KeyError, TypeError, Violation):
            return self._error(400, "Model validation error occurred", ["businessDocument is not valid"])
        if not re.match(rb"<\?xml[^>]*encoding=.utf-8", body, re.IGNORECASE) or said.get("contentTransferEncoding") != "base64":
            return self._error(400, "Model validation error occurred", ["businessDocument must be UTF-8 XML, declared as such, in base64"])
        sender, receiver = _her(message.sender), _her(message.receiver)
        if sender not in client.her_ids:
            return self._error(403, "Not authorized for HerId(s)")
        if receiver not in (said.get("receiverHerIdsSubset") or [receiver]):
            return self._error(400, "Model validation error occurred", ["receiverHerIdsSubset names nobody of the document"])
        return self._created(self._keep(sender, receiver, message.id, body))

    def _keep(self, sender: int, receiver: int, document_id: str, body: bytes, *, is_receipt: bool = False) -> str:
        made = datetime.now(UTC).isoformat()
        kept = Kept(str(uuid.uuid4()), sender, receiver, document_id, made, body, is_receipt, state=self.accepts)
        self.messages.append(kept)
        return kept.id

    def _created(self, id_: str) -> Answer:
        return 201, {"location": f"/Messages/{id_}"}, orjson.dumps(id_)

    def _one(self, client: Client, request: Request, id_: str, part: str | None = None) -> Answer:
        kept = self.message(id_)
        if kept is None:
            return self._error(404, "Could not find database document")
        if not client.her_ids & {kept.sender, kept.receiver}:
            return self._error(403, "Not authorized for HerId(s)")
        said: Any
        if part == "/business-document":
            kept.fetched += 1
            said = {"businessDocument": base64.b64encode(kept.body).decode(), "contentType": "application/xml", "contentTransferEncoding": "base64"}
        elif part == "/status":
            told = kept.receipt["appRecStatus"] if kept.receipt else None
            said = [{"receiverHerId": kept.receiver, "transportDeliveryState": kept.state, "appRecStatus": told}]
        elif part == "/apprec":
            said = [{"receiverHerId": kept.receiver, **(kept.receipt or {"appRecStatus": None, "appRecErrorList": None})}]
        else:
            said = _metadata(kept)
        return 200, {}, orjson.dumps(said)

    def _read(self, client: Client, request: Request, id_: str, her: str) -> Answer:
        kept = self.message(id_)
        if kept is None or kept.receiver != int(her):
            return self._error(404, "Could not find database document")
        if int(her) not in client.her_ids:
            return self._error(403, "Not authorized for HerId(s)")
        kept.read = True
        return 204, {}, b""

    def _receipt(self, client: Client, request: Request, id_: str, her: str) -> Answer:
        """The service writes the AppRec, and sends it to whom the message was from."""
        kept, said = self.message(id_), orjson.loads(request.body)
        if kept is None or kept.receiver != int(her):
            return self._error(404, "Could not find database document")
        if int(her) not in client.her_ids:
            return self._error(403, "Not authorized for HerId(s)")
        errors = said.get("appRecErrorList") or []
        if said.get("appRecStatus") not in STATUS or (said["appRecStatus"] == "Rejected" and not errors):
            return self._error(400, "Model validation error occurred", ["appRecStatus and appRecErrorList do not fit"])
        kept.receipt = {"appRecStatus": said["appRecStatus"], "appRecErrorList": errors}
        try:
            message = msghead.read_info(kept.body)
        except Violation:  # it may be rejected all the same: the service knows who sent it, and under which id
            sender, receiver = (Party(str(named), (Ident(str(named), HER),)) for named in (kept.sender, kept.receiver))
            message = msghead.MsgHead(Coded(""), kept.document_id, None, sender, receiver, documents=())
        receipt = apprec.AppRec(
            id=str(uuid.uuid4()), generated=datetime.now(UTC), sender=message.receiver, receiver=message.sender, status=STATUS[said["appRecStatus"]],
            original_type=message.type, original_issued=message.generated_text, original_id=message.id,
            errors=tuple(Coded(e["errorCode"] or "", e.get("description") or "", e.get("oid") or apprec.ERRORS, e["details"] or "") for e in errors),
        )
        return self._created(self._keep(kept.receiver, kept.sender, receipt.id, apprec.write(receipt), is_receipt=True))

    def message(self, id_: str) -> Kept | None:
        return next((kept for kept in self.messages if kept.id == id_), None)

    def to(self, her: int | str, *, receipts: bool = False) -> list[Kept]:
        """What has come for one HER-id, read or not: documents, or application receipts."""
        return [kept for kept in self.messages if kept.receiver == int(her) and kept.is_receipt is receipts]


_ID = r"/Messages/([0-9a-f-]{36})"
_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", r"/Messages", Service._list), ("POST", r"/Messages", Service._post),
    ("GET", rf"{_ID}(/business-document|/status|/apprec)?", Service._one),
    ("POST", rf"{_ID}/apprec/([0-9]+)", Service._receipt), ("PUT", rf"{_ID}/read/([0-9]+)", Service._read),
)


def _metadata(kept: Kept) -> dict[str, Any]:
    return {
        "id": kept.id, "contentType": "application/xml", "receiverHerId": kept.receiver, "senderHerId": kept.sender,
        "businessDocumentId": kept.document_id, "businessDocumentGenDate": kept.generated, "isAppRec": kept.is_receipt,
    }


def _her(party: Party) -> int:
    """The HER-id of level 2 where there is one."""
    return int((party.inner.ident(HER) if party.inner else "") or party.ident(HER) or 0)


@contextmanager
def serving(service: Service, port: int) -> Iterator[ThreadingHTTPServer]:
    """Answers on 127.0.0.1 while inside."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's delayed ACK

        def _do(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            answer = service.handle(Request(self.command, f"http://{headers.get('host', '')}", self.path, headers, body))
            if answer is None:
                self.close_connection = True
                return
            status, more, content = answer
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _do

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        service.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
