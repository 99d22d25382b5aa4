"""AppRec 1.0 and 1.1 (HIS 80415): the application's receipt, both directions. Close to each other but not equal: each has its own schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from ebxml.errors import ErrorCode, Violation
from ebxml.kith import HER, ID_NAMES, Coded, Ident, Party, child, children, coded, content, instant, moment, read_coded, text
from ebxml.xml import parse

NAMESPACES = {"1.0": "http://www.kith.no/xmlstds/apprec/2004-11-21", "1.1": "http://www.kith.no/xmlstds/apprec/2012-02-15"}
_VERSIONS = {namespace: version for version, namespace in NAMESPACES.items()}
_MIG = {"1.0": "1.0 2004-11-21", "1.1": "v1.1 2012-02-15"}
OK, REJECTED, PARTLY = "1", "2", "3"
"""Volven 8258."""
_STATUS = {OK: "OK", REJECTED: "Avvist", PARTLY: "OK, feil i delmelding"}
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
    remarks: tuple[str, ...] = field(default=(), compare=False)


def write(receipt: AppRec) -> bytes:
    """The receipt as UTF-8 XML, valid by the schema of its version."""
    if receipt.generated is None:
        raise ValueError("a receipt needs a time")
    software = f"<SoftwareName>{text(receipt.software)}</SoftwareName>" if receipt.software else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<AppRec xmlns="{NAMESPACES[receipt.version]}">'
        f"{coded('MsgType', Coded('APPREC', 'Applikasjonskvittering'))}<MIGversion>{_MIG[receipt.version]}</MIGversion>{software}"
        f"<GenDate>{instant(receipt.generated)}</GenDate><Id>{text(receipt.id)}</Id>"
        f"<Sender>{_party(receipt.sender)}</Sender><Receiver>{_party(receipt.receiver)}</Receiver>"
        f"{coded('Status', Coded(receipt.status, _STATUS.get(receipt.status, '')))}"
        f"{''.join(coded('Error', error) for error in receipt.errors)}"
        f"<OriginalMsgId>{coded('MsgType', receipt.original_type)}<IssueDate>{text(receipt.original_issued)}</IssueDate>"
        f"<Id>{text(receipt.original_id)}</Id></OriginalMsgId></AppRec>"
    ).encode()


def _party(party: Party) -> str:
    """The schema has a Dept before the AdditionalIds, and an HCPerson after them."""
    main, more = _named(party)
    if party.inner is None:
        return f"<HCP><Inst>{main}{more}</Inst></HCP>"
    inner = "".join(_named(party.inner))
    below = f"{more}<HCPerson>{inner}</HCPerson>" if party.inner.person else f"<Dept>{inner}</Dept>{more}"
    return f"<HCP><Inst>{main}{below}</Inst></HCP>"


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
    name = etree.QName(root)
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
        software=content(root, "SoftwareName"), remarks=tuple(remarks),
    )


def _read_party(element: etree._Element | None) -> Party:
    inst = child(element, "Inst")
    if inst is None:
        inst = child(element, "HCProf")
    inner = child(inst, "Dept")
    person = inner is None
    if inner is None:
        inner = child(inst, "HCPerson")
    return Party(content(inst, "Name"), _ids(inst), Party(content(inner, "Name"), _ids(inner), None, person) if inner is not None else None)


def _ids(element: etree._Element | None) -> tuple[Ident, ...]:
    main = Ident(content(element, "Id"), read_coded(child(element, "TypeId")).v)
    more = tuple(Ident(content(a, "Id"), read_coded(child(a, "Type")).v) for a in children(element, "AdditionalId"))
    return ((main,) if main.id else ()) + more
