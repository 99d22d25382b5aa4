"""«Fullmakt»: who may see my visits and what they may do, giving and ending it; and whom I represent, with a way to decline.

A national id is in the body of the form that gives it and nowhere else. Plain links and forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hub.access import LAST_YEAR, Ground, Information, Mandate, Scope
from hub.faces import words
from hub.faces.context import Context
from hub.faces.portal.page import missing, shown
from hub.faces.portal.viewer import GROUNDS, Viewer, name_of, represented, viewer
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.fhir.query import Query, ReferenceIs
from hub.mandates import LONGEST_NAME, Mandates, Wish, lasts, may_give
from hub.problem import Problem, Refused

SAID = {
    Scope.SEE: "Se besøkene {}", Scope.BOOK: "Bestille, flytte og avbestille besøk", Scope.READ_MESSAGES: "Lese meldinger",
    Scope.WRITE_MESSAGES: "Skrive meldinger", Scope.NOTICES: "Få varsler på SMS eller e-post",
}
MESSAGES = {"": frozenset[Scope](), "lese": frozenset({Scope.READ_MESSAGES}), "skrive": frozenset({Scope.READ_MESSAGES, Scope.WRITE_MESSAGES})}
WRONG = {
    "navn": f"Skriv navnet til den som skal få fullmakt, på høyst {LONGEST_NAME} tegn.",
    "nummer": "Fødselsnummeret er ikke riktig. Det har elleve siffer. Se etter om du har skrevet feil.",
    "fra": "Skriv dagen fullmakten skal gjelde fra: i dag eller senere.",
    "til": "Skriv den siste dagen, etter den første. Eller la feltet stå tomt.",
}
"""What is told of a field; also the order in which the form has them."""
TOLD = {"gitt": "Fullmakten er gitt.", "avsluttet": "Fullmakten er avsluttet."}


@dataclass(frozen=True, slots=True)
class Card:
    """A mandate, ready to print."""

    id: str
    name: str
    ground: str
    may: tuple[str, ...]
    period: str
    endable: bool
    """Given, and so not the law's: it can be ended here."""


def mandates(context: Context, asked: Asked) -> Answer:
    """GET /fullmakt: also for whoever has nobody to see just now."""
    seen = viewer(context.store, asked.who, asked.now)
    own = seen is not None and seen.shows(Information.MANDATES, asked.now)
    values = {
        "given": list(given(context, seen, asked.now)) if seen and own else [], "held": [c for _, c in held(context, asked)], "own": own,
        "may_give": seen is not None and may_give(seen.reader, seen.person, asked.now),
        "told": next((said for word, said in TOLD.items() if word in asked.query), ""),
    }
    page = shown(asked, seen, "mandates", **values) if seen else {"session": asked.who, "viewer": None, "here": "mandates", **values}
    return Page("portal/mandates.html", page, audit=(seen.line("mandates", asked.now),) if seen and own else ())


