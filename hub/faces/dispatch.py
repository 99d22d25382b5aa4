"""Which face an address belongs to. Those of machines go past the pages' router and middleware."""

from __future__ import annotations

from typing import Any

from starlette.requests import ClientDisconnect

from hub.faces.inbox import Inbox
from hub.faces.oauth import Admission, OAuth


def dispatch(inbox: Inbox, fhir: Admission, shops: Admission, oauth: OAuth, pages: Any) -> Any:
    """The ASGI application of all of them."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        try:
            if path.startswith("/inbox/"):
                await inbox(scope, receive, send)
            elif oauth.serves(path):
                await oauth(scope, receive, send)
            elif path == "/fhir" or path.startswith("/fhir/"):
                await fhir({**scope, "root_path": "/fhir"}, receive, send)
            elif path == "/booking/v1" or path.startswith("/booking/v1/"):
                await shops({**scope, "root_path": "/booking/v1"}, receive, send)
            else:
                await pages(scope, receive, send)
        except ClientDisconnect:  # in the middle of a body: nothing was done, and nobody hears an answer
            return

    return called
