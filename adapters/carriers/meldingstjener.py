"""NHN's Meldingstjener (MSH API v2) as plain calls: each is one request and what it came to. Source: facts/helsenorge.md 15.6.

What the service says in words is never repeated, since it may quote the document: only status, error code, request id and our own field names.
"""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from adapters.carriers.connections import Connections, Reply, later_by
from adapters.carriers.helseid import HelseId
from hub.adapter import Surroundings
from hub.config import Misconfigured
from hub.problem import Problem, Refused, Unavailable

LARGEST = 35 * 1024 * 1024
"""Bytes of a request (PostMessage's description)."""
LARGEST_ANSWER = 50 * 1024 * 1024
PAGE = 100
"""Messages in one list, at most (MessagesToFetch)."""
LATER = frozenset({401, 404, 408, 409, 423, 425, 429})
"""Statuses that say nothing of the letter itself: it waits."""
FIELDS = ("businessDocument", "contentType", "contentTransferEncoding", "ebXmlOverrides", "receiverHerIdsSubset", "appRecStatus", "appRecErrorList")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
Entry = dict[str, Any]
"""One object of the service's, as it stands in its answer."""


class Document(NamedTuple):
    """A message's document; where it could not be decoded, the service's answer as it came, and the trouble."""

    body: bytes
    media_type: str
    trouble: Refused | None = None


class Meldingstjener:
    """Settings: `url`, `helseid` (adapters.carriers.helseid), `source_system`, `api_version` (`2`), and those of adapters.carriers.connections."""

    def __init__(self, surroundings: Surroundings, clock: Callable[[], float]) -> None:
        """`clock`: seconds since 1970. Raises Misconfigured."""
        settings = surroundings.settings
        self._url = str(settings.get("url", "")).rstrip("/")
        if not self._url.startswith(("https://", "http://")):
            raise Misconfigured(f"adapters/{surroundings.name}.toml carrier: url er ingen https://-adresse")
        source = str(settings.get("source_system") or f"Besoksbro, v{version('besoksbro')}")
        self._headers = {"api-version": str(settings.get("api_version", "2")), "nhn-source-system": source, "accept": "application/json"}
        self._helseid = HelseId(surroundings, settings.get("helseid", {}), clock)
        self._connections = Connections(surroundings, self._url)

    def post(self, place: str, body: bytes) -> str:
        """Its number, when the service has taken it.

        Raises:
            Refused: NOT_DELIVERED, TOO_LARGE: it will never be taken like this.
            NotTaken: it was not, and may be later.
            Unavailable: nobody knows whether it was.
        """
        if len(body) > LARGEST:
            raise Refused(Problem.TOO_LARGE, f"{len(body)} bytes; the service takes {LARGEST}")
        reply = self._exchange("POST", place, body)
        if reply.status in (200, 201):
            return _posted(reply.content)
        if reply.status in LATER:
            later = _later(reply)
            raise NotTaken(later.detail, later.retry_after)
        if not 400 <= reply.status < 500:
            raise _later(reply)
        if reply.status == 403:
            raise Refused(Problem.NOT_DELIVERED, f"{_said(reply)}: our client may not send for our HER-id; its agreement must name it")
        named = ", ".join(name for name in FIELDS if name.lower().encode() in reply.content.lower())
        raise Refused(Problem.NOT_DELIVERED, f"{_said(reply)}: the service does not take it like this{': ' if named else ''}{named}")

    def unread(self, receivers: Iterable[int], sender: int | None, **more: object) -> list[Entry] | None:
        """Messages from one HER-id (None: from any) that their receivers have not read, with metadata, at most PAGE; None: the service does not let
        this client look there. Raises Unavailable."""
        of = [("SenderHerId", sender)] if sender is not None else []
        asked = [*(("ReceiverHerIds", her) for her in receivers), *of, ("IncludeMetadata", "true"), ("MessagesToFetch", PAGE)]
        reply = self._exchange("GET", f"Messages?{urlencode([*asked, *more.items()])}")
        if reply.status in (400, 403):
            return None
        return [{**one, "id": number(one.get("id"))} for one in _list(reply)]

    def document(self, message: str) -> Document:
        """Raises Unavailable."""
        reply = self._exchange("GET", f"Messages/{message}/business-document")
        if reply.status != 200:
            raise _later(reply)
        try:
            said = orjson.loads(reply.content)
            if said["contentTransferEncoding"].lower() != "base64":
                raise ValueError
            return Document(base64.b64decode(said["businessDocument"], validate=True), str(said.get("contentType") or ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            return Document(reply.content, "", Refused(Problem.UNREADABLE, "the service's document is not in base64", "businessDocument"))

    def status(self, message: str) -> list[Entry] | None:
        """What the service says of a message of ours, for each receiver; None: it knows none of that number. Raises Unavailable."""
        reply = self._exchange("GET", f"Messages/{message}/status")
        return None if reply.status == 404 else _list(reply)

    def receipts(self, message: str) -> list[Entry]:
        """The application receipts that a message has got. Raises Unavailable."""
        return _list(self._exchange("GET", f"Messages/{message}/apprec"))

    def mark_read(self, message: str, her: int) -> None:
        """For this receiver alone. What is gone is read. Raises Unavailable."""
        reply = self._exchange("PUT", f"Messages/{message}/read/{her}")
        if reply.status not in (200, 204, 404):
            raise _later(reply)

    def _exchange(self, method: str, place: str, body: bytes | None = None) -> Reply:
        headers: Mapping[str, str] = {**self._headers, **({"content-type": "application/json"} if body is not None else {})}
        return self._helseid.exchange(self._connections, method, f"{self._url}/{place}", body, headers, LARGEST_ANSWER, "document")

    def close(self) -> None:
        self._connections.close()
        self._helseid.close()


class NotTaken(Unavailable):
    """The service said that it has not taken a letter; later it may."""


def number(told: Any) -> str:
    """A message's number, which goes into addresses. Raises Unavailable."""
    try:
        return str(uuid.UUID(str(told)))
    except ValueError as wrong:
        raise Unavailable("the service's number of a message is no UUID") from wrong


def _posted(content: bytes) -> str:
    try:
        return number(orjson.loads(content))
    except ValueError as wrong:
        raise Unavailable("the service took it and did not say under which number") from wrong


def _list(reply: Reply) -> list[Entry]:
    if reply.status != 200:
        raise _later(reply)
    try:
        said = orjson.loads(reply.content)
    except ValueError as wrong:
        raise Unavailable("the service's list is no JSON") from wrong
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise Unavailable("the service's answer is no list")
    return said


def _later(reply: Reply) -> Unavailable:
    what = {401: ": it does not take our token (audience, scope, proof)", 403: ": HelseID's client may not act for this HER-id"}
    after = {name.lower(): value for name, value in reply.headers.items()}.get("retry-after", "")
    return Unavailable(_said(reply) + what.get(reply.status, ""), later_by(after, time.time()))


def _said(reply: Reply) -> str:
    """Status, error code and the request id by which the service's support finds it."""
    try:
        told = orjson.loads(reply.content)
    except ValueError:
        told = None
    code, request = (told.get("errorCode"), str(told.get("requestId"))) if isinstance(told, dict) else (None, "")
    more = (f", errorCode {code}" if isinstance(code, int) else "") + (f", requestId {request}" if _UUID.fullmatch(request) else "")
    return f"HTTP {reply.status} from the message service{more}"
