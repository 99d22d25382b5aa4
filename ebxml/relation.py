"""Pasientrelasjon: who acts for the patient, as a document of its own beside the one that asks for something (facts/helsenorge.md 12.4).

No schema is public. What is documented is the namespace, `Relasjon` with its code list, and `Person` with names, Ident and TeleCom; the inside of
Ident and TeleCom is written in the namespace of felleskomponent1, as Dialogmelding of the same years has it, and read in any.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ebxml import people, xml
from ebxml.errors import ErrorCode, Violation
from ebxml.kith import VOLVEN, Coded, Person, child, read_coded
from ebxml.people import FK1, some
from ebxml.xml import parse

NAMESPACE = "http://www.kith.no/xmlstds/pasientrelasjon/2014-03-28"
RELATIONS = f"{VOLVEN}7611"
"""The code list of `Relasjon`; e.g. `FO`, foreldreansvar."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Somebody, and what he or she is to the patient. The patient stands in MsgHead, and is who an answer is addressed to."""

    relation: Coded
    person: Person
    remarks: tuple[str, ...] = field(default=(), compare=False)


def write(relation: Relation) -> bytes:
    """The element without an XML declaration, to stand in MsgHead's Content."""
    inner = some("Relasjon", relation.relation) + f"<Person>{people.person(relation.person, p='fk1:')}</Person>"
    return f'<Pasientrelasjon xmlns="{NAMESPACE}" xmlns:fk1="{FK1}">{inner}</Pasientrelasjon>'.encode()


def read(data: bytes) -> Relation:
    """Reads a Pasientrelasjon of any date: what it is to be refused for is the reader's to say.

    Raises:
        Violation: OtherXml, when it is none, or tells no person.
    """
    root = parse(data)
    name = xml.name(root.tag)
    if name.localname != "Pasientrelasjon" or not name.namespace.startswith(NAMESPACE.rpartition("/")[0]):
        raise Violation(ErrorCode.OTHER_XML, "the root element is no Pasientrelasjon", "/")
    person = people.read_person(child(root, "Person"))
    if person is None or not (person.idents or person.family or person.given):
        raise Violation(ErrorCode.OTHER_XML, "a Pasientrelasjon without a person", "/Pasientrelasjon/Person")
    relation = read_coded(child(root, "Relasjon"))
    remarks = ["Pasientrelasjon of another date than 2014-03-28"] if name.namespace != NAMESPACE else []
    remarks += [] if relation.v else ["Pasientrelasjon does not say of which kind"]
    return Relation(relation, person, tuple(remarks))
