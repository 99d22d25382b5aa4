"""AppRec 1.0 and 1.1 (HIS 80415): the application's receipt, both directions. Close to each other but not equal: each has its own schema."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from lxml import etree

from ebxml import people, xml
from ebxml.errors import ErrorCode, Violation
from ebxml.kith import HER, ID_NAMES, Address, Coded, Ident, Party, attribute, child, children, coded, content, instant, moment, read_coded, text
from ebxml.people import element, some
from ebxml.xml import parse

NAMESPACES = {"1.0": "http://www.kith.no/xmlstds/apprec/2004-11-21", "1.1": "http://www.kith.no/xmlstds/apprec/2012-02-15"}
_VERSIONS = {namespace: version for version, namespace in NAMESPACES.items()}
_MIG = {"1.0": "1.0 2004-11-21", "1.1": "v1.1 2012-02-15"}
OK, REJECTED, PARTLY = "1", "2", "3"
"""Volven 8258."""
_STATUS = {OK: "OK", REJECTED: "Avvist", PARTLY: "OK, feil i delmelding"}
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
ERRORS = "2.16.578.1.12.4.1.1.8221"


@dataclass(frozen=True, slots=True)
class AppRec:
    """One receipt. `original_issued` is the original's GenDate, as that sender wrote it."""

    id: str
    generated: datetime | None
    sender: Party
    receiver: Party
    status: str
    original_type: Coded
    original_issued: str
    original_id: str
    errors: tuple[Coded, ...] = ()
    version: str = "1.1"
    software: str = ""
    software_version: str = ""
    sender_role: Coded = Coded("")
    receiver_role: Coded = Coded("")
    remarks: tuple[str, ...] = field(default=(), compare=False)


def write(receipt: AppRec) -> bytes:
    """The receipt as UTF-8 XML, valid by the schema of its version, whatever the original said: of a code that is a CS here no more than that, and
    our own time where the original has none that the schema knows."""
    if receipt.generated is None:
        raise ValueError("a receipt needs a time")
    issued = receipt.original_issued if _DATE_TIME.fullmatch(receipt.original_issued) else instant(receipt.generated)
    software = element("SoftwareName", receipt.software) + element("SoftwareVersion", receipt.software_version)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<AppRec xmlns="{NAMESPACES[receipt.version]}">'
        f"{coded('MsgType', Coded('APPREC', 'Applikasjonskvittering'))}<MIGversion>{_MIG[receipt.version]}</MIGversion>{software}"
        f"<GenDate>{instant(receipt.generated)}</GenDate><Id>{text(receipt.id)}</Id>"
        f"<Sender>{some('Role', _plain(receipt.sender_role))}{_party(receipt.sender)}</Sender>"
        f"<Receiver>{some('Role', _plain(receipt.receiver_role))}{_party(receipt.receiver)}</Receiver>"
        f"{coded('Status', Coded(receipt.status, _STATUS.get(receipt.status, '')))}"
        f"{''.join(coded('Error', error) for error in receipt.errors)}"
        f"<OriginalMsgId>{coded('MsgType', _plain(receipt.original_type))}<IssueDate>{issued}</IssueDate>"
        f"<Id>{text(receipt.original_id)}</Id></OriginalMsgId></AppRec>"
    ).encode()


def _plain(code: Coded) -> Coded:
    """A CS: without the code list and the free text that the same code may have in a MsgHead."""
    return Coded(code.v, code.dn)


def _party(party: Party) -> str:
    """The schema has the departments before the AdditionalIds, and the persons after them."""
    main, more = _named(party)
    below = [level for level in (party.inner, *party.beside) if level is not None]
    departments = "".join(f"<Dept>{some('Type', _plain(b.type))}{''.join(_named(b))}</Dept>" for b in below if not b.person)
    persons = "".join(f"<HCPerson>{''.join(_named(b))}</HCPerson>" for b in below if b.person)
    who = f"<HCProf>{some('Type', _plain(party.type))}{main}{more}</HCProf>" if party.person else f"<Inst>{main}{departments}{more}{persons}</Inst>"
    return f"<HCP>{who}{some('MedSpeciality', party.speciality)}{_address(party.address)}</HCP>"


