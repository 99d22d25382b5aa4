"""What states, steps and directions are called in the console: complete tables, each row a word, a colour and an icon."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.booking.life import What
from hub.delivery import State, Step


@dataclass(frozen=True, slots=True)
class Named:
    """A word with its colour (Designsystemet) and icon (templates/icons.html)."""

    word: str
    colour: str
    icon: str


STATES: dict[State, Named] = {
    State.DUE: Named("Venter på sending", "info", "clock"),
    State.SENT: Named("Sendt, venter på kvittering", "info", "clock"),
    State.ARRIVED: Named("Framme, venter på svar", "info", "clock"),
    State.ACCEPTED: Named("Godkjent", "success", "check"),
    State.REJECTED: Named("Avvist av mottakeren", "danger", "cross"),
    State.FAILED: Named("Feilet", "danger", "warning"),
    State.EXPIRED: Named("Utløpt", "danger", "warning"),
    State.SUPERSEDED: Named("Erstattet av nyere", "neutral", "done"),
}
FEEDS = {
    "requested": Named("Venter på svar", "info", "clock"),
    "active": Named("Aktivt", "success", "check"),
    "error": Named("Stanset av feil", "danger", "warning"),
    "off": Named("Avslått", "neutral", "done"),
}
"""Subscription.status; what is stopped by an error, the client must start again."""
NEEDS_YOU = (State.FAILED, State.EXPIRED, State.REJECTED)
"""States in which nothing more happens by itself and something did not arrive."""
WAITING = (State.DUE, State.SENT, State.ARRIVED)
STEPS: dict[Step, str] = {
    Step.SENT: "Sendt, transportkvittering ventes",
    Step.UNAVAILABLE: "Mottakeren svarte ikke, prøves igjen",
    Step.OVERDUE: "Ingen transportkvittering i tide, sendes igjen",
    Step.ARRIVED: "Transportkvittering: framme",
    Step.ACCEPTED: "Applikasjonskvittering: godkjent",
    Step.REJECTED: "Applikasjonskvittering: avvist",
    Step.REFUSED: "Transporten avviste meldingen",
    Step.EXPIRED: "Fristen gikk ut",
    Step.SUPERSEDED: "Erstattet av en nyere tilstand",
    Step.RESEND: "Sendt på nytt av operatør",
}
STATED: dict[What, str] = {
    What.BOOK: "Bestilling mottatt",
    What.MOVE: "Nytt tidspunkt mottatt",
    What.CANCEL: "Avbestilling eller avlysning mottatt",
    What.CONFIRM: "Bekreftelse mottatt",
    What.ASSIGN: "Ansatt tildelt",
    What.ON_THE_WAY: "Meldt på vei",
    What.COMPLETE: "Meldt utført",
    What.NOT_HOME: "Meldt bomtur",
    What.PLAN: "Planlagt av tjenesten",
}
STATED_NAMES = {what.value for what in What} | {"received", "duplicate"}
OTHER_KINDS = {
    "version": "Ny versjon lagret",
    "owed": "Melding lagt i kø",
    "received": "Melding mottatt",
    "replayed": "Behandlet på nytt av operatør",
    "duplicate": "Samme melding kom igjen, samme svar gitt",
    "odd-receipt": "Kvittering som ikke passer, endrer ingenting",
    "waiting": "Satt på venteliste",
    "offered": "Tilbudt en ledig tid",
    "offer-declined": "Takket nei til tiden",
    "offer-expired": "Svarte ikke innen fristen",
    "wait-left": "Gikk av ventelisten",
    "wait-ended": "Ventet uten å få tid",
}
"""Timeline kinds that are neither a Step nor something stated."""
KINDS = {w.value: said for w, said in STATED.items()} | {s.value: said for s, said in STEPS.items()} | OTHER_KINDS
STEP_ICONS = {
    "version": "done", "owed": "arrow", "received": "back", "odd-receipt": "warning", Step.SENT: "arrow", Step.ARRIVED: "check",
    Step.ACCEPTED: "check", Step.REJECTED: "cross", Step.EXPIRED: "warning", Step.UNAVAILABLE: "clock",
    Step.OVERDUE: "clock", Step.REFUSED: "cross", What.BOOK: "back", What.MOVE: "back", What.CANCEL: "back", What.CONFIRM: "back",
    What.ASSIGN: "back", What.ON_THE_WAY: "back", What.COMPLETE: "back", What.NOT_HOME: "back", What.PLAN: "back",
}
DIRECTIONS = {"ut": "Ut", "inn": "Inn"}
FUNCTIONS = {
    "booking": "Bestilling", "visit": "Besøk", "stay": "Opphold", "receipt": "Applikasjonskvittering", "free-times": "Spørsmål om ledige tider",
    "free-busy": "Ledige tider", "planned": "Planlagte besøk", "message": "Melding fra bruker", "answer": "Melding til bruker",
    "notice-sms": "Varsel på SMS", "notice-email": "Varsel på e-post",
    "handshake": "Abonnement: håndtrykk", "event": "Abonnement: hendelse", "heartbeat": "Abonnement: livstegn",
    "Acknowledgment": "Transportkvittering", "MessageError": "Feilmelding",
} | dict.fromkeys(("booking-receipt", "visit-receipt", "stay-receipt", "message-receipt"), "Applikasjonskvittering")
"""The rows of mappings/functions.toml, notices, feeds, and the signals of ebMS; one that we do not know is shown as it is."""
_EBMS = "urn:oasis:names:tc:ebxml-msg:service/"


def masked(text: str) -> str:
    """A partner's own words, without anything that looks like a national id: what they write there is not ours to trust."""
    return re.sub(r"(?<!\d)\d{6}\s?\d{5}(?!\d)", "···········", text)


def function(name: str) -> str:
    """The words for what a message is for; for `Service/Action` that is the partner's own."""
    bare = name.removeprefix(_EBMS)
    return FUNCTIONS.get(bare, bare)


def rank(name: str) -> int:
    """Which comes first of what happened in one transaction: what was stated, then what was kept, then what is owed for it."""
    if name in STATED_NAMES:
        return 0
    return 1 if name == "version" else 2


def kind(name: str) -> str:
    """The words for a timeline entry's kind; one we do not know is shown as it is."""
    return KINDS.get(name, name)


def icon(name: str) -> str:
    """The icon for a timeline entry's kind."""
    return STEP_ICONS.get(name, "done")
