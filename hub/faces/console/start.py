"""«Trenger deg nå»: what does not move by itself any more, each number a link to the list behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from hub.delivery import State
from hub.faces.console.names import NEEDS_YOU, STATES, WAITING
from hub.faces.console.service import unopened
from hub.faces.context import AdapterCard, Context
from hub.faces.web import Answer, Asked, Page
from hub.problem import Problem
from hub.store import Standing
from hub.store.feeds import ADAPTER

THREADS = "/drift/brukermeldinger"
LATE = timedelta(minutes=30)
"""A delivery that has waited longer is shown in red."""
AHEAD = timedelta(minutes=2)
"""A last change that lies further ahead than this is told of."""
ADVICE = {
    State.FAILED: "Transporten sa nei for godt. Se hvorfor, og send på nytt.",
    State.EXPIRED: "Ingen svarte innen fristen. Ring mottakeren.",
    State.REJECTED: "Mottakeren godtok ikke innholdet. Personen ser det i portalen.",
}


@dataclass(frozen=True, slots=True)
class Number:
    """One number that somebody should look at."""

    count: int
    what: str
    more: str
    url: str
    colour: str


@dataclass(frozen=True, slots=True)
class Row:
    """One adapter in the table."""

    name: str
    title: str
    party: str
    kinds: str
    departments: tuple[str, ...]
    version: int
    waiting: int
    needs: int
    accepted: int
    oldest: datetime | None
    late: bool


def start(context: Context, asked: Asked) -> Answer:
    """GET /drift."""
    standing = context.store.standing()
    new = unopened(context, asked)
    written = Number(new, "Nytt fra brukere", "Meldinger som ingen har åpnet ennå.", THREADS, "warning")
    needs = [*([written] if new else []), *numbers(standing)]
    refused = [
        {"problem": p.value, "text": p.text, "count": n} for p, n in sorted(standing.problems.items(), key=lambda item: -item[1])
    ]
    warnings = [*context.warnings(), *_clock(standing, asked.now)]
    return Page("console/start.html", shown(asked, "start", needs=needs, warnings=warnings, calm=not needs, refused=refused, detailed=False,
                                            adapters=rows(context, standing, asked.now)))


def _clock(standing: Standing, now: datetime) -> list[str]:
    ahead = standing.ahead(now)
    if ahead <= AHEAD:
        return []
    told = f"{ahead.days} døgn" if ahead.days else f"{ahead.seconds // 60} minutter"
    return [f"En klokke går feil: siste endring er merket {told} fram i tid. Kontroller klokka på maskinene (docs/operations.md, «Klokka»)."]


def adapters(context: Context, asked: Asked) -> Answer:
    """GET /drift/koblinger."""
    standing = context.store.standing()
    return Page("console/adapters.html", shown(asked, "adapters", detailed=True, adapters=rows(context, standing, asked.now)))


def problems(_: Context, asked: Asked) -> Answer:
    """GET /drift/feil: the problem table, one stable anchor per number."""
    return Page("console/problems.html", shown(asked, "problems", problems=list(Problem)))


def shown(asked: Asked, here: str, **values: Any) -> dict[str, Any]:
    """What every console page needs."""
    return {"session": asked.session, "here": here, **values}


def numbers(standing: Standing) -> list[Number]:
    """One per state that needs somebody, when there are any; and the refused envelopes."""
    total: Counter[State] = Counter()
    for (_, state), count in standing.deliveries.items():
        total[state] += count
    made = [
        Number(total[s], STATES[s].word, ADVICE[s], "/drift/meldinger?" + urlencode({"retning": "ut", "status": s.value}), STATES[s].colour)
        for s in NEEDS_YOU if total[s]
    ]
    refused = sum(standing.problems.values())
    if refused:
        made.append(Number(refused, "Avvist av oss", "Meldinger inn som hadde feil. Avsenderen har fått svar.",
                           "/drift/meldinger?" + urlencode({"retning": "inn", "status": "avvist"}), "warning"))
    return made


def rows(context: Context, standing: Standing, now: datetime) -> list[Row]:
    """Every adapter that is set up, and any that still has deliveries."""
    cards = {card.name: card for card in context.adapters()}
    for name, _ in standing.deliveries:
        if not name.startswith(ADAPTER):  # a subscription that is deleted was its client's, not ours to set up
            cards.setdefault(name, AdapterCard(name, name, "", "ikke satt opp lenger", version=0))
    return [_row(card, standing, now) for card in sorted(cards.values(), key=lambda c: c.title)]


def _row(card: AdapterCard, standing: Standing, now: datetime) -> Row:
    def count(states: tuple[State, ...]) -> int:
        return sum(standing.deliveries.get((card.name, s), 0) for s in states)

    oldest = standing.oldest.get(card.name)
    return Row(card.name, card.title, card.party, card.kinds, card.departments, card.version, count(WAITING), count(NEEDS_YOU),
               count((State.ACCEPTED,)), oldest, oldest is not None and now - oldest > LATE)
