"""Who may use the console: in the demo anybody, as the demo's operator; elsewhere whoever holds a token named in hub.toml.

Keys can be tried so many times a minute from an address, and from all together: an operator may have chosen a poor one. A browser that was let
in before is counted by itself, so that nobody's trying keeps an operator out.
"""

from __future__ import annotations

import hashlib
import hmac

from hub.access import ALL_DEPARTMENTS
from hub.config import Operator
from hub.faces import sessions, unsent
from hub.faces.context import Context
from hub.faces.sessions import Session
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.oauth.limits import Limiter

DEMO_OPERATOR = "demo"
TRIES, OF_ALL = 10, 60
"""A minute, from one address (or known browser), and from all addresses together."""


def ask(context: Context, asked: Asked) -> Answer:
    """GET /drift/logg-inn."""
    if asked.session is not None:
        return Redirect("/drift")
    return Page("console/login.html", {"wrong": False, "ended": "utlopt" in asked.query, "often": False})


def enter(tries: Limiter, context: Context, asked: Asked) -> Answer:
    """POST /drift/logg-inn: a session for the operator whose token it is."""
    if not context.demo and not _may_try(tries, context, asked):
        return Page("console/login.html", {"wrong": False, "ended": False, "often": True}, 429)
    name = DEMO_OPERATOR if context.demo else operator(context, asked.form.get("nokkel", ""))
    if name is None:
        return Page("console/login.html", {"wrong": True, "ended": False, "often": False}, 403)
    rights = (("staff", books(context, name)), ("service", bool(answers(context, name))))
    who = (f"operator:{name}", *(f"{role}:{name}" for role, given in rights if given))
    session = sessions.start(context.store, context.token(32), "console", who, asked.now)
    to = f"/drift{unsent.AGAIN}" if unsent.found(context.store, session) else "/drift"
    return Redirect(to, session, welcome=next((_welcome(known) for known in context.operators if known.name == name), ""))


def _may_try(tries: Limiter, context: Context, asked: Asked) -> bool:
    """Counts a try, whatever comes of it."""
    let_in = next((known for known in context.operators if hmac.compare_digest(_welcome(known), asked.welcome)), None)
    if let_in is not None:
        return tries.take(f"operator:{let_in.name}", TRIES) == 0
    return tries.take(f"address:{asked.address}", TRIES) == 0 and tries.take("", OF_ALL) == 0


def _welcome(operator: Operator) -> str:
    """What only who held this operator's key can have; another key, another value. Let in by it alone is nobody."""
    return hmac.new(operator.token_digest.lower().encode(), b"welcome", hashlib.sha256).hexdigest()


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
