"""Which face an address belongs to, those of machines past the pages' router and middleware; and which page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.faces.inbox import Inbox
from hub.faces.oauth import Admission, OAuth

Endpoint = Callable[[Request], Awaitable[Response]]


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


def joined(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """One route for each address, so that a 405 tells every method that the address has."""
    found: dict[object, list[BaseRoute]] = {}
    for route in routes:
        found.setdefault(route.path if isinstance(route, Route) else id(route), []).append(route)
    return [ways[0] if len(ways) == 1 else _either([way for way in ways if isinstance(way, Route)]) for ways in found.values()]


def _either(ways: list[Route]) -> Route:
    endpoints: dict[str, Endpoint] = {method: way.endpoint for way in ways for method in way.methods or ()}

    async def endpoint(request: Request) -> Response:
        return await endpoints[request.method](request)

    return Route(ways[0].path, endpoint, methods=list(endpoints))
