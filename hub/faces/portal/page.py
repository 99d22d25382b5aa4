"""What every page about a person needs, and the page for what is not there."""

from __future__ import annotations

from typing import Any

from hub.access import Information, Scope
from hub.faces.portal.viewer import Viewer
from hub.faces.web import Asked, Page


def shown(asked: Asked, seen: Viewer, here: str = "order", **values: Any) -> dict[str, Any]:
    """The values of a page. `here`: which of the menu's places it belongs to."""
    return {
        "session": asked.who, "viewer": seen, "here": here, "may_see_log": seen.shows(Information.ACCESS_LOG, asked.now),
        "may_order": seen.may(Scope.BOOK, asked.now), "may_read_messages": seen.shows(Information.MESSAGES, asked.now), **values,
    }


def missing(asked: Asked, seen: Viewer) -> Page:
    """No such page, or none that this reader may see: the same answer."""
    return Page("portal/error.html", shown(asked, seen, error=404, reference="", text=""), 404)
