"""AppRec by itself: valid by the official schemas whoever sends it, and read back the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from ebms_made import AT
from lxml import etree

from ebxml import apprec
from ebxml.kith import HER, Address, Coded, Ident, Party

HER_ONLY = (Ident("8100101", HER),)
MANY = (Ident("999999999", "ENH"), Ident("8100101", HER), Ident("1234", "HPR"))
HER_FIRST = (MANY[1], MANY[0], MANY[2])
PARTIES = {
    "one level": Party("Et sted", HER_ONLY), "one level with more ids": Party("Et sted", MANY),
    "a department": Party("Et sted", HER_ONLY, Party("En avdeling", HER_ONLY)),
    "a department, more ids on both": Party("Et sted", MANY, Party("En avdeling", MANY)),
    "a person": Party("Et sted", HER_ONLY, Party("Siri", (Ident("1234", "HPR"),), None, True)),
    "a person, more ids on both": Party("Et sted", MANY, Party("Siri", MANY, None, True)),
}


def her_first(party: Party) -> Party:
    idents = HER_FIRST if party.idents == MANY else party.idents
    return Party(party.name, idents, her_first(party.inner) if party.inner else None, party.person)


@pytest.mark.spec("facts/ebxml", "9.2")
@pytest.mark.parametrize("status", [apprec.OK, apprec.REJECTED, apprec.PARTLY])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("who", list(PARTIES))
def test_a_receipt_from_and_to_any_kind_of_party_is_valid_and_comes_back_with_the_her_id_first(
    shared: Path, who: str, version: str, status: str,
) -> None:
    errors = (Coded("E35", "Pasienten finnes ikke", apprec.ERRORS, "BB-204 <&"),) if status != apprec.OK else ()
    receipt = apprec.AppRec(
        "a-1", AT, PARTIES[who], PARTIES[who], status, Coded("DIALOG_HELSEFAGLIG", "Helsefaglig dialog"), "2026-12-01T09:00:00+01:00", "m-1",
        errors, version, "Besøksbro",
    )
    data = apprec.write(receipt)
    schema = etree.XMLSchema(etree.parse(shared / "standards" / "kith" / f"apprec-v{version}.xsd"))
    schema.assertValid(etree.fromstring(data))
    read = apprec.read(data)
    assert read.sender == read.receiver == her_first(PARTIES[who])
    assert (read.id, read.status, read.errors, read.version, read.software) == ("a-1", status, errors, version, "Besøksbro")
    assert (read.original_id, read.original_issued, read.original_type) == ("m-1", receipt.original_issued, receipt.original_type)
    assert (read.generated, read.remarks) == (AT, ())


@pytest.mark.spec("facts/ebxml", "9.2")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(("issued", "told"), [
    ("2026-12-01T09:00:00.1234567", "2026-12-01T09:00:00.1234567"), ("", "2026-12-01T08:00:00Z"), ("01.12.2026", "2026-12-01T08:00:00Z"),
])
def test_a_receipt_is_valid_whatever_codes_and_times_the_original_has(shared: Path, version: str, issued: str, told: str) -> None:
    """A MsgHead has code lists where an AppRec has none (TypeOrganisation is a CV, Dept/Type a CS), and some have no time that is one."""
    full = Coded("103", "Avdeling", "2.16.578.1.12.4.1.1.9043", "vår egen")
    party = Party("Et sted", HER_ONLY, Party("En avdeling", HER_ONLY, type=full), type=full, address=Address(full, county=full, country=full))
    receipt = apprec.AppRec("a-1", AT, party, party, apprec.OK, full, issued, "m-1", version=version, sender_role=full, receiver_role=full)
    data = apprec.write(receipt)
    etree.XMLSchema(etree.parse(shared / "standards" / "kith" / f"apprec-v{version}.xsd")).assertValid(etree.fromstring(data))
    read = apprec.read(data)
    assert (read.original_issued, read.original_type) == (told, Coded("103", "Avdeling"))
