"""The page on which somebody finds what they sent when they were logged out already (hub/faces/unsent.py)."""

from __future__ import annotations

from hub.faces import unsent
from hub.faces.context import Context
from hub.faces.web import Answer, Asked, Page, Redirect


def ask(context: Context, asked: Asked) -> Answer:
    """GET …/fortsett: what was not sent, and whether it shall be now. It is only shown while the same person is."""
    kept = unsent.found(context.store, asked.who)
    if not kept or kept[unsent.ACTING] != asked.who.acting:
        return Redirect(_home(asked))
    return Page(f"{asked.who.face}/unsent.html", unsent.shown(asked.who, kept, asked.path, late=True))


def send(context: Context, asked: Asked) -> Answer:
    """POST …/fortsett: on to where it was meant for; or it is thrown away."""
    kept = unsent.found(context.store, asked.who)
    unsent.drop(context.store, asked.who)
    return Redirect(kept[unsent.PATH], again=True) if kept and "forkast" not in asked.form else Redirect(_home(asked))


def _home(asked: Asked) -> str:
    return asked.path.removesuffix(unsent.AGAIN) or "/"
