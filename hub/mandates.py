"""Mandates (fullmakt) that people give and end themselves, and that their holders lay down. Who cannot log in has theirs imported.

One transaction for each: the Consent, the RelatedPerson where the hub did not know them, and the access log's line. No session is looked for
when one ends: every page, notice and booking asks anew whether a mandate holds (`access.may_see`). What its holder had begun to write goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import NAMESPACE_URL, uuid5

from hub.access import AuditLine, Ground, Mandate, Person, Protection, Reader, Scope, child, protection
from hub.booking.clock import write
from hub.booking.conventions import BASE, DNR, FNR
from hub.booking.national_id import is_d_number, valid
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Store, Stored, Transaction

ORIGIN = "portal"
MOST = 30
"""Mandates that one person may have given at a time."""
LONGEST_NAME = 80
_CODE = "http://terminology.hl7.org/CodeSystem"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants to give. `key` is the form's own: the same again is the same mandate."""

    key: str
    name: str
    national_id: str = field(repr=False)
    scopes: frozenset[Scope]
    starts: date
    ends: date | None
    """The last day; None: until somebody ends it."""

    @property
    def identifier(self) -> tuple[str, str]:
        """System and value."""
        return DNR if is_d_number(self.national_id) else FNR, self.national_id


def may_give(reader: Reader, person: Person, now: datetime) -> bool:
    """The person alone gives mandates: no representative does, no child, and nobody represents who has a protected address."""
    return reader.ground is Ground.SELF and person.protection is Protection.OPEN and not child(person, now)


def lasts(mandate: Mandate, now: datetime) -> bool:
    """It holds, or will."""
    return mandate.active and (mandate.ends is None or now < mandate.ends)


@dataclass(frozen=True, slots=True)
class Mandates:
    """The verbs."""

    store: Store
    check: Callable[[Resource], None]
    """As `Keeping.check`."""

    def give(self, reader: Reader, wish: Wish) -> str:
        """Keeps a mandate from `reader`; its id.

        Whether the holder is known, or protected, is told to nobody: such a mandate is kept like any other, and gives a protected holder nothing.

        Raises:
            Refused: INVALID, NOT_ALLOWED, MANDATE_EXISTS, MANDATES_ENOUGH, MANDATE_TO_SELF.
        """
        id_ = str(uuid5(NAMESPACE_URL, f"mandate|{reader.reference}|{wish.key}"))

        def work(tx: Transaction) -> str:
            giver = tx.get("Patient", reader.reference.partition("/")[2])
            if giver is None or giver.deleted or not may_give(reader, Person.of(giver.resource), tx.now):
                raise Refused(Problem.NOT_ALLOWED, "only the person gives a mandate")
            if tx.get("Consent", id_) is not None:
                return id_
            _sound(wish)
            if any((i.get("system"), i.get("value")) == wish.identifier for i in giver.resource.get("identifier") or ()):
                raise Refused(Problem.MANDATE_TO_SELF, "nobody represents themselves")
            holder, given = self._holder(tx, reader.reference, wish), _lasting(tx, reader.reference)
            if any(holder in mandate.holders for mandate in given):
                raise Refused(Problem.MANDATE_EXISTS, "the holder has a mandate already")
            if len(given) >= MOST:
                raise Refused(Problem.MANDATES_ENOUGH, f"at most {MOST} mandates")
            self._keep(tx, consent(id_, reader.reference, holder, wish, tx.now))
            tx.audit(AuditLine(tx.now, reader.reference, reader.reference, reader.ground.value, "mandate-given", "", "portal"))
            return id_

        return self.store.write(work)

    def end(self, who: tuple[str, ...], id_: str) -> None:
        """Ends a mandate at once, for whoever gave it or holds it: `who` is every reference of somebody logged in. One that has ended stays so.

        Raises:
            Refused: NOT_ALLOWED where it is neither's, or was not given: what the law gives is not ended here.
        """

        def work(tx: Transaction) -> None:
            kept = tx.get("Consent", id_)
            mandate = Mandate.of(kept.resource) if kept is not None and not kept.deleted else None
            by = next((one for one in who if mandate and (one == mandate.person or one in mandate.holders)), "")
            if kept is None or mandate is None or not by or mandate.ground is not Ground.MANDATE:
                raise Refused(Problem.NOT_ALLOWED, "no mandate of theirs")
            if not lasts(mandate, tx.now):
                return
            self._keep(tx, {**kept.resource, "status": "inactive"})
            for holder in mandate.holders:
                tx.drafts.drop_all(holder, mandate.person)
            own = by == mandate.person
            ground, kind = (Ground.SELF, "mandate-ended") if own else (Ground.MANDATE, "mandate-declined")
            tx.audit(AuditLine(tx.now, mandate.person, by, ground.value, kind, "" if own else mandate.person, "portal"))

        self.store.write(work)

    def _holder(self, tx: Transaction, person: str, wish: Wish) -> str:
        """`RelatedPerson/…` of this person with this number; made where the hub has none, with what protects them elsewhere."""
        known = [kept for kind in ("RelatedPerson", "Patient") for kept in tx.find(kind, identifier="|".join(wish.identifier))]
        for kept in known:
            if kept.resource.get("patient", {}).get("reference") == person:
                return kept.reference
        system, value = wish.identifier
        made: Resource = {
            "resourceType": "RelatedPerson", "id": str(uuid5(NAMESPACE_URL, f"relative|{person}|{wish.key}")), "active": True,
            "identifier": [{"system": system, "value": value}], "patient": {"reference": person}, "name": [{"text": wish.name}],
        }
        labels = [label for kept in known if protection(kept.resource) is not Protection.OPEN for label in kept.resource["meta"]["security"]]
        return self._keep(tx, {**made, "meta": {"security": labels}} if labels else made).reference

    def _keep(self, tx: Transaction, made: Resource) -> Stored:
        self.check(made)
        return tx.keep(made, origin=ORIGIN)


