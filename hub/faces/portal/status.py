"""What a visit's state is called for people: a word, a colour, an icon and one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hub.faces import words

BY_SERVICE, BY_CITIZEN, ON_BEHALF, NOT_HOME = "AAT", "AAI", "APVAI", "AIH"
"""Volven 7621, Appointment.cancelationReason."""


@dataclass(frozen=True, slots=True)
class Status:
    """Word, colour and icon: never the colour alone."""

    word: str
    colour: str
    """A Designsystemet colour: success, info, warning, danger, neutral."""
    icon: str
    """A name in templates/icons.html."""
    text: str = ""
    """One sentence more, where one helps."""
    stands: bool = True
    """The visit will come, is here or was done; False: it will not."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one visit, as far as its word depends on it."""

    status: str
    """Appointment.status."""
    start: datetime
    end: datetime
    reason: str = ""
    """cancelationReason, Volven 7621."""
    on_the_way: bool = False
    """An Encounter in progress."""
    came: datetime | None = None
    """Encounter.period.start."""
    paused: bool = False
    """The person is known to be away then."""
    answer: str = ""
    """`refused`: the service said no to the booking. `move-refused`: to another time."""
    refused: bool = False
    """The EPJ said no to our last letter, or it never arrived."""
    own: bool = True
    """The reader is the person."""
    name: str = ""
    """The person's first name, for relatives."""


CONFIRMED = Status("Bekreftet", "success", "check")
WAITING = Status("Venter på svar", "info", "clock", "Vi har sendt bestillingen til hjemmetjenesten. Du får svar innen én virkedag.")
DONE = Status("Utført", "neutral", "done")
PAUSED = Status("Satt på pause", "neutral", "clock", "Besøkene er satt på pause. Ring oss hvis det er feil.", stands=False)
MOVE_REFUSED = Status(
    "Bekreftet", "success", "check", "Hjemmetjenesten kunne ikke flytte besøket. Det gamle tidspunktet gjelder fortsatt.",
)
NOT_POSSIBLE = Status(
    "Ikke mulig", "warning", "cross", "Hjemmetjenesten kunne ikke ta imot bestillingen. Velg en annen tid, eller ring oss.", stands=False,
)
CANCELLED_BY_US = Status("Avlyst av oss", "danger", "cross", "Ring oss hvis du trenger et nytt tidspunkt.", stands=False)
NOT_REPORTED = Status("Ikke meldt utført", "neutral", "clock", "Tidspunktet er passert, men vi har ikke fått melding om besøket ennå.")
REFUSED = Status(
    "Ikke avklart", "warning", "warning",
    "Hjemmetjenesten kunne ikke ta imot den siste endringen på nett. Ring oss, så hjelper vi deg.",
)


def status(facts: Facts, now: datetime) -> Status:
    """The word for one visit at `now`."""
    match facts.status:
        case "noshow":
            return _missed(facts)
        case "cancelled" if facts.answer:
            return NOT_POSSIBLE
        case "cancelled":
            return _missed(facts) if facts.reason == NOT_HOME else _cancelled(facts)
        case "fulfilled":
            return DONE
        case "arrived":
            return _here(facts)
        case _ if facts.on_the_way:
            return _here(facts)
        case "booked" | "pending" if facts.paused and now < facts.end:
            return PAUSED
        case _ if facts.refused:
            return REFUSED
        case "booked":
            return (MOVE_REFUSED if facts.answer else CONFIRMED) if now < facts.end else NOT_REPORTED
        case _:
            return WAITING if now < facts.end else NOT_REPORTED


def _here(facts: Facts) -> Status:
    at = "deg" if facts.own else facts.name
    return Status(f"På vei / hos {at} nå", "success", "home", f"Vi er på vei til {at}, eller hos {at} nå.")


def _missed(facts: Facts) -> Status:
    came = f"Vi kom {words.clock(facts.came)}" if facts.came else "Vi kom"
    return Status("Vi fikk ikke kontakt", "warning", "warning", f"{came}, men fikk ikke kontakt. Ring oss hvis noe er galt.", stands=False)


def _cancelled(facts: Facts) -> Status:
    who: Mapping[str, str] = {
        BY_CITIZEN: "Avbestilt av deg" if facts.own else f"Avbestilt av {facts.name}",
        ON_BEHALF: "Avbestilt for deg" if facts.own else f"Avbestilt for {facts.name}",
    }
    if facts.reason in who:
        return Status(who[facts.reason], "neutral", "cross", "", stands=False)
    return CANCELLED_BY_US


def fresh(facts: Facts, confirmed_at: datetime | None, pending: bool, now: datetime) -> str:
    """How much the reader can trust what is shown: when the EPJ last said it, or that a change is on its way to it.

    `pending`: a letter about this visit is not answered yet.
    """
    if confirmed_at is None:
        return "" if facts.status == "cancelled" else "Ikke bekreftet ennå"
    if facts.status == "pending" or pending:
        return "Endring på vei til journalsystemet"
    return f"Bekreftet av journalsystemet {words.when(confirmed_at, now)}"
