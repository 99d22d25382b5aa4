"""The writing interactions, within a transaction: create, update, patch, delete, and their conditional forms. What a type's writing obeys is
its row in fhir/served.json: the rules of booking, or only those of FHIR."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import urlencode

from hub.access import ALL_DEPARTMENTS, AuditLine, Reader
from hub.booking import attachments, readable
from hub.booking.attachments import Limits
from hub.booking.messages import Post, is_message
from hub.dialogue import attach
from hub.faces.interaction import LARGEST, Answer, Asked, known, version_headers
from hub.faces.reading import Reading, conditional
from hub.feeds import Feeds
from hub.fhir import patch, search, strict_json, validate
from hub.fhir.definitions import Definitions
from hub.fhir.index import HashId
from hub.fhir.outcome import informed
from hub.fhir.references import ours
from hub.fhir.subset import is_part
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.scheduling.desk import HOLD_PREFIX, Desk, client
from hub.store import Stored, Transaction
from hub.store.values import persons

MESSAGE = "message"
"""What a client `may` state when its word is a message."""


class Writing:
    """What a client may write, in one transaction."""

    def __init__(
        self, tx: Transaction, desk: Desk, feeds: Feeds, definitions: Definitions, base: str, hash_id: HashId, limits: Limits = Limits(),
    ) -> None:
        """`limits`: of the files of a message."""
        self._limits = limits
        self._tx, self._desk, self._feeds, self._definitions, self._base, self._hash_id = tx, desk, feeds, definitions, base, hash_id
        self._reading = Reading(tx, definitions, base, hash_id)

    def create(self, asked: Asked, type_: str, id_: str = "") -> Answer:
        """201, or 200 with what `If-None-Exist` found. `id_`: the id it is given, where a transaction has promised one.

        Parameters in the address mean the same as the header: fhirpy sends its condition so, and to overlook it would make doubles.

        Raises:
            Refused: INVALID, OTHER_RESOURCE, MANY_MATCHES, or what the rules of booking say.
        """
        resource = self._body(asked, type_)
        in_address = urlencode([pair for pair in asked.pairs if pair[0] not in ("_format", "_pretty")])
        if in_address:
            self._guard(in_address)
        if criteria := asked.header(b"if-none-exist") or in_address:
            found = self.match(asked, type_, criteria)
            if found is not None:
                return self._answer(asked, found, 200)
        return self._created(asked, resource, id_)

    def _created(self, asked: Asked, resource: Resource, id_: str) -> Answer:
        type_, sent = resource["resourceType"], str(resource.get("id", ""))
        resource = {key: value for key, value in resource.items() if key != "id"}
        match self._definitions.served[type_].write:
            case "booking":
                return self._answer(asked, *self._booked(asked, resource, sent))
            case "answer":
                return self._answer(asked, self._desk.respond(self._tx, client(_reader(asked)), resource), 201)
        return self._answer(asked, self._record(asked, {**resource, "id": id_ or str(uuid.uuid4())}, "create", fresh=True), 201)

    def update(self, asked: Asked, type_: str, id_: str) -> Answer:
        """200, or 201 for a record under an id of the client's own. `If-Match` guards what the client saw.

        Raises:
            Refused: INVALID, OTHER_RESOURCE, OUT_OF_DATE, NOT_ALLOWED, or what the rules of booking say.
        """
        resource = self._body(asked, type_)
        if resource.get("id") != known(id_):
            raise Refused(Problem.OTHER_RESOURCE, "the id in the body is the id in the address", f"{type_}.id")
        return self._changed(asked, self._before(asked, type_, id_), resource)

    def update_where(self, asked: Asked, type_: str, criteria: str, id_: str = "") -> Answer:
        """Updates the one resource that matches; creates one where none does.

        Raises:
            Refused: MANY_MATCHES, OTHER_RESOURCE when the body has another id, and as `update`.
        """
        found = self._at(asked, type_, criteria)
        resource = self._body(asked, type_)
        if found is None and (own := str(resource.get("id") or "")):
            before = self._before(asked, type_, own)
            if before is not None and not before.deleted:
                raise Refused(Problem.OTHER_RESOURCE, "the id in the body is that of a resource which the condition does not meet", f"{type_}.id")
            return self._changed(asked, before, resource)
        asked.require(found)
        if found is None:
            return self._created(asked, resource, id_)
        if resource.get("id", found.id) != found.id:
            raise Refused(Problem.OTHER_RESOURCE, "the id in the body is not that of the resource that matches", f"{type_}.id")
        return self._changed(asked, found, {**resource, "id": found.id})

    def patch(self, asked: Asked, type_: str, id_: str, criteria: str = "") -> Answer:
        """200 with the resource as it is after the patch; weighed as an update.

        Raises:
            Refused: UNKNOWN_RESOURCE, DELETED, MANY_MATCHES, BAD_PATCH, and as `update`.
        """
        before = self._current(asked, type_, id_) if id_ else self._at(asked, type_, criteria)
        if before is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, f"no {type_} to patch")
        if before.deleted:
            raise Refused(Problem.DELETED, f"this {type_} was deleted")
        asked.require(before)
        media_type = asked.header(b"content-type").partition(";")[0].strip().lower()
        patched = patch.apply(strict_json.load(before.body), asked.body, media_type, self._definitions)
        if (patched.get("resourceType"), patched.get("id")) != (type_, before.id):
            raise Refused(Problem.BAD_PATCH, "a patch does not change the type or the id")
        gone = sorted(set(before.resource) - set(patched) - {"text"})
        if gone and self._definitions.served[type_].write == "booking":
            raise Refused(Problem.IMPOSSIBLE_CHANGE, f"a patch cannot remove {', '.join(gone)}", f"{type_}.{gone[0]}")
        patched = _plain_text(patched, before.resource)
        validate.require(patched, self._definitions)
        return self._changed(asked, before, ours(patched, self._base))

    def delete(self, asked: Asked, type_: str, id_: str, criteria: str = "") -> Answer:
        """204, also when it is gone already or never was.

        Raises:
            Refused: IN_USE: it belongs to a record, or others point to it; MANY_MATCHES, OUT_OF_DATE.
        """
        before = self._current(asked, type_, id_) if id_ else self._at(asked, type_, criteria)
        if before is None or before.deleted:
            return Answer(204, written=f"{type_}/{id_}" if id_ else "")
        if not self._definitions.served[type_].delete:
            raise Refused(Problem.IN_USE, f"a {type_} is not deleted: set its status instead")
        asked.require(before)
        gone = self._tx.remove(before, origin=_reader(asked).reference)
        self._audit(asked, persons([before]), f"delete {type_}")
        return Answer(204, b"", ((b"etag", gone.etag.encode()),), written=before.reference, modified=gone.last_updated)

    def match(self, asked: Asked, type_: str, criteria: str) -> Stored | None:
        """The one resource that matches; None: none does. Raises Refused MANY_MATCHES, BAD_SEARCH."""
        found = conditional(asked, type_, search.pairs(criteria), self._tx, self._definitions, self._hash_id, self._base)
        if len(found) > 1:
            raise Refused(Problem.MANY_MATCHES, "more than one resource meets the condition")
        return found[0] if found else None

    def _at(self, asked: Asked, type_: str, criteria: str) -> Stored | None:
        """As `match`, by criteria that stand in the address."""
        self._guard(criteria)
        return self.match(asked, type_, criteria)

    def _guard(self, criteria: str) -> None:
        """Criteria in the address, which logs hold."""
        if search.national(search.pairs(criteria)):
            raise Refused(Problem.BAD_SEARCH, "a national id must not stand in an address: use If-None-Exist, or find the id by POST _search")

    def _body(self, asked: Asked, type_: str) -> Resource:
        self._tx.putting = asked.method == "PUT"
        return asked.stated if asked.stated is not None else stated(asked, type_, self._definitions, self._base)

    def _before(self, asked: Asked, type_: str, id_: str) -> Stored | None:
        """What an update finds, for which the client's conditions hold. Raises Refused OUT_OF_DATE."""
        found = self._current(asked, type_, id_)
        asked.require(found)
        return found

    def _current(self, asked: Asked, type_: str, id_: str) -> Stored | None:
        """What is there, or was; what the reader does not see is as what never was."""
        return self._reading.sight.one(asked.reader, self._tx.get(type_, known(id_)))

    def _changed(self, asked: Asked, before: Stored | None, resource: Resource) -> Answer:
        """A version more of what is there, or the first; `asked.require` holds."""
        there = before is not None and not before.deleted
        if self._definitions.served[resource["resourceType"]].write == "booking":
            if before is None:
                raise Refused(Problem.NO_SUCH_INTERACTION, "a booking is made by POST: its id is the hub's to give")
            caller = client(_reader(asked))
            seen = str(before.version) if before is not None and asked.header(b"if-match") else ""
            return self._answer(asked, self._desk.update(self._tx, caller, resource, seen), 200)
        if before is None and self._tx.get(resource["resourceType"], resource["id"]) is not None:  # another's, that the client does not see
            raise _not_given(resource["resourceType"])
        return self._answer(asked, self._record(asked, resource, "update" if there else "create"), 200 if there else 201)

    def _booked(self, asked: Asked, resource: Resource, sent: str) -> tuple[Stored, int]:
        """The same again gives the same booking, and 200. A hold's id books what it holds."""
        if resource["status"] not in ("proposed", "pending", "booked"):
            raise Refused(Problem.IMPOSSIBLE_CHANGE, "a new booking is proposed, pending or booked", "Appointment.status")
        if sent.startswith(HOLD_PREFIX):
            resource = {**resource, "id": sent}
        before = len(self._tx.changes)
        booked = self._desk.book(self._tx, client(_reader(asked)), resource)
        return booked, 201 if any(change.seq == booked.seq for change in self._tx.changes[before:]) else 200

    def _record(self, asked: Asked, resource: Resource, word: str, fresh: bool = False) -> Stored:
        """A resource that is kept as it is sent. It must be one that the client sees: else it could write what it may not read."""
        reader = _reader(asked)
        if self._definitions.served[resource["resourceType"]].write == "subscription":
            resource = self._feeds.accept(self._tx, reader, resource)
        if self._definitions.served[resource["resourceType"]].write == "message":
            resource = self._said(asked, reader, resource)
        readable.demand(resource)
        self._in_own_name(reader, resource)
        kept = self._tx.keep(resource, origin=reader.reference, fresh=fresh)
        if not self._reading.sight.sees(reader, kept.type, kept.id):
            raise _not_given(kept.type)
        self._audit(asked, persons([kept]), f"{word} {kept.type}")
        return kept

    def _in_own_name(self, reader: Reader, resource: Resource) -> None:
        """A client adds and removes its own departments and no other's, and says nothing in another's name. Raises Refused NOT_ALLOWED."""
        others = self._reading.sight.others(reader, resource)
        before = self._tx.get(resource["resourceType"], resource["id"]) if reader.departments != ALL_DEPARTMENTS else None
        there = self._reading.sight.others(reader, before.resource) if before is not None and not before.deleted else frozenset()
        if others != there or (others and "sender" in resource):
            raise _not_given(resource["resourceType"])

    def _said(self, asked: Asked, reader: Reader, resource: Resource) -> Resource:
        """A message between a person and the service is a client's to write only where its word is one, and only in the service's name. Its
        files are taken out of it, and kept with it. Raises Refused NOT_ALLOWED, TOO_LARGE, and as `attach`.
        """
        kept = self._tx.get(resource["resourceType"], resource["id"])
        before = kept is not None and not kept.deleted and is_message(kept.resource)
        if not before and not is_message(resource):
            if len(asked.body) > LARGEST:
                raise Refused(Problem.TOO_LARGE, f"a body of more than {LARGEST} bytes, which is no message with files")
            return resource
        if MESSAGE not in reader.may_state or before or not Post.of(resource).from_service:
            raise Refused(Problem.NOT_ALLOWED, "a message is written once, by a client that may, as from a department", "Communication.sender")
        if not attachments.elements(resource):
            return resource
        return attach(self._tx, attachments.without(resource), attachments.files_of(resource), self._limits)

    def _audit(self, asked: Asked, about: tuple[str, ...], kind: str) -> None:
        reader = _reader(asked)
        self._tx.audit(*(
            AuditLine(self._tx.now, person, reader.reference, reader.ground.value, kind, reader.on_behalf_of, "fhir") for person in about
        ))

    def _answer(self, asked: Asked, kept: Stored, status: int) -> Answer:
        """As `Prefer: return=` wants it; the resource when it says nothing."""
        location = f"{self._base}/{kept.reference}/_history/{kept.version}".encode()
        headers = (*version_headers(kept), (b"location" if status == 201 else b"content-location", location))
        prefers = asked.prefers
        body = b"" if "return=minimal" in prefers else informed("kept") if "return=operationoutcome" in prefers else kept.body
        return Answer(status, body, headers, written=kept.reference, modified=kept.last_updated)


