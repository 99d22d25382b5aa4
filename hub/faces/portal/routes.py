"""The portal's addresses, and what each one shows."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.access import AuditLine, Ground, Information
from hub.faces import late, sessions
from hub.faces.context import Context
from hub.faces.portal import log, login, mandates, messages, notices, ordering, series, signin, visits, waiting
from hub.faces.portal.page import shown
from hub.faces.portal.viewer import Viewer, choices, viewer
from hub.faces.web import Answer, Asked, Face, Handler, Page, Redirect

LOGIN = "/logg-inn"


def face(context: Context) -> Face:
    """The portal as a face."""
    return Face("portal", context, LOGIN if context.demo or context.provider else "/")


def routes(context: Context) -> list[BaseRoute]:
    """Every address of the portal, and the static files. The test login is there in the demo only."""
    portal, files = face(context), context.messaging.limits
    made: list[BaseRoute] = [
        context.assets.route(),
        portal.page("/", front, open=True),
        portal.page("/tidligere", seeing(past)),
        portal.page("/besok/{id}", seeing(visit)),
        *_ordering(portal),
        portal.page("/meldinger", seeing(messages.readers(messages.messages))),
        portal.page("/meldinger/ny", seeing(messages.writers(messages.ask))),
        portal.form("/meldinger/ny", seeing(messages.writers(messages.send)), files=files),
        portal.page("/meldinger/{id}", seeing(messages.readers(messages.thread))),
        portal.form("/meldinger/{id}", seeing(messages.writers(messages.reply)), files=files),
        portal.page("/meldinger/{id}/vedlegg/{file}", seeing(messages.readers(messages.attachment))),
        portal.page("/varsler", seeing(notices.notices)),
        portal.form("/varsler", seeing(notices.save)),
        portal.page("/fullmakt", mandates.mandates),
        portal.page("/fullmakt/ny", seeing(mandates.ask)),
        portal.form("/fullmakt/ny", seeing(mandates.give)),
        portal.page("/fullmakt/{id}/avslutt", mandates.ask_end),
        portal.form("/fullmakt/{id}/avslutt", mandates.end),
        portal.page("/hvem-har-sett", seeing(access_log)),
        portal.page("/fortsett", late.ask),
        portal.form("/fortsett", late.send),
        portal.page("/velg", choose),
        portal.form("/velg", chosen),
        portal.form("/logg-ut", leave),
        portal.page("/tilgjengelighet", text("accessibility"), open=True),
        portal.page("/personvern", text("privacy"), open=True),
    ]
    if context.provider is not None:
        made += signin.routes(portal, context.provider)
    elif context.demo:
        made += [portal.page(LOGIN, login.chooser, open=True), portal.form(LOGIN, login.enter, open=True)]
    if context.demo:
        made.append(portal.page("/om-demoen", text("demo"), open=True))
    return made


def _ordering(portal: Face) -> list[BaseRoute]:
    """The addresses of whoever may book."""
    return [
        portal.page("/bestill", ordered(ordering.services)),
        portal.page("/serier", ordered(series.series)),
        portal.form("/serier/{id}/avslutt", ordered(series.end)),
        portal.page("/venteliste", ordered(waiting.waiting)),
        portal.form("/venteliste/{id}/ja", ordered(waiting.accept)),
        portal.form("/venteliste/{id}/nei", ordered(waiting.decline)),
        portal.form("/venteliste/{id}/slett", ordered(waiting.leave)),
        portal.page("/bestill/{service}/venteliste", ordered(waiting.ask)),
        portal.form("/bestill/{service}/venteliste", ordered(waiting.join)),
        portal.page("/bestill/{service}", ordered(ordering.times)),
        portal.form("/bestill/{service}", ordered(ordering.hold)),
        portal.form("/bestill/{service}/bekreft", ordered(ordering.confirm)),
        portal.form("/bestill/{service}/slipp", ordered(ordering.leave)),
        portal.page("/besok/{id}/flytt", ordered(ordering.times)),
        portal.form("/besok/{id}/flytt", ordered(ordering.hold)),
        portal.form("/besok/{id}/flytt/bekreft", ordered(ordering.confirm)),
        portal.form("/besok/{id}/flytt/slipp", ordered(ordering.leave)),
        portal.page("/besok/{id}/avbestill", ordered(ordering.ask_cancel)),
        portal.form("/besok/{id}/avbestill", ordered(ordering.cancel)),
    ]


def missing(context: Context) -> Callable[[Request, Exception], Response]:
    """What answers addresses that do not exist: the application's exception handler for 404."""
    return face(context).missing()


Seeing = Callable[[Context, Asked, Viewer], Answer]


def seeing(handler: Seeing) -> Handler:
    """A page about one person's visits: finds whose, anew for every request, so that an ended mandate ends at once."""

    def handle(context: Context, asked: Asked) -> Answer:
        seen = viewer(context.store, asked.who, asked.now)
        if seen is not None:
            return handler(context, asked, seen)
        if asked.who.acting:
            return Page("portal/ended.html", {"session": asked.who, "others": choices(context.store, asked.who, asked.now)}, 403)
        return Redirect("/velg")

    return handle


def ordered(handler: Seeing) -> Handler:
    """A page of ordering: only for whoever may book for the person; for others it does not exist."""

    def handle(context: Context, asked: Asked, seen: Viewer) -> Answer:
        if ordering.may_order(seen, asked.now):
            return handler(context, asked, seen)
        return Page("portal/error.html", shown(asked, seen, "visits", error=404, reference="", text=""), 404)

    return seeing(handle)