def _address(a: Address | None) -> str:
    if a is None or a.type == Coded(""):  # the schema demands a type
        return ""
    lines = element("StreetAdr", a.street) + element("PostalCode", a.postal_code) + element("City", a.city)
    codes = "".join(some(tag, _plain(code)) for tag, code in (("County", a.county), ("Country", a.country), ("CityDistr", a.district)))
    return f"<Address>{coded('Type', _plain(a.type))}{lines}{codes}{''.join(f'<TeleAddress V={attribute(t)}/>' for t in a.telecoms)}</Address>"


def _named(party: Party) -> tuple[str, str]:
    """Name, Id and TypeId, the HER-id first; and the others as AdditionalId."""
    ordered = sorted(party.idents, key=lambda i: i.type != HER)
    main = ordered[0] if ordered else Ident("", HER)
    more = "".join(
        f"<AdditionalId><Id>{text(i.id)}</Id>{coded('Type', Coded(i.type, ID_NAMES.get(i.type, i.type)))}</AdditionalId>" for i in ordered[1:]
    )
    kind = coded("TypeId", Coded(main.type, ID_NAMES.get(main.type, main.type)))
    return f"<Name>{text(party.name)}</Name><Id>{text(main.id)}</Id>{kind}", more


def read(data: bytes) -> AppRec:
    """Reads an AppRec of either version.

    Raises:
        Violation: OtherXml, when it is no XML, no AppRec, or does not say of what it is the receipt.
    """
    root = parse(data)
    name = xml.name(root.tag)
    version = _VERSIONS.get(name.namespace or "")
    if version is None or name.localname != "AppRec":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no AppRec 1.0 or 1.1", "/")
    remarks: list[str] = []
    if content(root, "MIGversion") != _MIG[version]:
        remarks.append("MIGversion is not that of the namespace")
    original, status = child(root, "OriginalMsgId"), read_coded(child(root, "Status")).v
    if not content(original, "Id") or not status:
        raise Violation(ErrorCode.OTHER_XML, "AppRec lacks Status or OriginalMsgId/Id", "/AppRec")
    return AppRec(
        id=content(root, "Id"), generated=moment(content(root, "GenDate"), remarks, "GenDate"),
        sender=_read_party(child(root, "Sender", "HCP")), receiver=_read_party(child(root, "Receiver", "HCP")), status=status,
        original_type=read_coded(child(original, "MsgType")), original_issued=content(original, "IssueDate"),
        original_id=content(original, "Id"), errors=tuple(read_coded(e) for e in children(root, "Error")), version=version,
        software=content(root, "SoftwareName"), software_version=content(root, "SoftwareVersion"),
        sender_role=read_coded(child(root, "Sender", "Role")), receiver_role=read_coded(child(root, "Receiver", "Role")), remarks=tuple(remarks),
    )


def _read_party(found: etree._Element | None) -> Party:
    inst = child(found, "Inst")
    alone = child(found, "HCProf") if inst is None else None
    main = inst if alone is None else alone
    below = [_level(e, person=False) for e in children(inst, "Dept")] + [_level(e, person=True) for e in children(inst, "HCPerson")]
    return Party(
        content(main, "Name"), _ids(main), below[0] if below else None, alone is not None, read_coded(child(main, "Type")),
        _read_address(child(found, "Address")), beside=tuple(below[1:]), speciality=read_coded(child(found, "MedSpeciality")),
    )


def _level(found: etree._Element, *, person: bool) -> Party:
    return Party(content(found, "Name"), _ids(found), None, person, read_coded(child(found, "Type")))


def _read_address(found: etree._Element | None) -> Address | None:
    address = people.read_address(found)
    return replace(address, telecoms=tuple(read_coded(t).v for t in children(found, "TeleAddress"))) if address is not None else None


def _ids(element: etree._Element | None) -> tuple[Ident, ...]:
    main = Ident(content(element, "Id"), read_coded(child(element, "TypeId")).v)
    more = tuple(Ident(content(a, "Id"), read_coded(child(a, "Type")).v) for a in children(element, "AdditionalId"))
    return ((main,) if main.id else ()) + more
