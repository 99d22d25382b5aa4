"""What states, steps and directions are called in the console: complete tables, each row a word, a colour and an icon."""

from __future__ import annotations

from dataclasses import dataclass

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
OTHER_KINDS = {
    "version": "Ny versjon lagret",
    "owed": "Melding skyldes",
    "received": "Melding mottatt",
    "refused": "Melding avvist av oss",
    "impossible": "Kvittering som ikke passer",
}
"""Timeline kinds that are no Step."""
STEP_ICONS = {
    "version": "done", "owed": "arrow", "received": "back", "refused": "warning", Step.SENT: "arrow", Step.ARRIVED: "check",
    Step.ACCEPTED: "check", Step.REJECTED: "cross", Step.REFUSED: "cross", Step.EXPIRED: "warning", Step.UNAVAILABLE: "clock",
    Step.OVERDUE: "clock",
}
DIRECTIONS = {"ut": "Ut", "inn": "Inn"}


def kind(name: str) -> str:
    """The words for a timeline entry's kind; one we do not know is shown as it is."""
    return {step.value: said for step, said in STEPS.items()}.get(name) or OTHER_KINDS.get(name, name)


def icon(name: str) -> str:
    """The icon for a timeline entry's kind."""
    return STEP_ICONS.get(name, "done")
