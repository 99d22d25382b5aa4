"""What the Norwegian (KITH) document standards share: coded values, identifiers, parties, times and escaping.

Readers decide on `V` and list what they tolerated; writers escape every field. No clock: times are given, and a time without a zone is
Norwegian wall time (facts: seen in MsgHead GenDate and ebMS Timestamp).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from lxml import etree

OSLO = ZoneInfo("Europe/Oslo")
HER, ENH, FNR, DNR = "HER", "ENH", "FNR", "DNR"
_PLAIN = re.compile(r"[\w .:/@#=+?,;()-]*", re.ASCII)
"""What needs no escaping anywhere: most of what is written."""
_UNSPEAKABLE = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
VOLVEN = "2.16.578.1.12.4.1.1."
ORGANISATION_IDS, PERSON_IDS = VOLVEN + "9051", VOLVEN + "8116"
ID_NAMES = {HER: "HER-id", ENH: "Organisasjonsnummeret i Enhetsregisteret", FNR: "Fødselsnummer", DNR: "D-nummer", "HPR": "HPR-nummer"}


@dataclass(frozen=True, slots=True)
class Coded:
    """KITH CS or CV: `V`, `DN`, and for CV the code list `S` and the original text `OT`."""

    v: str
    dn: str = ""
    s: str = ""
    ot: str = ""


@dataclass(frozen=True, slots=True)
class Ident:
    """An identifier and its type (Volven 9051 or 8116)."""

    id: str
    type: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody lives or is. `district` (CityDistr) is AppRec's alone, `postbox` MsgHead's and Dialogmelding's."""

    type: Coded = Coded("")
    """Volven 3401."""
    street: str = ""
    postal_code: str = ""
    city: str = ""
    postbox: str = ""
    county: Coded = Coded("")
    country: Coded = Coded("")
    district: Coded = Coded("")
    telecoms: tuple[str, ...] = ()
    """TeleAddress of AppRec's Address, as URIs."""


@dataclass(frozen=True, slots=True)
class TeleCom:
    """`tel:`, `mailto:` … and of which kind (Volven 8110)."""

    address: str
    type: Coded = Coded("")


@dataclass(frozen=True, slots=True)
class Person:
    """A patient, a professional or another person."""

    family: str = ""
    given: str = ""
    middle: str = ""
    born: str = ""
    """xs:date as text."""
    idents: tuple[Ident, ...] = ()
    sex: Coded = Coded("")
    """Volven 3101."""
    nationality: Coded = Coded("")
    address: Address | None = None
    telecoms: tuple[TeleCom, ...] = ()
    type: Coded = Coded("")
    """TypeHealthcareProfessional (Volven 9060): of a professional only."""
    role_to_patient: Coded = Coded("")
    """Volven 9034: of a professional only."""


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation, and what is inside it: level 1 → level 2 (a service or a person)."""

    name: str
    idents: tuple[Ident, ...]
    inner: Party | None = None
    person: bool = False
    """A HealthcareProfessional, not an Organisation."""
    type: Coded = Coded("")
    """TypeOrganisation; in an AppRec the Type of a department or a professional."""
    address: Address | None = None
    telecoms: tuple[TeleCom, ...] = ()
    who: Person | None = None
    """Of a professional in a MsgHead: all that is told."""
    beside: tuple[Party, ...] = ()
    """More that stands at the level of `inner`."""
    speciality: Coded = Coded("")
    """AppRec's MedSpeciality."""

    def ident(self, type_: str) -> str:
        """The identifier of this type; empty when there is none."""
        return next((i.id for i in self.idents if i.type == type_), "")


def text(value: str) -> str:
    """Element content, escaped as Canonical XML has it; characters that XML 1.0 cannot hold are left out."""
    if _PLAIN.fullmatch(value):
        return value
    return _UNSPEAKABLE.sub("", value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def attribute(value: str) -> str:
    """A quoted attribute value, escaped as Canonical XML has it."""
    if not _PLAIN.fullmatch(value):
        value = _UNSPEAKABLE.sub("", value).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        value = value.replace("\t", "&#x9;").replace("\n", "&#xA;")
    return f'"{value}"'


def coded(tag: str, code: Coded) -> str:
    """`<tag V=… DN=… S=… OT=…/>`, without what is empty."""
    parts = (("V", code.v), ("S", code.s), ("DN", code.dn), ("OT", code.ot))
    return f"<{tag}{''.join(f' {name}={attribute(value)}' for name, value in parts if value)}/>"


def read_coded(element: etree._Element | None) -> Coded:
    """The value, empty where the element is missing."""
    if element is None:
        return Coded("")
    return Coded(element.get("V", "").strip(), element.get("DN", ""), element.get("S", ""), element.get("OT", ""))


def instant(moment: datetime) -> str:
    """xs:dateTime in UTC, whole seconds. Raises ValueError for a naive time."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(value: str, remarks: list[str], what: str, zone: ZoneInfo | None = None) -> datetime | None:
    """xs:dateTime as an instant in UTC; None when it cannot be read. Without an offset: wall time in `zone`, else Norwegian; the earlier of two."""
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError:
        remarks.append(f"{what} is no dateTime")
        return None
    if read.tzinfo is None:
        if zone is None:
            remarks.append(f"{what} has no time zone: read as Norwegian time")
        read = read.replace(tzinfo=zone or OSLO, fold=0)
        if read.utcoffset() != read.replace(fold=1).utcoffset():
            remarks.append(f"{what} is in the hour that comes twice, or never: read with the offset that held before")
    try:
        return read.astimezone(UTC)
    except OverflowError:
        remarks.append(f"{what} is outside the years 1 to 9999")
        return None


def local(element: etree._Element) -> str:
    """An element's name without its namespace; empty for comments and processing instructions."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: etree._Element | None, name: str) -> list[etree._Element]:
    """Children by local name, in any namespace: Dialogmelding mixes `fk1:` in where MsgHead has its own."""
    return [child for child in element if local(child) == name] if element is not None else []


def child(element: etree._Element | None, *path: str) -> etree._Element | None:
    """The first descendant by a path of local names."""
    for name in path:
        element = next((each for each in element if local(each) == name), None) if element is not None else None
    return element


def content(element: etree._Element | None, *path: str) -> str:
    """All the text in a descendant, stripped; empty when it is missing."""
    found = child(element, *path)
    return "".join(str(part) for part in found.itertext()).strip() if found is not None else ""


def idents(element: etree._Element | None) -> tuple[Ident, ...]:
    """Every `<Ident>` child."""
    return tuple(Ident(content(i, "Id"), read_coded(child(i, "TypeId")).v) for i in children(element, "Ident"))
