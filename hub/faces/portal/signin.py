"""Login at the provider (ID-porten): away, back with a proof of who it is, and out again, from here and from there."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from hub.faces.context import Context
from hub.faces.portal.entering import entered, known_as
from hub.faces.web import Answer, Asked, Face, Page, Redirect
from hub.oauth.signin import Provider
from hub.problem import Refused


def routes(portal: Face, provider: Provider) -> list[BaseRoute]:
    """Login by this provider."""

    def begin(context: Context, asked: Asked) -> Answer:
        """GET /logg-inn: to the provider."""
        secret = context.token(32)
        return Redirect(provider.begin(secret), beginning=secret)

    def back(context: Context, asked: Asked) -> Answer:
        """GET /logg-inn/tilbake: where the provider sends people, logged in or not."""
        if "error" in asked.query:
            return Redirect("/?avbrutt=1", beginning="")
        try:
            known = provider.finish(asked.beginning, asked.query)
        except Refused as refused:
            return Page("portal/refused.html", {"text": refused.problem.text, "reference": refused.problem.value}, 403)
        who = known_as(context.store, known.national_id)
        if not who:
            return Page("portal/refused.html", {"text": "Vi finner ingen besøk hos oss som du kan se.", "reference": ""}, 403)
        return replace(entered(context, asked, who, known.session, known.hint), beginning="")

    def over(request: Request) -> Response:
        """GET /logg-ut/fra-andre: the provider tells, in a frame of its own page and so without our cookie, that a login is over
        (OpenID Connect Front-Channel Logout 2)."""
        if request.query_params.get("iss") == provider.issuer:
            portal.context.store.end_session(request.query_params.get("sid", ""), at_provider=True)
        return HTMLResponse("", headers={"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors https:"})

    return [
        portal.page("/logg-inn", begin, open=True), portal.page("/logg-inn/tilbake", back, open=True),
        Route("/logg-ut/fra-andre", over, methods=["GET"]),
    ]

