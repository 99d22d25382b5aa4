"""Dialogmelding 1.0 and 1.1: what people read. Times do not fit in its coded fields, so a visit's time stands in the text and in the calendar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from ebxml import people, xml
from ebxml.errors import ErrorCode, Violation
from ebxml.kith import Coded, Party, Person, child, children, coded, content, local, read_coded
from ebxml.people import FK1, element, some
from ebxml.xml import parse

NAMESPACES = {"1.0": "http://www.kith.no/xmlstds/dialog/2006-10-11", "1.1": "http://www.kith.no/xmlstds/dialog/2013-01-23"}
_VERSIONS = {namespace: version for version, namespace in NAMESPACES.items()}
_APART = {"p", "div", "br", "li", "ul", "ol", "dl", "dt", "dd", "tr", "table", "pre", "blockquote", "hr", *(f"h{n}" for n in range(1, 7))}
"""What XHTML shows on lines of its own."""
_BLANKS, _AROUND_BREAK = re.compile(r"[ \t\r\n]+"), re.compile(r" *\n[ \n]*")


@dataclass(frozen=True, slots=True)
class Role:
    """RollerRelatertNotat: who somebody is to the patient."""

    role: Coded
    """RoleToPatient."""
    person: Person | None = None
    professional: bool = True
    """A HealthcareProfessional; else a Person."""
    in_note: Coded = Coded("")
    """RolleNotat."""
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """TilknyttetEnhet (1.1): where somebody belongs."""

    organisation: Party
    remark: str = ""
    person: Person | None = None
    professional: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One Notat or one Foresporsel. `code` is TemaKodet or TypeForesp; `subject` is Tema or EmneSporsmal (1.1)."""

    kind: Literal["Notat", "Foresporsel"]
    code: Coded
    subject: str = ""
    body: str = ""
    """TekstNotatInnhold or Sporsmal, as plain text."""
    remark: str = ""
    document_id: str = ""
    date: str = ""
    """DatoNotat or FraDato, xs:date as text."""
    until: str = ""
    roles: tuple[Role, ...] = ()
    markup: bytes = b""
    """The body's own markup, as one or more XML elements, when it had any. Never shown without being cleaned."""
    request: Entry | None = None
    """The Foresporsel inside a Notat."""
    purpose: Coded = Coded("")
    """Formål."""
    reason: str = ""
    urgency: Coded = Coded("")
    journal: tuple[Coded, ...] = ()
    """TypeJournalinfo; in 1.0 at most one."""
    information: Coded = Coded("")
    """KodetOpplysning (1.1)."""


@dataclass(frozen=True, slots=True)
class Dialog:
    """One Dialogmelding."""

    entries: tuple[Entry, ...]
    version: str = "1.1"
    case_code: Coded = Coded("")
    """SakstypeKodet."""
    case: str = ""


def write(dialog: Dialog) -> bytes:
    """The element without an XML declaration, to stand in MsgHead's Content."""
    body = b"".join(_note(e, dialog.version) if e.kind == "Notat" else _request(e, dialog.version) for e in dialog.entries)
    case = some("SakstypeKodet", dialog.case_code) + element("Sakstype", dialog.case)
    start = f'<Dialogmelding xmlns="{NAMESPACES[dialog.version]}" xmlns:fk1="{FK1}">{case}'
    return start.encode() + body + b"</Dialogmelding>"


def _body(tag: str, entry: Entry) -> bytes:
    """Plain text, or the markup it came with."""
    return f"<{tag}>".encode() + entry.markup + f"</{tag}>".encode() if entry.markup else element(tag, entry.body).encode()


def _note(entry: Entry, version: str) -> bytes:
    before = f"<Notat>{coded('TemaKodet', entry.code)}{element('Tema', entry.subject)}"
    after = element("Merknad", entry.remark) + element("DokIdNotat", entry.document_id) + element("DatoNotat", entry.date)
    inner = _request(entry.request, version) if entry.request is not None else b""
    roles = "".join(_role(role, version) for role in entry.roles)
    return before.encode() + _body("TekstNotatInnhold", entry) + after.encode() + inner + f"{roles}</Notat>".encode()


def _request(entry: Entry, version: str) -> bytes:
    newer = version == "1.1"
    before = f"<Foresporsel>{coded('TypeForesp', entry.code)}{element('EmneSporsmal', entry.subject) if newer else ''}"
    body = _body("Sporsmal", entry) if newer else element("Sporsmal", entry.body).encode()
    after = (
        some("Formål", entry.purpose) + element("Begrunnelse", entry.reason) + some("Hastegrad", entry.urgency) + element("FraDato", entry.date)
        + element("TilDato", entry.until) + "".join(coded("TypeJournalinfo", code) for code in entry.journal[: None if newer else 1])
        + (some("KodetOpplysning", entry.information) if newer else "") + element("DokIdForesp", entry.document_id)
        + "".join(_role(role, version) for role in entry.roles)
    )
    return before.encode() + body + f"{after}</Foresporsel>".encode()


