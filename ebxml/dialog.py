"""Dialogmelding 1.0 and 1.1: what people read. Times do not fit in its coded fields, so a visit's time stands in the text and in the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lxml import etree

from ebxml.errors import ErrorCode, Violation
from ebxml.kith import Coded, Person, child, children, coded, content, idents, read_coded, text
from ebxml.xml import parse

NAMESPACES = {"1.0": "http://www.kith.no/xmlstds/dialog/2006-10-11", "1.1": "http://www.kith.no/xmlstds/dialog/2013-01-23"}
_VERSIONS = {namespace: version for version, namespace in NAMESPACES.items()}


@dataclass(frozen=True, slots=True)
class Role:
    """RollerRelatertNotat: who somebody is to the patient."""

    role: Coded
    person: Person


@dataclass(frozen=True, slots=True)
class Entry:
    """One Notat or one Foresporsel. `code` is TemaKodet or TypeForesp; `subject` is Tema or EmneSporsmal (1.1)."""

    kind: Literal["Notat", "Foresporsel"]
    code: Coded
    subject: str = ""
    body: str = ""
    """TekstNotatInnhold or Sporsmal, as plain text: markup that came in is not kept, since it would have to be cleaned before it is shown."""
    remark: str = ""
    document_id: str = ""
    date: str = ""
    """DatoNotat or FraDato, xs:date as text."""
    until: str = ""
    roles: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialog:
    """One Dialogmelding."""

    entries: tuple[Entry, ...]
    version: str = "1.1"


def write(dialog: Dialog) -> bytes:
    """The element without an XML declaration, to stand in MsgHead's Content."""
    body = "".join(_note(e) if e.kind == "Notat" else _request(e, dialog.version) for e in dialog.entries)
    return f'<Dialogmelding xmlns="{NAMESPACES[dialog.version]}">{body}</Dialogmelding>'.encode()


def _element(tag: str, value: str) -> str:
    return f"<{tag}>{text(value)}</{tag}>" if value else ""


def _note(entry: Entry) -> str:
    return (
        f"<Notat>{coded('TemaKodet', entry.code)}{_element('Tema', entry.subject)}{_element('TekstNotatInnhold', entry.body)}"
        f"{_element('Merknad', entry.remark)}{_element('DokIdNotat', entry.document_id)}{_element('DatoNotat', entry.date)}"
        f"{''.join(map(_role, entry.roles))}</Notat>"
    )


def _request(entry: Entry, version: str) -> str:
    subject = _element("EmneSporsmal", entry.subject) if version == "1.1" else ""
    return (
        f"<Foresporsel>{coded('TypeForesp', entry.code)}{subject}{_element('Sporsmal', entry.body)}{_element('FraDato', entry.date)}"
        f"{_element('TilDato', entry.until)}{_element('DokIdForesp', entry.document_id)}{''.join(map(_role, entry.roles))}</Foresporsel>"
    )


def _role(role: Role) -> str:
    names = _element("FamilyName", role.person.family) + _element("GivenName", role.person.given)
    return f"<RollerRelatertNotat>{coded('RoleToPatient', role.role)}<HealthcareProfessional>{names}</HealthcareProfessional></RollerRelatertNotat>"


def read(data: bytes) -> Dialog:
    """Reads a Dialogmelding of either version.

    Raises:
        Violation: OtherXml.
    """
    root = parse(data)
    name = etree.QName(root)
    version = _VERSIONS.get(name.namespace or "")
    if version is None or name.localname != "Dialogmelding":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no Dialogmelding 1.0 or 1.1", "/")
    entries = [_read_note(e) for e in children(root, "Notat")] + [_read_request(e) for e in children(root, "Foresporsel")]
    return Dialog(tuple(entries), version)


def _read_note(element: etree._Element) -> Entry:
    return Entry(
        "Notat", read_coded(child(element, "TemaKodet")), content(element, "Tema"), content(element, "TekstNotatInnhold"),
        content(element, "Merknad"), content(element, "DokIdNotat"), content(element, "DatoNotat"), roles=_read_roles(element),
    )


def _read_request(element: etree._Element) -> Entry:
    return Entry(
        "Foresporsel", read_coded(child(element, "TypeForesp")), content(element, "EmneSporsmal"), content(element, "Sporsmal"),
        document_id=content(element, "DokIdForesp"), date=content(element, "FraDato"), until=content(element, "TilDato"),
        roles=_read_roles(element),
    )


def _read_roles(element: etree._Element) -> tuple[Role, ...]:
    found = []
    for each in children(element, "RollerRelatertNotat"):
        who = child(each, "HealthcareProfessional")
        who = child(each, "Person") if who is None else who
        person = Person(content(who, "FamilyName"), content(who, "GivenName"), idents=idents(who))
        found.append(Role(read_coded(child(each, "RoleToPatient")), person))
    return tuple(found)