def consent(id_: str, person: str, holder: str, wish: Wish, now: datetime) -> Resource:
    """The mandate as it is kept; as the imported ones."""
    period = {"start": wish.starts.isoformat(), **({"end": wish.ends.isoformat()} if wish.ends else {})}
    role = {"coding": [{"system": f"{_CODE}/v3-RoleCode", "code": "DELEGATEE"}]}
    return {
        "resourceType": "Consent", "id": id_, "status": "active",
        "scope": {"coding": [{"system": f"{_CODE}/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}]}],
        "patient": {"reference": person}, "dateTime": write(now), "performer": [{"reference": person}], "policyRule": {"text": "Fullmakt"},
        "provision": {
            "type": "permit", "period": period, "actor": [{"role": role, "reference": {"reference": holder}}],
            "code": [{"coding": [{"system": f"{BASE}/CodeSystem/mandate-scope", "code": scope.value}]} for scope in Scope if scope in wish.scopes],
        },
    }


def _sound(wish: Wish) -> None:
    """Raises Refused INVALID for a name, a number, scopes or days that nothing can be made of."""
    faults = {
        "no name, or one too long": not 0 < len(wish.name) <= LONGEST_NAME, "no national id": not valid(wish.national_id),
        "no scope gives anything without seeing visits": Scope.SEE not in wish.scopes,
        "writing without reading": Scope.WRITE_MESSAGES in wish.scopes and Scope.READ_MESSAGES not in wish.scopes,
        "ends before it begins": wish.ends is not None and wish.ends < wish.starts,
    }
    if found := next((fault for fault, holds in faults.items() if holds), ""):
        raise Refused(Problem.INVALID, found)


def _lasting(tx: Transaction, person: str) -> list[Mandate]:
    given = (Mandate.of(kept.resource) for kept in tx.find("Consent", patient=person))
    return [mandate for mandate in given if mandate.ground is Ground.MANDATE and lasts(mandate, tx.now)]
