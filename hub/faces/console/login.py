"""Who may use the console: in the demo anybody, as the demo's operator; elsewhere whoever holds a token named in hub.toml."""

from __future__ import annotations

import hmac

from hub.access import ALL_DEPARTMENTS
from hub.faces import sessions, unsent
from hub.faces.context import Context
from hub.faces.sessions import Session
from hub.faces.web import Answer, Asked, Page, Redirect

DEMO_OPERATOR = "demo"


def ask(context: Context, asked: Asked) -> Answer:
    """GET /drift/logg-inn."""
    if asked.session is not None:
        return Redirect("/drift")
    return Page("console/login.html", {"wrong": False, "ended": "utlopt" in asked.query})


def enter(context: Context, asked: Asked) -> Answer:
    """POST /drift/logg-inn: a session for the operator whose token it is."""
    name = DEMO_OPERATOR if context.demo else operator(context, asked.form.get("nokkel", ""))
    if name is None:
        return Page("console/login.html", {"wrong": True, "ended": False}, 403)
    rights = (("staff", books(context, name)), ("service", bool(answers(context, name))))
    who = (f"operator:{name}", *(f"{role}:{name}" for role, given in rights if given))
    session = sessions.start(context.store, context.token(32), "console", who, asked.now)
    return Redirect(f"/drift{unsent.AGAIN}" if unsent.found(context.store, session) else "/drift", session)


def books(context: Context, name: str) -> bool:
    """May book, move and cancel for a person: in the demo whoever tries it, elsewhere who is set up so in hub.toml."""
    return context.demo or any(known.books for known in context.operators if known.name == name)


def answers(context: Context, name: str) -> frozenset[str]:
    """The departments whose messages they read and answer; `*`: all. In the demo whoever tries it, elsewhere who is set up so in hub.toml."""
    return ALL_DEPARTMENTS if context.demo else next((known.messages for known in context.operators if known.name == name), frozenset())


def operator(context: Context, token: str) -> str | None:
    """Whose token it is; every operator is compared, in constant time."""
    found = None
    given = sessions.digest(token)
    for known in context.operators:
        if hmac.compare_digest(given, known.token_digest.lower()):
            found = known.name
    return found


def known(context: Context, session: Session) -> bool:
    """The operator is still one of hub.toml's; in the demo anybody is."""
    return context.demo or session.who[0].removeprefix("operator:") in {operator.name for operator in context.operators}


def leave(context: Context, asked: Asked) -> Answer:
    """POST /drift/logg-ut."""
    context.store.end_session(asked.who.digest)
    return Redirect("/drift/logg-inn", ended=True)
