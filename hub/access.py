"""Who may see and do what: readers, grounds, mandates, protected addresses, and the audit line of each answer. Pure; fails closed.

Rules: a person sees their own; a representative sees what an active mandate's scopes say; a vendor sees what concerns its
departments; an operator sees nothing of a person without a purpose; an employee books for a person, or reads and answers what people
wrote to their department. Nobody represents, or is represented by, a person with a protected address.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from hub.message import Resource
from hub.scopes import EVERYTHING, Scopes

OSLO = ZoneInfo("Europe/Oslo")
CONFIDENTIALITY = "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality"
"""The address confidentiality code system, stated on Patient and RelatedPerson as meta.security."""
PARENT_UNTIL = 16
"""Years: from this birthday parental responsibility gives no access (facts: Helsenorge)."""
ALL_DEPARTMENTS = frozenset({"*"})
FIRST_YEAR, LAST_YEAR = 1900, 2200


class Ground(StrEnum):
    """Why somebody may read."""

    SELF = "self"
    MANDATE = "mandate"
    PARENT = "parent"
    GUARDIAN = "guardian"
    OPERATOR = "operator"
    STAFF = "staff"
    """An employee who acts for a person, at their wish."""
    SERVICE = "service"
    """An employee who reads and answers what people write to their department."""
    VENDOR = "vendor"


REPRESENTS = frozenset({Ground.MANDATE, Ground.PARENT, Ground.GUARDIAN})


class Scope(StrEnum):
    """What a mandate covers; the codes of CodeSystem/mandate-scope."""

    SEE = "se-besok"
    BOOK = "bestille"
    READ_MESSAGES = "lese-meldinger"
    WRITE_MESSAGES = "skrive-meldinger"
    NOTICES = "varsler"


class Protection(StrEnum):
    """How far a person's address is protected. UNKNOWN is treated as the strictest."""

    OPEN = "open"
    CONFIDENTIAL = "fortrolig"
    STRICTLY_CONFIDENTIAL = "strengtFortrolig"
    UNKNOWN = "unknown"


_PROTECTION = {
    "ugradert": Protection.OPEN,
    "klientadresse": Protection.OPEN,
    "fortrolig": Protection.CONFIDENTIAL,
    "strengtFortrolig": Protection.STRICTLY_CONFIDENTIAL,
}
_STRICTEST = (Protection.UNKNOWN, Protection.STRICTLY_CONFIDENTIAL, Protection.CONFIDENTIAL)


def protection(resource: Resource | None) -> Protection:
    """How a Patient or RelatedPerson is protected: no label means open, a label we do not know or no resource at all means unknown."""
    if resource is None:
        return Protection.UNKNOWN
    labels = (resource.get("meta") or {}).get("security") or []
    levels = {_PROTECTION.get(label.get("code", ""), Protection.UNKNOWN) for label in labels if _about_address(label)}
    return next((level for level in _STRICTEST if level in levels), Protection.OPEN)


def _about_address(label: dict[str, Any]) -> bool:
    """Also a label whose system is missing or written otherwise counts, so that a slip never opens anything."""
    return "confidentiality" in str(label.get("system", "")).lower() or label.get("code") in _PROTECTION


@dataclass(frozen=True, slots=True)
class Person:
    """Whose data it is."""

    reference: str
    """`Patient/…`."""
    protection: Protection = Protection.UNKNOWN
    born: date | None = None
    departments: frozenset[str] = frozenset()
    """HealthcareService ids that what is read concerns; for vendors."""

    @classmethod
    def of(cls, patient: Resource, departments: Iterable[str] = ()) -> Person:
        born = patient.get("birthDate", "")
        return cls(f"Patient/{patient['id']}", protection(patient), date.fromisoformat(born) if len(born) == 10 else None, frozenset(departments))


