"""A login ends well: as whom, and whose visits are shown first."""

from __future__ import annotations

from hub.booking.conventions import DNR, FNR
from hub.booking.national_id import is_d_number
from hub.faces import sessions, unsent
from hub.faces.context import Context
from hub.faces.portal.viewer import choices
from hub.faces.web import Asked, Redirect
from hub.store import Store


def known_as(store: Store, national_id: str) -> tuple[str, ...]:
    """Every reference that is this person: `Patient/…` first, then one `RelatedPerson/…` for each person represented."""
    system = DNR if is_d_number(national_id) else FNR
    return store.write(lambda tx: tuple(
        f"{kind}/{kept.id}" for kind in ("Patient", "RelatedPerson") for kept in tx.find(kind, identifier=f"{system}|{national_id}")))


def entered(context: Context, asked: Asked, who: tuple[str, ...], provider_session: str = "", hint: str = "") -> Redirect:
    """A new session, under a new token; straight to the visits when there is only one person to see."""
    if asked.session is not None:
        context.store.end_session(asked.session.digest)
    session = sessions.start(context.store, context.token(32), "portal", who, asked.now, provider_session, hint)
    able = choices(context.store, session, asked.now)
    if len(able) == 1:
        session = sessions.renew(context.store, session, context.token(32), able[0].key, asked.now)
    kept = unsent.found(context.store, session)
    if kept and kept[unsent.ACTING] in [one.key for one in able]:
        return Redirect("/fortsett", sessions.renew(context.store, session, context.token(32), kept[unsent.ACTING], asked.now))
    return Redirect("/" if session.acting else "/velg", session)
