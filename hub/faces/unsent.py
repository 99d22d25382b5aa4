"""A form that came too late: whoever was logged out while they wrote finds it again when they have logged in, and nobody else does.

What was written is kept, encrypted, for HELD under whose login is over (WCAG 2.2.1, technique G105). It is sent when its writer says so once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hub.faces.sessions import Session
from hub.store import Store

HELD = timedelta(hours=2)
PATH, ACTING = " path", " acting"
"""Beside the form's own fields, whose names have no spaces."""
AGAIN = "/fortsett"
"""Where it is offered, below each face's own address."""
FILES = "vedlegg-borte"
"""A field that says: files were chosen with it, and they are not kept."""
UNWRITTEN = ("csrf", "hvem")
"""Fields that nobody writes: a form with no others is not worth keeping."""


def keep(store: Store, dead: Session, path: str, form: Mapping[str, str]) -> None:
    """What `dead` sent after its time."""
    fields = {name: value for name, value in form.items() if name not in UNWRITTEN}
    if fields and not path.endswith(AGAIN):
        kept = {**form, PATH: path, ACTING: dead.acting}
        store.write(lambda tx: tx.drafts.keep(dead.who[0], "", dead.face, kept, HELD))


def found(store: Store, session: Session) -> dict[str, str]:
    """What whoever is logged in sent too late; empty when nothing is."""
    return store.drafts(lambda drafts: drafts.get(session.who[0], "", session.face))


def drop(store: Store, session: Session) -> None:
    store.write(lambda tx: tx.drafts.drop(session.who[0], "", session.face))


def shown(session: Session, kept: Mapping[str, str], action: str, *, late: bool) -> dict[str, Any]:
    """The values of the page that offers to send it. `late`: nobody was logged in when it was sent; else it is from before the login."""
    fields = {name: value for name, value in kept.items() if name not in (PATH, ACTING, "csrf")}
    return {"session": session, "fields": fields, "action": action, "late": late}
