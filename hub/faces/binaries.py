"""`GET Binary/<id>`: a file of a message, for whoever may read the message itself (R4 binary.html). As it is, or as a Binary in JSON or XML where
FHIR is asked for. Nothing of a message's files is written, searched or listed here: a message is created with them.
"""

from __future__ import annotations

import base64

import orjson

from hub.access import AuditLine, Reader
from hub.booking import attachments
from hub.dialogue import file_of
from hub.faces.formats import FORMATS, XML, acceptable, media_type, worded
from hub.faces.interaction import JSON, READS, Answer, Asked, Header
from hub.faces.sight import Sight
from hub.faces.web import ID, SEALED_OFF, disposition
from hub.fhir.definitions import Definitions
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Store
from hub.store.values import persons

TYPE = "Binary"


def rows() -> list[Resource]:
    """What the CapabilityStatement says of it."""
    return [{
        "type": TYPE, "interaction": [{"code": "read"}], "versioning": "no-version", "searchParam": [], "operation": [],
        "documentation": "The files of messages, for whoever may read the Communication that tells of one. In their own media types, or as a "
                         "Binary where application/fhir+json or application/fhir+xml is asked for. Nothing else is a Binary here.",
    }]


class Binaries:
    """hub.faces.beside.Part."""

    largest = 0
    worded = False

    def __init__(self, store: Store, definitions: Definitions) -> None:
        self._store, self._definitions, self._sight = store, definitions, Sight(store, definitions)

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        return READS if len(path) == 2 and path[0] == TYPE and ID.fullmatch(path[1]) else ()

    def answer(self, asked: Asked, reader: Reader) -> Answer:
        """Whoever may not read the message gets what whoever asks for a file that never was gets.

        Raises:
            Refused: UNKNOWN_RESOURCE, NOT_ACCEPTABLE, SCOPE_MISSING.
        """
        if not reader.may("Communication", "r"):
            raise Refused(Problem.SCOPE_MISSING, "a file of a message is given to who may read the Communication")
        id_ = asked.path[1]
        message = self._store.attachments.message(id_)
        kept = self._store.get("Communication", message) if message and self._sight.sees(reader, "Communication", message) else None
        told = next((a for a in attachments.of(kept.resource) if a.id == id_), None) if kept is not None and not kept.deleted else None
        if kept is None or told is None or (body := file_of(self._store, message, id_)) is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no Binary with that id")
        answer = self._worded(asked, id_, kept.reference, told.media_type, told.title, body)
        self._store.audit_later(
            AuditLine(self._store.now(), person, reader.reference, reader.ground.value, f"read {TYPE}", reader.on_behalf_of, "fhir")
            for person in persons([kept])
        )
        return answer

    def _worded(self, asked: Asked, id_: str, message: str, kind: str, title: str, body: bytes) -> Answer:
        context: Header = (b"x-security-context", message.encode())
        if _raw(asked, kind):
            return Answer(200, body, (
                context, (b"content-disposition", disposition(title).encode()), (b"x-content-type-options", b"nosniff"),
                (b"content-security-policy", SEALED_OFF.encode()),
            ), media_type=kind)
        format_ = acceptable(asked)
        data = base64.b64encode(body).decode()
        made = {"resourceType": TYPE, "id": id_, "contentType": kind, "securityContext": {"reference": message}, "data": data}
        answer = worded(Answer(200, orjson.dumps(made), (context,)), format_, self._definitions)
        return Answer(200, answer.body, answer.headers, media_type=f"{XML if format_ == XML else JSON}; fhirVersion=4.0; charset=utf-8")


def _raw(asked: Asked, kind: str) -> bool:
    """It is asked for as it is: by its own type before FHIR's, by a star, or by nothing (R4 binary.html#rest)."""
    if any(name == "_format" and value for name, value in asked.pairs):
        return False
    names = [media_type(one)[0] for one in (asked.header(b"accept") or "*/*").split(",")]
    first = next((name for name in names if name in (kind, f"{kind.partition('/')[0]}/*", "*/*") or name in FORMATS), "")
    return first != "" and first not in FORMATS