def _role(role: Role, version: str) -> str:
    unit = _unit(role.unit) if role.unit is not None and version == "1.1" else ""
    who = _who(role.person or (Person() if version == "1.0" else None), role.professional)
    return f"<RollerRelatertNotat>{some('RolleNotat', role.in_note)}{some('RoleToPatient', role.role)}{unit}{who}</RollerRelatertNotat>"


def _unit(unit: Unit) -> str:
    inner = people.contact_unit(unit.organisation) + element("Merknad", unit.remark) + _who(unit.person, unit.professional)
    return f"<TilknyttetEnhet>{inner}</TilknyttetEnhet>"


def _who(person: Person | None, professional: bool) -> str:
    if person is None:
        return ""
    tag = "HealthcareProfessional" if professional else "Person"
    return f"<{tag}>{people.person(person, professional=professional, given_first=not professional, p='fk1:')}</{tag}>"


def read(data: bytes) -> Dialog:
    """Reads a Dialogmelding of either version.

    Raises:
        Violation: OtherXml.
    """
    root = parse(data)
    name = xml.name(root.tag)
    version = _VERSIONS.get(name.namespace or "")
    if version is None or name.localname != "Dialogmelding":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no Dialogmelding 1.0 or 1.1", "/")
    entries = [_read_note(e) for e in children(root, "Notat")] + [_read_request(e) for e in children(root, "Foresporsel")]
    return Dialog(tuple(entries), version, read_coded(child(root, "SakstypeKodet")), content(root, "Sakstype"))


def _read_note(found: etree._Element) -> Entry:
    inner = child(found, "Foresporsel")
    return Entry(
        "Notat", read_coded(child(found, "TemaKodet")), content(found, "Tema"), _plain(child(found, "TekstNotatInnhold")), content(found, "Merknad"),
        content(found, "DokIdNotat"), content(found, "DatoNotat"), roles=_read_roles(found), markup=_markup(child(found, "TekstNotatInnhold")),
        request=_read_request(inner) if inner is not None else None,
    )


def _read_request(found: etree._Element) -> Entry:
    return Entry(
        "Foresporsel", read_coded(child(found, "TypeForesp")), content(found, "EmneSporsmal"), _plain(child(found, "Sporsmal")),
        document_id=content(found, "DokIdForesp"), date=content(found, "FraDato"), until=content(found, "TilDato"),
        roles=_read_roles(found), markup=_markup(child(found, "Sporsmal")), purpose=read_coded(child(found, "Formål")),
        reason=content(found, "Begrunnelse"), urgency=read_coded(child(found, "Hastegrad")),
        journal=tuple(map(read_coded, children(found, "TypeJournalinfo"))), information=read_coded(child(found, "KodetOpplysning")),
    )


def _plain(body: etree._Element | None) -> str:
    """What a body says to a person: XHTML's paragraphs and line breaks as lines, its scripts as nothing."""
    if body is None or not len(body):
        return (body.text or "").strip() if body is not None else ""
    return _AROUND_BREAK.sub("\n", "".join(_told(body))).strip()


def _told(found: etree._Element) -> Iterator[str]:
    """Its text, with a line break around what stands apart. Line breaks of the source are blanks, as in XHTML."""
    tag = local(found).lower()
    if tag in ("", "script", "style"):  # "": a processing instruction
        return
    yield "\n" if tag in _APART else ""
    yield _BLANKS.sub(" ", found.text or "")
    for each in found:
        yield from _told(each)
        yield _BLANKS.sub(" ", each.tail or "")
    yield "\n" if tag in _APART else " " if tag in ("td", "th") else ""


def _markup(body: etree._Element | None) -> bytes:
    """The elements of a body that is more than text. What stands between them is in the plain text alone."""
    return b"".join(etree.tostring(e, with_tail=False, encoding="utf-8") for e in body) if body is not None else b""


def _read_roles(found: etree._Element) -> tuple[Role, ...]:
    return tuple(
        Role(
            read_coded(child(each, "RoleToPatient")), *_read_who(each), read_coded(child(each, "RolleNotat")),
            _read_unit(child(each, "TilknyttetEnhet")),
        )
        for each in children(found, "RollerRelatertNotat")
    )


def _read_who(found: etree._Element) -> tuple[Person | None, bool]:
    professional = people.read_person(child(found, "HealthcareProfessional"))
    return (professional, True) if professional is not None else (people.read_person(child(found, "Person")), child(found, "Person") is None)


def _read_unit(found: etree._Element | None) -> Unit | None:
    organisation = people.read_organisation(child(found, "Kontaktenhet"))
    return Unit(organisation, content(found, "Merknad"), *_read_who(found)) if found is not None and organisation is not None else None