def stated(asked: Asked, type_: str, definitions: Definitions, base: str) -> Resource:
    """The resource in the body, with our own addresses as references of ours. Raises Refused UNREADABLE, OTHER_RESOURCE, INVALID."""
    resource = strict_json.load(asked.body)
    if resource.get("resourceType") != type_:
        raise Refused(Problem.OTHER_RESOURCE, f"the body is a {type_}", "resourceType")
    if asked.method == "PUT" and b"SUBSETTED" in asked.body and is_part(resource):
        raise Refused(Problem.INVALID, "a part of a resource (SUBSETTED) does not replace it: read it whole, or patch it", f"{type_}.meta.tag")
    validate.require(resource, definitions)
    absolute = base.encode() in asked.body or b"\\" in asked.body  # where nothing is, nothing is walked
    return ours(resource, base) if absolute else resource


Route = Callable[[Asked, Reading, Writing | None], Answer]
"""One interaction to its handler (hub.faces.rest)."""


def _reader(asked: Asked) -> Reader:
    if asked.reader is None:
        raise Refused(Problem.NOT_AUTHENTICATED, "a bearer token is needed")
    return asked.reader


def _not_given(type_: str) -> Refused:
    return Refused(Problem.NOT_ALLOWED, f"this token does not give this {type_}")


def _plain_text(patched: Resource, before: Resource) -> Resource:
    """A generated narrative would tell what was before the patch: it goes. One that a person wrote cannot be kept true, so that is refused."""
    text = patched.get("text")
    if text is None or text != before.get("text"):
        return patched
    if text.get("status") != "generated":
        raise Refused(Problem.BAD_PATCH, "the narrative was written by a person: send it anew with the patch", "text")
    return {key: value for key, value in patched.items() if key != "text"}