RECEIPTS = {
    "ny": "Bestillingen er sendt til hjemmetjenesten.",
    "flyttet": "Ønsket om ny tid er sendt til hjemmetjenesten.",
    "avbestilt": "Besøket er avbestilt.",
}
"""What the visit's page says straight after each action."""


TOLD = {
    "utlopt": "Du er logget ut, fordi det er en stund siden du brukte siden. Logg inn igjen for å fortsette.",
    "logget-ut": "Du er logget ut.",
    "avbrutt": "Innloggingen ble avbrutt. Du kan prøve igjen.",
}
"""What the first page says to whoever comes from there."""


def front(context: Context, asked: Asked) -> Answer:
    """GET /: the visits; for nobody in particular, what this is and where to log in."""
    if asked.session is None:
        told = next((said for word, said in TOLD.items() if word in asked.query), "")
        return Page("portal/welcome.html", {"login": LOGIN if context.demo or context.provider else "", "told": told})
    return seeing(_visits)(context, asked)


def _visits(context: Context, asked: Asked, seen: Viewer) -> Answer:
    overview = visits.overview(context.store, seen, asked.now)
    offers = waiting.offers(context, seen.person.reference, asked.now) if ordering.may_order(seen, asked.now) else 0
    unread = messages.news(context, seen, asked.now)
    values = shown(asked, seen, "visits", overview=overview, offers=offers, unread=unread)
    return Page("portal/visits.html", values, audit=(seen.line("visits", asked.now),))


def past(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /tidligere: one page of past visits; `fra` says where it begins."""
    cards, more = visits.earlier(context.store, seen, asked.now, asked.query.get("fra", ""))
    return Page("portal/past.html", shown(asked, seen, "visits", past=cards, more=more), audit=(seen.line("past-visits", asked.now),))


def visit(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /besok/<id>: one visit. Somebody else's is answered as one that does not exist, and the attempt is kept."""
    card = visits.one(context.store, seen, asked.params["id"], asked.now)
    if card is None:
        return Page("portal/error.html", shown(asked, seen, "visits", error=404, reference="", text=""), 404, refused(context, asked, seen))
    may_move, may_cancel = ordering.open_to_change(context, seen, card.id, asked.now)
    wish = asked.query.get("stengt", "")
    return Page(
        "portal/visit.html",
        shown(asked, seen, "visits", card=card, may_move=may_move, may_cancel=may_cancel, may_write=messages.about(context, seen, card.id, asked.now),
              receipt=next((said for word, said in RECEIPTS.items() if word in asked.query), ""),
              closed="" if {"flytt": may_move, "avbestill": may_cancel}.get(wish) else ordering.CLOSED.get(wish, "")),
        audit=(seen.line("visit", asked.now),),
    )


def refused(context: Context, asked: Asked, seen: Viewer) -> tuple[AuditLine, ...]:
    """The audit lines of an attempt to open a visit: under the person whose it is. None where there is no such visit."""
    stored = visits.kept(context.store, asked.params["id"])
    persons = visits.persons(stored.resource) if stored is not None else []
    reader = seen.reader
    return tuple(
        AuditLine(asked.now, ref, reader.reference, reader.ground.value, "visit", reader.on_behalf_of, "portal", given=False)
        for ref in persons if ref != seen.person.reference
    )


def access_log(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /hvem-har-sett: for the person alone."""
    if not seen.shows(Information.ACCESS_LOG, asked.now):
        return Page("portal/error.html", shown(asked, seen, "log", error=404, reference="", text=""), 404)
    lines = log.lines(context.store, seen.person.reference, asked.now)
    return Page("portal/log.html", shown(asked, seen, "log", lines=lines), audit=(seen.line("access-log", asked.now),))


def choose(context: Context, asked: Asked) -> Answer:
    """GET /velg: whose visits to see."""
    able = choices(context.store, asked.who, asked.now)
    current = viewer(context.store, asked.who, asked.now)
    return Page("portal/choose.html", {"session": asked.who, "viewer": current, "here": "choose", "choices": able})


def chosen(context: Context, asked: Asked) -> Answer:
    """POST /velg: from here on this person's visits, under a new session token."""
    able = choices(context.store, asked.who, asked.now)
    whom = next((v for v in able if v.key == asked.form.get("hvem")), None)
    if whom is None:
        return Redirect("/velg")
    return Redirect("/", sessions.renew(context.store, asked.who, context.token(32), whom.key, asked.now))


def leave(context: Context, asked: Asked) -> Answer:
    """POST /logg-ut: here, and at the provider."""
    context.store.end_session(asked.who.digest)
    there = context.provider.farewell(asked.who.hint) if context.provider and asked.who.hint else ""
    return Page("portal/leaving.html", {"there": there}, ended=True) if there else Redirect("/?logget-ut=1", ended=True)


def text(name: str) -> Handler:
    """A page of plain text, for everybody."""

    def handle(context: Context, asked: Asked) -> Answer:
        seen = viewer(context.store, asked.session, asked.now) if asked.session is not None else None
        log_too = seen is not None and seen.reader.ground is Ground.SELF
        return Page(f"portal/{name}.html", {"session": asked.session, "viewer": seen, "may_see_log": log_too, "here": name})

    return handle
