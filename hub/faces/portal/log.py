"""«Hvem har sett opplysninger om meg»: the access log in plain words, for the person alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from hub.access import AuditLine, Ground
from hub.booking.life import What
from hub.faces import words
from hub.faces.portal.viewer import name_of
from hub.store import Store

SHOWN = 200
"""Lines on one page, newest first."""
KINDS = {
    "visits": "Oversikt over besøk",
    "visit": "Ett besøk",
    "past-visits": "Tidligere besøk",
    "pause": "Meldte at besøk skal ha pause",
    "on-behalf": "Slo opp for å bestille på vegne av deg",
    "balances": "Hva som er innvilget og brukt",
    "waiting": "Venteliste",
    "notices": "Valg av varsler",
    "notices-changed": "Endret valg av varsler",
    "free-times": "Ledige tider",
    "hold": "Holdt av en tid",
    "series": "Gjentatte bestillinger",
    "wait": "Satte seg på venteliste",
    "wait-decline": "Takket nei til en ledig tid",
    "wait-leave": "Gikk av ventelisten",
    "messages": "Oversikt over meldinger",
    "message": "En samtale med hjemmetjenesten",
    "message-sent": "Skrev en melding",
    "message-file": "Et vedlegg til en melding",
    "message-draft": "Lagret et utkast til en melding",
    "mandates": "Hvem som har fullmakt",
    "mandate-given": "Ga en fullmakt",
    "mandate-ended": "Avsluttet en fullmakt",
    "mandate-declined": "Sa fra seg en fullmakt",
    "access-log": "Denne loggen",
    "timeline": "Meldingssporet for et besøk",
    "search": "Søk fra et fagsystem",
    "read": "Oppslag fra et fagsystem",
    "history": "Oppslag fra et fagsystem",
    **{what.value: said for what, said in {
        What.BOOK: "Bestilte et besøk", What.MOVE: "Flyttet et besøk", What.CANCEL: "Avlyste eller avbestilte et besøk",
        What.CONFIRM: "Bekreftet et besøk", What.ASSIGN: "Meldte hvem som kommer", What.ON_THE_WAY: "Meldte at noen er på vei",
        What.COMPLETE: "Meldte et besøk utført", What.NOT_HOME: "Meldte at ingen svarte",
    }.items()},
}
GROUNDS = {
    Ground.SELF: "Egne opplysninger",
    Ground.MANDATE: "Fullmakt",
    Ground.PARENT: "Foreldreansvar",
    Ground.GUARDIAN: "Verge",
    Ground.OPERATOR: "Drift og feilsøking",
    Ground.STAFF: "Bestiller på vegne av deg",
    Ground.SERVICE: "Svarer på meldinger",
    Ground.VENDOR: "Utfører tjenesten",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, ready to print."""

    at: str
    who: str
    what: str
    why: str
    again: str = ""
    """`7 ganger siden kl. 09:02`; empty for what happened once."""


def lines(store: Store, person: str, now: datetime) -> list[Line]:
    """What was shown of this person, newest first. The same by the same reader, time after time on one day, is one line."""
    names: dict[str, str] = {}
    given = [line for line in store.audit_of(person, SHOWN) if line.given]
    return [_line(store, list(alike), names, now) for _, alike in groupby(given, _alike)]


def _alike(line: AuditLine) -> tuple[object, ...]:
    return line.reader, _what(line), line.ground, words.local(line.at).date()


def _line(store: Store, alike: Sequence[AuditLine], names: dict[str, str], now: datetime) -> Line:
    line = alike[0]
    if line.reader not in names:
        names[line.reader] = "Du" if line.reader == line.person else _name(store, line.reader)
    ground = next((said for g, said in GROUNDS.items() if g.value == line.ground), "Annet")
    at = words.when(line.at, now)
    again = f"{len(alike)} ganger siden {words.clock(alike[-1].at)}" if len(alike) > 1 else ""
    return Line(at[0].upper() + at[1:] if not at.startswith("kl.") else f"I dag {at}", names[line.reader], _what(line), ground, again)


def _what(line: AuditLine) -> str:
    return KINDS.get(line.kind.partition(" ")[0], "Opplysninger om besøk")


def _name(store: Store, reader: str) -> str:
    """A relative's name; an operator's and a vendor's role."""
    kind, _, id = reader.partition("/")
    if kind == "RelatedPerson":
        stored = store.get(kind, id)
        return name_of(stored.resource) if stored is not None else "Pårørende"
    role, _, name = reader.partition(":")
    roles = {
        "series": "Gjentatt bestilling", "staff": "En ansatt i kommunen",
        "operator": "Kommunens IT-drift", "adapter": f"Fagsystemet {name}", "vendor": f"Fagsystemet {name}",
    }
    return roles.get(role, "Hjemmetjenesten")
