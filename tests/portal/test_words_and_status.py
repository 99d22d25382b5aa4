"""Days, times and statuses in Norwegian: pure, no store."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from town import NOW

from hub.faces import words
from hub.faces.console import names
from hub.faces.context import templates
from hub.faces.portal.status import Facts, fresh, status


@pytest.mark.parametrize(("at", "said"), [
    (NOW, "I dag, mandag 23. november"),
    (NOW + timedelta(days=1), "I morgen, tirsdag 24. november"),
    (NOW - timedelta(days=1), "I går, søndag 22. november"),
    (NOW + timedelta(days=2), "Onsdag 25. november"),
    (datetime(2027, 1, 1, 8, tzinfo=UTC), "Fredag 1. januar 2027"),
    (datetime(2026, 11, 23, 22, 59, tzinfo=UTC), "I dag, mandag 23. november"),
    (datetime(2026, 11, 23, 23, 0, tzinfo=UTC), "I morgen, tirsdag 24. november"),
])
@pytest.mark.spec("portal.md", "4.1")
def test_days_are_said_as_norwegians_say_them(at: datetime, said: str) -> None:
    assert words.day(at, NOW) == said


@pytest.mark.parametrize(("start", "minutes", "said"), [
    (datetime(2026, 11, 23, 8, 15, tzinfo=UTC), 30, "kl. 09:15–09:45"),
    (datetime(2026, 7, 1, 7, 15, tzinfo=UTC), 30, "kl. 09:15–09:45"),
    (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), 60, "kl. 01:30–03:30"),
    (datetime(2026, 11, 23, 22, 45, tzinfo=UTC), 30, "kl. 23:45–00:15"),
    (datetime(2026, 11, 23, 8, 15, tzinfo=UTC), 0, "kl. 09:15"),
])
def test_times_are_norwegian_clock_times_also_when_clocks_change(start: datetime, minutes: int, said: str) -> None:
    assert words.span(start, start + timedelta(minutes=minutes)) == said


def test_an_hour_that_comes_twice_is_told_apart() -> None:
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert words.span(first, second) == "kl. 02:30 (sommertid) – 02:30 (vintertid)"
    assert words.span(second, second + timedelta(minutes=15)) == "kl. 02:30–02:45 (vintertid)"


BOOKED = Facts("booked", NOW + timedelta(hours=1), NOW + timedelta(hours=2), name="Kari")


@pytest.mark.parametrize(("facts", "word", "stands"), [
    (BOOKED, "Bekreftet", True),
    (replace(BOOKED, status="pending"), "Venter på svar", True),
    (replace(BOOKED, status="pending", refused=True), "Ikke avklart", True),
    (replace(BOOKED, on_the_way=True), "På vei / hos deg nå", True),
    (replace(BOOKED, status="arrived", own=False), "På vei / hos Kari nå", True),
    (replace(BOOKED, status="fulfilled"), "Utført", True),
    (replace(BOOKED, status="cancelled", reason="AAT"), "Avlyst av oss", False),
    (replace(BOOKED, status="cancelled"), "Avlyst av oss", False),
    (replace(BOOKED, status="cancelled", reason="AAI"), "Avbestilt av deg", False),
    (replace(BOOKED, status="cancelled", reason="AAI", own=False), "Avbestilt av Kari", False),
    (replace(BOOKED, status="cancelled", reason="APVAI"), "Avbestilt for deg", False),
    (replace(BOOKED, status="noshow"), "Vi fikk ikke kontakt", False),
    (replace(BOOKED, status="cancelled", reason="AIH"), "Vi fikk ikke kontakt", False),
    (replace(BOOKED, start=NOW - timedelta(hours=2), end=NOW), "Ikke meldt utført", True),
    (replace(BOOKED, status="pending", start=NOW - timedelta(hours=2), end=NOW), "Ikke meldt utført", True),
])
@pytest.mark.spec("portal.md", "P3")
def test_every_state_has_its_word(facts: Facts, word: str, stands: bool) -> None:
    said = status(facts, NOW)
    assert (said.word, said.stands) == (word, stands)
    assert said.icon and said.colour


def test_a_missed_visit_says_when_we_came_in_neutral_words() -> None:
    said = status(replace(BOOKED, status="noshow", came=NOW), NOW)
    assert said.text == "Vi kom kl. 12:03, men fikk ikke kontakt. Ring oss hvis noe er galt."


def test_freshness_says_who_confirmed_and_when_or_that_nobody_did() -> None:
    assert fresh(BOOKED, NOW, False, NOW) == "Bekreftet av journalsystemet kl. 12:03"
    assert fresh(BOOKED, NOW - timedelta(days=1), False, NOW) == "Bekreftet av journalsystemet i går, søndag 22. november kl. 12:03"
    assert fresh(BOOKED, NOW, True, NOW) == "Endring på vei til journalsystemet"
    assert fresh(replace(BOOKED, status="pending"), NOW, False, NOW) == "Endring på vei til journalsystemet"
    assert fresh(replace(BOOKED, status="pending"), None, True, NOW) == "Ikke bekreftet ennå"


def test_every_icon_is_drawn() -> None:
    drawn = set(re.findall(r'id="i-(\w+)"', templates().from_string('{% import "icons.html" as icons %}{{ icons.sprite() }}').render()))
    folder = Path(words.__file__).parent / "templates"
    asked = {name for page in folder.rglob("*.html") for name in re.findall(r'icon\("(\w+)"\)', page.read_text())}
    asked |= {status(replace(BOOKED, status=s), NOW).icon for s in ("booked", "pending", "arrived", "fulfilled", "cancelled", "noshow")}
    asked |= {named.icon for named in names.STATES.values()} | {names.icon(kind) for kind in names.KINDS}
    assert asked <= drawn, asked - drawn


@pytest.mark.parametrize(("state", "said"), [("booked", "Satt på pause"), ("pending", "Satt på pause"), ("fulfilled", "Utført"), ("arrived", "På vei / hos deg nå")])
def test_a_visit_while_somebody_is_away_is_paused_unless_it_happened(state: str, said: str) -> None:
    start = datetime(2026, 12, 1, 8, tzinfo=UTC)
    found = status(Facts(state, start, start + timedelta(minutes=30), paused=True), start - timedelta(days=1))
    assert found.word == said and found.stands is (said != "Satt på pause")