_ROLE_GROUND = {"PRN": Ground.PARENT, "FTH": Ground.PARENT, "MTH": Ground.PARENT, "GUARD": Ground.GUARDIAN}
"""Consent.provision.actor.role (v3-RoleCode); everything else is a mandate the person gave."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """Who may act for whom, with which scopes, when. Made from a Consent."""

    id: str
    person: str
    """`Patient/…`: who is represented."""
    holders: frozenset[str]
    """`RelatedPerson/…`: who may act."""
    ground: Ground
    scopes: frozenset[Scope]
    starts: datetime | None
    ends: datetime | None
    """The first moment it no longer holds; None: open."""
    active: bool

    @classmethod
    def of(cls, consent: Resource) -> Mandate:
        """Reads a Consent; what it does not permit in so many words is not permitted."""
        provision = consent.get("provision") or {}
        actors = provision.get("actor") or []
        roles = [c.get("code", "") for a in actors for c in (a.get("role") or {}).get("coding") or []]
        codes = {c.get("code", "") for concept in provision.get("code") or [] for c in concept.get("coding") or []}
        period = provision.get("period") or {}
        return cls(
            id=consent.get("id", ""),
            person=(consent.get("patient") or {}).get("reference", ""),
            holders=frozenset((a.get("reference") or {}).get("reference", "") for a in actors) - {""},
            ground=next((_ROLE_GROUND[r] for r in roles if r in _ROLE_GROUND), Ground.MANDATE),
            scopes=frozenset(s for s in Scope if s.value in codes),
            starts=moment(period["start"]) if "start" in period else None,
            ends=moment(period["end"], end=True) if "end" in period else None,
            active=consent.get("status") == "active" and provision.get("type", "permit") == "permit",
        )

    def holds(self, now: datetime) -> bool:
        """It holds at `now`: from its first moment, and not at its end or later."""
        return self.active and (self.starts is None or self.starts <= now) and (self.ends is None or now < self.ends)


def moment(text: str, *, end: bool = False) -> datetime:
    """A FHIR date or dateTime as a time in UTC. A date is a day in Norway; as an `end` it means the whole day."""
    if not FIRST_YEAR <= int(text[:4]) <= LAST_YEAR:  # «9999-12-31» is how people write for ever
        return datetime(FIRST_YEAR if int(text[:4]) < FIRST_YEAR else LAST_YEAR, 1, 1, tzinfo=UTC)
    if len(text) <= 10:
        parts = [int(p) for p in text.split("-")]
        day = date(parts[0], parts[1] if len(parts) > 1 else 1, parts[2] if len(parts) > 2 else 1)
        if end:
            day = _after(day, len(parts))
        return datetime.combine(day, time(), OSLO).astimezone(UTC)
    value = datetime.fromisoformat(text.replace(":60", ":59", 1) if text[16:19] == ":60" else text)  # a leap second, which R4 lets be told
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=OSLO).astimezone(UTC)


def _after(day: date, precision: int) -> date:
    """The first day after the day (3), month (2) or year (1) that `day` begins."""
    if precision == 3:
        return day + timedelta(days=1)
    if precision == 1 or day.month == 12:
        return date(day.year + 1, 1, 1)
    return date(day.year, day.month + 1, 1)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, and on what ground."""

    reference: str
    """`Patient/…`, `RelatedPerson/…`, `operator:<name>`, `staff:<name>` or `adapter:<name>`."""
    ground: Ground
    mandate: Mandate | None = None
    """For a representative: the mandate it acts on."""
    protection: Protection = Protection.UNKNOWN
    """The reader's own; a representative must be known to be open."""
    departments: frozenset[str] = frozenset()
    """For a vendor, or an employee who answers messages: HealthcareService ids; ALL_DEPARTMENTS for every one."""
    purpose: str = ""
    """For an operator or an employee: why a person's data is opened."""
    scopes: Scopes = EVERYTHING
    """For a vendor: what its token is good for."""
    may_state: frozenset[str] = frozenset({"book", "move", "cancel"})
    """For a vendor: what its word on a booking is good for (`Adapter.may_state`)."""

    def may(self, type_: str, letter: str) -> bool:
        """True when the token is good for this interaction (a letter of `hub.scopes.ORDER`) with this type; departments limit it further."""
        return self.scopes.may(type_, letter)

    @property
    def on_behalf_of(self) -> str:
        """`Patient/…` when somebody else is represented, else empty."""
        return self.mandate.person if self.mandate and self.ground in REPRESENTS else ""