def ask(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /fullmakt/ny."""
    return _form(context, asked, seen)


def give(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /fullmakt/ny: the receipt is the list."""
    wish, wrong = _wished(asked)
    if wish is None:
        return _form(context, asked, seen, wrong)
    try:
        Mandates(context.store, context.shop.keeping.check).give(seen.reader, wish)
    except Refused as refused:
        return _form(context, asked, seen, {"nummer": WRONG["nummer"] if refused.problem is Problem.INVALID else refused.problem.text})
    return Redirect("/fullmakt?gitt=1")


def ask_end(context: Context, asked: Asked) -> Answer:
    """GET /fullmakt/<id>/avslutt: says what happens, and asks once. For the giver and the holder alone."""
    seen = viewer(context.store, asked.who, asked.now)
    mine = [(c, True) for c in given(context, seen, asked.now)] if seen and seen.own else []
    found = next(((c, g) for c, g in (*mine, *((c, False) for _, c in held(context, asked))) if c.id == asked.params["id"] and c.endable), None)
    if found is None:
        return _nothing(asked, seen)
    values = {"card": found[0], "gave": found[1]}
    return Page("portal/mandate_end.html", shown(asked, seen, "mandates", **values) if seen else
                {"session": asked.who, "viewer": None, "here": "mandates", **values})


def end(context: Context, asked: Asked) -> Answer:
    """POST /fullmakt/<id>/avslutt."""
    try:
        Mandates(context.store, context.shop.keeping.check).end(asked.who.who, asked.params["id"])
    except Refused:
        return _nothing(asked, viewer(context.store, asked.who, asked.now))
    return Redirect("/fullmakt?avsluttet=1")


def given(context: Context, seen: Viewer, now: datetime) -> Iterator[Card]:
    """The mandates over this person that hold or will, by name."""
    kind, _, id_ = seen.person.reference.partition("/")
    kept = context.store.search(Query("Consent", (ReferenceIs("patient", ((kind, id_),)),))).entries
    cards = []
    for mandate in (Mandate.of(stored.resource) for stored in kept):
        for holder in sorted(mandate.holders) if lasts(mandate, now) and Scope.SEE in mandate.scopes else ():
            relative = context.store.get("RelatedPerson", holder.partition("/")[2])
            if relative is not None and not relative.deleted:
                cards.append(_card(mandate, name_of(relative.resource), "dine", now))
    return iter(sorted(cards, key=lambda card: card.name))


def held(context: Context, asked: Asked) -> Iterator[tuple[Viewer, Card]]:
    """Whom this session represents, or will."""
    for one in (one for ref in asked.who.who for one in represented(context.store, ref)):
        mandate = one.reader.mandate
        if mandate is not None and lasts(mandate, asked.now) and one.may(Scope.SEE, max(asked.now, mandate.starts or asked.now)):
            yield one, _card(mandate, one.name, "til " + one.first_name, asked.now)


def _card(mandate: Mandate, name: str, whose: str, now: datetime) -> Card:
    may = tuple(said.format(whose) for scope, said in SAID.items() if scope in mandate.scopes)
    first = f"Fra {_day(mandate.starts, now)}" if mandate.starts and mandate.starts > now else ""
    ends = mandate.ends if mandate.ends and mandate.ends.year < LAST_YEAR else None
    last = f"til og med {_day(ends - timedelta.resolution, now)}" if ends else "til den avsluttes"
    period = f"{first} {last}".strip()
    return Card(mandate.id, name, GROUNDS[mandate.ground], may, period[0].upper() + period[1:], mandate.ground is Ground.MANDATE)


def _day(moment: datetime, now: datetime) -> str:
    said = words.day(moment, now)
    return said[0].lower() + said[1:]


def _wished(asked: Asked) -> tuple[Wish | None, dict[str, str]]:
    """What the form says, or what is wrong in it, by field. What only the rules can tell, they do."""
    form, today = asked.form, words.local(asked.now).date()
    starts, ends = day_said(form.get("fra", "")), day_said(form.get("til", ""))
    scopes = {Scope.SEE, *MESSAGES.get(form.get("meldinger", ""), ())} | {s for s in (Scope.BOOK, Scope.NOTICES) if form.get(s.value)}
    name, number = " ".join(form.get("navn", "").split()), "".join(form.get("nummer", "").split())
    faults = {
        "navn": not 0 < len(name) <= LONGEST_NAME, "nummer": len(number) != 11, "fra": starts is None or starts < today,
        "til": bool(form.get("til", "").strip()) and (ends is None or (starts is not None and ends < starts)),
    }
    wrong = {field: WRONG[field] for field in WRONG if faults.get(field)}
    if wrong or starts is None:
        return None, wrong
    return Wish(form.get("nokkel", "")[:40], name, number, frozenset(scopes), starts, ends), {}


def day_said(text: str) -> date | None:
    """`2026-12-01`, as browsers send a date, or `1.12.2026`, as people write one where the browser has no calendar. None: neither."""
    parts = text.strip().split(".")
    try:
        return date(int(parts[2]), int(parts[1]), int(parts[0])) if len(parts) == 3 else date.fromisoformat(text.strip())
    except ValueError:
        return None


def _form(context: Context, asked: Asked, seen: Viewer, wrong: dict[str, str] | None = None) -> Answer:
    if not may_give(seen.reader, seen.person, asked.now):
        return missing(asked, seen)
    today = words.local(asked.now).date().isoformat()
    blank = dict.fromkeys(("navn", "nummer", "meldinger", "til", Scope.BOOK.value, Scope.NOTICES.value), "")
    form = blank | (dict(asked.form) or {"nokkel": context.token(9), "fra": today, Scope.NOTICES.value: "ja"})
    return Page("portal/mandate.html", shown(
        asked, seen, "mandates", form={"nokkel": context.token(9), "fra": "", **form}, wrong=wrong or {}, longest=LONGEST_NAME, today=today,
    ), 409 if wrong else 200)


def _nothing(asked: Asked, seen: Viewer | None) -> Page:
    return missing(asked, seen) if seen else Page("portal/error.html", {"session": asked.who, "error": 404, "reference": "", "text": ""}, 404)
