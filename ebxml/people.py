"""Persons, organisations, addresses and telephones as MsgHead and Dialogmelding have them: every element of their schemas, both ways.

The two differ in order and namespace: Dialogmelding has the inside of Ident, Address and TeleCom in the namespace of felleskomponent1, and
its Person begins with the given name.
"""

from __future__ import annotations

from lxml import etree

from ebxml.kith import (
    ID_NAMES,
    ORGANISATION_IDS,
    PERSON_IDS,
    Address,
    Coded,
    Ident,
    Party,
    Person,
    TeleCom,
    attribute,
    child,
    children,
    coded,
    content,
    idents,
    read_coded,
    text,
)

FK1 = "http://www.kith.no/xmlstds/felleskomponent1"


def element(tag: str, value: str) -> str:
    """`<tag>value</tag>`, or nothing."""
    return f"<{tag}>{text(value)}</{tag}>" if text(value) else ""


def some(tag: str, code: Coded) -> str:
    """A coded element, or nothing when it says nothing."""
    return coded(tag, code) if code != Coded("") else ""


def ident(item: Ident, list_: str, p: str = "") -> str:
    """`<Ident>`; `p` is the prefix of what stands inside."""
    kind = coded(f"{p}TypeId", Coded(item.type, ID_NAMES.get(item.type, item.type), list_))
    return f"<Ident><{p}Id>{text(item.id)}</{p}Id>{kind}</Ident>"


def reached(address: Address | None, telecoms: tuple[TeleCom, ...], p: str = "") -> str:
    """`<Address>` and `<TeleCom>`s."""
    where = ""
    if address is not None:
        inner = "".join(
            element(f"{p}{tag}", value) for tag, value in (
                ("StreetAdr", address.street), ("PostalCode", address.postal_code), ("City", address.city), ("Postbox", address.postbox),
            )
        )
        codes = some(f"{p}County", address.county) + some(f"{p}Country", address.country)
        where = f"<Address>{some(f'{p}Type', address.type)}{inner}{codes}</Address>"
    return where + "".join(
        f"<TeleCom>{some(f'{p}TypeTelecom', t.type)}<{p}TeleAddress V={attribute(t.address)}/></TeleCom>" for t in telecoms
    )


def person(who: Person, *, professional: bool = False, given_first: bool = False, p: str = "") -> str:
    """What stands inside `Patient`, `Person` or `HealthcareProfessional`."""
    names = [("FamilyName", who.family), ("MiddleName", who.middle), ("GivenName", who.given)]
    first = some("TypeHealthcareProfessional", who.type) + some("RoleToPatient", who.role_to_patient) if professional else ""
    return (
        first + "".join(element(tag, value) for tag, value in (reversed(names) if given_first else names)) + element("DateOfBirth", who.born)
        + some("Sex", who.sex) + some("Nationality", who.nationality) + "".join(ident(i, PERSON_IDS, p) for i in who.idents)
        + reached(who.address, who.telecoms, p)
    )


def organisation(party: Party) -> str:
    """MsgHead's `<Organisation>`, with the levels below it."""
    inner = "".join(ident(i, ORGANISATION_IDS) for i in party.idents) + reached(party.address, party.telecoms)
    below = [level for level in (party.inner, *party.beside) if level is not None]
    levels = "".join(map(organisation, [b for b in below if not b.person])) + "".join(map(professional, [b for b in below if b.person]))
    kind = some("TypeOrganisation", party.type)
    return f"<Organisation><OrganisationName>{text(party.name)}</OrganisationName>{kind}{inner}{levels}</Organisation>"


def professional(party: Party) -> str:
    """`<HealthcareProfessional>`: the details where they are known, else the name alone."""
    who = party.who or Person(family=party.name, idents=party.idents)
    return f"<HealthcareProfessional>{person(who, professional=True)}</HealthcareProfessional>"


def contact_unit(party: Party) -> str:
    """Dialogmelding's `<Kontaktenhet>`, a fk1:Organisation: another order than MsgHead's, everything inside in another namespace."""
    return f"<Kontaktenhet>{_fk1(party)}</Kontaktenhet>"


def _fk1(party: Party) -> str:
    ids = "".join(ident(i, ORGANISATION_IDS, "fk1:") for i in party.idents)
    rest = (ids + reached(party.address, party.telecoms, "fk1:")).replace("<Ident>", "<fk1:Ident>").replace("</Ident>", "</fk1:Ident>")
    for tag in ("Address", "TeleCom"):
        rest = rest.replace(f"<{tag}>", f"<fk1:{tag}>").replace(f"</{tag}>", f"</fk1:{tag}>")
    below = f"<fk1:Organisation>{_fk1(party.inner)}</fk1:Organisation>" if party.inner is not None and not party.inner.person else ""
    return f"{some('fk1:TypeOrganisation', party.type)}<fk1:OrganisationName>{text(party.name)}</fk1:OrganisationName>{rest}{below}"


def read_person(found: etree._Element | None) -> Person | None:
    """Any of the elements that hold a person; None when it is missing."""
    if found is None:
        return None
    return Person(
        content(found, "FamilyName"), content(found, "GivenName"), content(found, "MiddleName"), content(found, "DateOfBirth"), idents(found),
        read_coded(child(found, "Sex")), read_coded(child(found, "Nationality")), read_address(child(found, "Address")), read_telecoms(found),
        read_coded(child(found, "TypeHealthcareProfessional")), read_coded(child(found, "RoleToPatient")),
    )


def read_address(found: etree._Element | None) -> Address | None:
    if found is None:
        return None
    return Address(
        read_coded(child(found, "Type")), content(found, "StreetAdr"), content(found, "PostalCode"), content(found, "City"),
        content(found, "Postbox"), read_coded(child(found, "County")), read_coded(child(found, "Country")), read_coded(child(found, "CityDistr")),
    )


def read_telecoms(found: etree._Element) -> tuple[TeleCom, ...]:
    return tuple(
        TeleCom(read_coded(child(t, "TeleAddress")).v, read_coded(child(t, "TypeTelecom"))) for t in children(found, "TeleCom")
    )


def read_organisation(found: etree._Element | None) -> Party | None:
    """An organisation and the levels below it; None when it is missing."""
    if found is None:
        return None
    below = [p for p in map(read_organisation, children(found, "Organisation")) if p is not None]
    below += [read_professional(e) for e in children(found, "HealthcareProfessional")]
    return Party(
        content(found, "OrganisationName"), idents(found), below[0] if below else None, type=read_coded(child(found, "TypeOrganisation")),
        address=read_address(child(found, "Address")), telecoms=read_telecoms(found), beside=tuple(below[1:]),
    )


def read_professional(found: etree._Element) -> Party:
    """A HealthcareProfessional as the level below an organisation."""
    who = read_person(found) or Person()
    return Party(f"{who.given} {who.family}".strip(), who.idents, None, True, who=who)