class Information(StrEnum):
    """Kinds of information a page may show (facts/portal.md 3.5)."""

    VISIT = "visit"              # day, time, status, kind of service
    DEPARTMENT = "department"    # the department's own name, which may tell a district
    PERFORMER = "performer"      # the first name of who comes
    MESSAGES = "messages"
    MANDATES = "mandates"        # who else represents the person
    ADDRESS = "address"          # also door code and key box
    NOTES = "notes"              # notes, diagnosis, medicine, the decision's text
    ACCESS_LOG = "access-log"


_BY_SCOPE = {
    Information.VISIT: Scope.SEE,
    Information.DEPARTMENT: Scope.SEE,
    Information.PERFORMER: Scope.SEE,
    Information.MESSAGES: Scope.READ_MESSAGES,
}
"""What a representative may see, and with which scope. What is not here, never."""
_OWN = frozenset(_BY_SCOPE) | {Information.MANDATES, Information.ACCESS_LOG}
_TELLS_WHERE = frozenset({Information.DEPARTMENT, Information.PERFORMER, Information.ADDRESS})
"""What could tell where a person lives: never shown of a protected one."""


def may_see(reader: Reader, person: Person, scope: Scope, now: datetime) -> bool:
    """True when `reader` has ground to see, or do, what `scope` says for `person` at `now`."""
    match reader.ground:
        case Ground.SELF:
            return reader.reference == person.reference
        case Ground.MANDATE | Ground.PARENT | Ground.GUARDIAN:
            return _represents(reader, person, scope, now)
        case Ground.OPERATOR:
            return bool(reader.purpose) and scope in (Scope.SEE, Scope.READ_MESSAGES) and person.protection is Protection.OPEN
        case Ground.STAFF:
            return bool(reader.purpose) and scope in (Scope.SEE, Scope.BOOK) and person.protection is Protection.OPEN
        case Ground.SERVICE:
            theirs = reader.departments == ALL_DEPARTMENTS or bool(reader.departments & person.departments)
            return theirs and scope in (Scope.READ_MESSAGES, Scope.WRITE_MESSAGES) and person.protection is Protection.OPEN
        case Ground.VENDOR:
            return reader.departments == ALL_DEPARTMENTS or bool(reader.departments & person.departments)


def _represents(reader: Reader, person: Person, scope: Scope, now: datetime) -> bool:
    mandate = reader.mandate
    if mandate is None or mandate.ground is not reader.ground:
        return False
    if person.protection is not Protection.OPEN or reader.protection is not Protection.OPEN:
        return False
    if mandate.person != person.reference or reader.reference not in mandate.holders:
        return False
    if mandate.ground is Ground.PARENT and not child(person, now):
        return False
    return mandate.holds(now) and scope in mandate.scopes


def child(person: Person, now: datetime) -> bool:
    """Younger than PARENT_UNTIL in Norway at `now`; somebody whose birth date is unknown is not."""
    if person.born is None:
        return False
    today = now.astimezone(OSLO).date()
    had_birthday = (today.month, today.day) >= (person.born.month, person.born.day)
    return today.year - person.born.year - (not had_birthday) < PARENT_UNTIL


def shows(reader: Reader, person: Person, information: Information, now: datetime) -> bool:
    """True when a page for `reader` may show this kind of information about `person`."""
    if information in _TELLS_WHERE and person.protection is not Protection.OPEN:
        return False
    if reader.ground is Ground.SELF:
        return information in _OWN and may_see(reader, person, Scope.SEE, now)
    scope = _BY_SCOPE.get(information)
    return scope is not None and may_see(reader, person, scope, now)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the access log: who read or changed what kind of information about whom, why and when.

    `kind` and `channel` are words from the code (`visits`, `visit`, `search Appointment`), never an id, a name or a search text.
    """

    at: datetime
    person: str
    """`Patient/…`: whose data."""
    reader: str
    """`Patient/…`, `RelatedPerson/…`, `operator:<name>` or `adapter:<name>`."""
    ground: str
    kind: str
    on_behalf_of: str = ""
    channel: str = ""
    """`portal`, `console`, `fhir`, `inbox`."""
    given: bool = True
    """False: it was asked for and refused."""
