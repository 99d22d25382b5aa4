"""AppRec by itself: valid by the official schemas whoever sends it, and read back the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from ebms_made import AT
from lxml import etree

from ebxml import apprec
from ebxml.kith import HER, Coded, Ident, Party

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
