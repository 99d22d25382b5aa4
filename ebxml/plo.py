"""PLO, the messages between hospital and municipality (facts/ebxml.md 9.5), by the field names that are known: no public schema was found.

So reading is tolerant: any version of the namespaces, elements by their local name wherever they stand, and every text that is not known
by name is kept under its path. What matters for a visit plan is `Stay.event`: whether home visits pause or resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lxml import etree

from ebxml import xml
from ebxml.errors import ErrorCode, Violation
from ebxml.kith import Coded, content, local, moment, read_coded
from ebxml.xml import parse

NAMESPACE = "http://www.kith.no/xmlstds/po/"
"""…`<Name>/<date>`."""
_MOST = 2000
"""Fields kept of one message."""


class Event(StrEnum):
    """What happened to the patient, as far as home visits are concerned."""

    ADMITTED = "admitted"
    READY = "ready"          # for discharge: still in hospital
    WITHDRAWN = "withdrawn"  # the notice that the patient is ready was taken back: still in hospital
    DISCHARGED = "discharged"
    DEAD = "dead"
    ABSENT = "absent"        # away from home, with a beginning and an end
    NONE = "none"            # information only


EVENTS = {
    "LOG_INNLAGT": Event.ADMITTED, "LOG_UTSKRIVNINGSKLAR": Event.READY, "LOG_AVMELDING": Event.WITHDRAWN, "LOG_UTSKREVET": Event.DISCHARGED,
    "LOG_DOD": Event.DEAD, "FRAVARSMELDING": Event.ABSENT, "ORIENTERING_TJENESTETILBUD": Event.NONE, "HELSEOPPLYSNINGER_LEGE": Event.NONE,
    "HELSEOPPL_SOKNAD": Event.NONE, "MEDISINSKE_OPPLYSNINGER": Event.NONE, "UTSKRIVNINGSRAPPORT": Event.NONE,
}
"""MsgInfo/Type (Volven 8279) → what happened."""
PAUSES = frozenset({Event.ADMITTED, Event.READY, Event.WITHDRAWN, Event.DEAD, Event.ABSENT})
"""While the last event is one of these, nobody is at home to be visited."""


@dataclass(frozen=True, slots=True)
class Timed:
    """TidsfestetHendelse: what happened when and where."""

    code: Coded = Coded("")
    at: datetime | None = None
    estimate: str = ""
    """Anslag: how sure the time is."""
    place: str = ""
    description: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """EksisterendeTjeneste or TjenesteBehov: a service that the patient has, or needs."""

    needed: bool
    type: Coded = Coded("")
    """IPLOStjenestetype."""
    name: str = ""
    provider: str = ""
    description: str = ""
    private: str = ""
    amount: str = ""
    unit: str = ""
    starts: str = ""
    ends: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """One PLO document."""

    kind: str
    """The root's name: Pasientlogistikk, MeldingFravar …"""
    version: str
    """The date in its namespace, e.g. `2012-04-01`."""
    event: Event
    events: tuple[Timed, ...] = ()
    services: tuple[Service, ...] = ()
    status: Coded = Coded("")
    """Forsendelsesstatus."""
    answers: str = ""
    """SvarPaaForesporsel."""
    fields: tuple[tuple[str, str], ...] = ()
    """(path of local names, text or V) of everything in the document, known by name or not."""
    remarks: tuple[str, ...] = field(default=(), compare=False)

    @property
    def at(self) -> datetime | None:
        """When it happened: the first timed event that has a time."""
        return next((e.at for e in self.events if e.at is not None), None)

    @property
    def until(self) -> datetime | None:
        """When an absence ends: the last of several times; None when there is only one."""
        times = sorted(e.at for e in self.events if e.at is not None)
        return times[-1] if len(times) > 1 else None

    @property
    def pauses(self) -> bool:
        return self.event in PAUSES


def read(data: bytes, type_: str) -> Stay:
    """Reads a PLO document.

    Args:
        type_: the message's MsgInfo/Type, which says what happened.

    Raises:
        Violation: OtherXml, when its namespace is not one of PLO's.
    """
    root = parse(data)
    name = xml.name(root.tag)
    if not (name.namespace or "").startswith(NAMESPACE):
        raise Violation(ErrorCode.OTHER_XML, "no PLO document", "/")
    remarks = [] if type_ in EVENTS else ["a type that is none of PLO's: information only"]
    every = [(local(e), e) for e in root.iter() if isinstance(e.tag, str)]
    info = next((e for tag, e in every if tag == "InformasjonOmForsendelsen"), None)
    return Stay(
        name.localname, (name.namespace or "").rstrip("/").rpartition("/")[2], EVENTS.get(type_, Event.NONE),
        tuple(_timed(e, remarks) for tag, e in every if tag == "TidsfestetHendelse"),
        tuple(_service(e, tag == "TjenesteBehov") for tag, e in every if tag in ("EksisterendeTjeneste", "TjenesteBehov")),
        _coded(info, "Forsendelsesstatus"), _value(info, "SvarPaaForesporsel"), tuple(_fields(root, remarks)), tuple(remarks),
    )


def _coded(found: etree._Element | None, name: str) -> Coded:
    inner = next((e for e in found if local(e) == name), None) if found is not None else None
    return read_coded(inner)


def _value(found: etree._Element | None, name: str) -> str:
    """A child's text, else its V or DN: PLO has both kinds."""
    code = _coded(found, name)
    return content(found, name) or code.v or code.dn


def _timed(found: etree._Element, remarks: list[str]) -> Timed:
    at = _value(found, "TidspunktForHendelse")
    return Timed(
        _coded(found, "Hendelsekode"), moment(at, remarks, "TidspunktForHendelse") if at else None, _value(found, "Anslag"),
        _value(found, "StedForHendelse"), _value(found, "BeskrivelseAvHendelse"), _value(found, "Merknad"),
    )


def _service(found: etree._Element, needed: bool) -> Service:
    told = _value(found, "BeskrivelseAvTjeneste") or _value(found, "OpplysningerOmTjenesten")
    return Service(
        needed, _coded(found, "IPLOStjenestetype"), _value(found, "BetegnelseTjeneste"), _value(found, "TjenestenLevertAv"), told,
        _value(found, "PrivatTjeneste"), _value(found, "AntallEnheter") or _value(found, "AntallEnheterOnsket"), _value(found, "Enhet"),
        _value(found, "Startdato"), _value(found, "Sluttdato"), _value(found, "Merknad"),
    )


def _fields(root: etree._Element, remarks: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    path: list[str] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            path.pop()
            continue
        path.append(local(element))
        said = (element.text or "").strip() or element.get("V", "")
        if said and len(found) == _MOST:
            remarks.append(f"more than {_MOST} fields: the rest is not kept")
            return found
        if said:
            found.append(("/".join(path), said))
    return found
