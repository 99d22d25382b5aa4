"""The border between HTTP and the pages: handlers take an Asked and give a Page or a Redirect; headers, sessions, CSRF and errors are here.

Handlers are plain synchronous functions; they run in the thread pool. Audit lines are handed to the store before the answer leaves.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from hub.access import AuditLine
from hub.booking.attachments import File, Limits
from hub.faces import forms, sessions, unsent, uploads
from hub.faces.context import Context
from hub.faces.forms import Sent
from hub.faces.sessions import Session
from hub.problem import Refused, Unavailable

log = logging.getLogger(__name__)
ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
"""R4 id: whatever else stands in an address is looked up nowhere."""
BEGUN_FOR = 15 * 60
"""Seconds that somebody may take at the login provider."""
WELCOME_FOR = 90 * 24 * 60 * 60
"""Seconds that a browser that was let in is known."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'"
)
SEALED_OFF = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox"
"""The policy of what somebody else made."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as a page sees it."""

    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    now: datetime
    session: Session | None
    beginning: str = ""
    """The secret of a login that this browser began and has not ended yet."""
    address: str = ""
    """Whence it comes; behind a proxy that is the proxy's."""
    welcome: str = ""
    """What shows that this browser was let in before."""
    files: tuple[File, ...] = ()
    too_large: bool = False
    """As `forms.Sent.too_large`."""

    @property
    def who(self) -> Session:
        """The session, on pages that need a login."""
        if self.session is None:
            raise RuntimeError("a page without login asked who is logged in")
        return self.session


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to show: a template and what it needs."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    audit: tuple[AuditLine, ...] = ()
    ended: bool = False
    """As `Redirect.ended`."""
    beginning: str | None = None
    """As `Redirect.beginning`."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go there (303)."""

    to: str
    session: Session | None = None
    """A new session: its cookie is set."""
    ended: bool = False
    """The session is over: the cookie is taken back."""
    beginning: str | None = None
    """The secret of a login that begins now; empty: it has ended, and the cookie is taken back."""
    audit: tuple[AuditLine, ...] = ()
    welcome: str = ""
    """Kept by this browser after it was let in."""
    again: bool = False
    """Send what was sent here, there (307)."""


@dataclass(frozen=True, slots=True)
class Download:
    """An answer to keep as a file. Whatever is in it, no browser shows it as a page of ours: it is told to keep it, and what it is."""

    body: bytes
    media_type: str
    name: str
    audit: tuple[AuditLine, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Disposition": disposition(self.name), "Content-Security-Policy": SEALED_OFF, "Cross-Origin-Resource-Policy": "same-origin"}


Answer = Page | Redirect | Download
Handler = Callable[[Context, Asked], Answer]


@dataclass(frozen=True, slots=True)
class Face:
    """One set of pages with its own login."""

    name: str
    """`portal` or `console`; also the folder of its templates."""
    context: Context
    login: str
    """Path of the login page."""
    known: Callable[[Context, Session], bool] = lambda context, session: True
    """Whoever a session is of may still be logged in: asked anew each time, since sessions outlive the settings."""

    @property
    def cookie(self) -> str:
        """`__Host-` binds it to this host and to https, where there is https."""
        return f"{'__Host-' if self.context.secure else ''}{self.name}"

    @property
    def beginning(self) -> str:
        """The cookie of a login that is under way."""
        return f"{self.cookie}-login"

    def page(self, path: str, handler: Handler, *, open: bool = False) -> Route:
        """GET (and HEAD); without login only when `open`."""
        return Route(path, self._endpoint(handler, open), methods=["GET"])

    def form(self, path: str, handler: Handler, *, open: bool = False, files: Limits | None = None) -> Route:
        """POST of a form of ours, with the session's CSRF value; an `open` one (login) must come from our own pages. `files`: it may have such."""
        return Route(path, self._endpoint(handler, open, files), methods=["POST"])

    def _endpoint(self, handler: Handler, open: bool, files: Limits | None = None) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            sent = await self._sent(request, files) if request.method == "POST" else Sent({})
            return await run_in_threadpool(self._answer, handler, request, sent, open)

        return endpoint

    async def _sent(self, request: Request, files: Limits | None) -> Sent | None:
        if files is None or not uploads.carries_files(request):
            return forms.sent(await forms.read(request))
        keeps = await run_in_threadpool(sessions.known, self.context.store, request.cookies.get(self.cookie, ""), self.name) is not None
        return await uploads.read(request, files, keeps=keeps)

    def _answer(self, handler: Handler, request: Request, sent: Sent | None, open: bool) -> Response:
        try:
            return self._respond(self._ask(handler, request, sent, open))
        except Unavailable as later:
            response = self._respond(self.error(503))
            if later.retry_after is not None:
                response.headers["Retry-After"] = str(max(1, round(later.retry_after)))
            return response
        except Exception as trouble:
            number = self.context.token(6)
            where = "".join(traceback.format_tb(trouble.__traceback__))  # where and what kind, never the text: a database repeats values in it
            log.error("page failed: %s %s, reference %s\n%s", request.method, type(trouble).__name__, number, where)
            return self._respond(self.error(500, number))

    def _ask(self, handler: Handler, request: Request, sent: Sent | None, open: bool) -> Answer:
        now = self.context.clock()
        token = request.cookies.get(self.cookie, "")
        by_itself = "hx-request" in request.headers  # a page that refreshes itself does not keep its session alive
        before = sessions.known(self.context.store, token, self.name)
        if before is not None and not self.known(self.context, before):
            self.context.store.end_session(before.digest)
            before = None
        session = sessions.living(self.context.store, before, now, touch=not by_itself)
        form = {} if sent is None else sent.fields
        unkept = form | ({unsent.FILES: "ja"} if sent is not None and sent.chosen else {})
        if session is None and not open:
            if before is not None and form and forms.ours(request, before, form, open):
                unsent.keep(self.context.store, before, request.url.path, unkept)
            return Redirect(self.login + ("?utlopt=1" if token else ""), ended=bool(token) and before is None)
        if sent is None:
            return self.error(413)
        if request.method == "POST" and not forms.ours(request, session, form, open):
            if session is not None and forms.of_earlier_login(request, session, form):
                return Page(f"{self.name}/unsent.html", unsent.shown(session, unkept, request.url.path, late=False), 403)
            return self.error(403, session=session)
        if any("\0" in str(value) for value in request.path_params.values()):  # nothing is called that, and PostgreSQL cannot look it up
            return self.error(404, session=session)
        query = {name: value.replace("\0", "") for name, value in request.query_params.items()}
        asked = Asked(
            request.url.path, request.path_params, query, form, now, session, request.cookies.get(self.beginning, ""),
            request.client.host if request.client else "", request.cookies.get(f"{self.cookie}-welcome", ""),
            sent.files, sent.too_large,
        )
        try:
            return handler(self.context, asked)
        except Refused as refused:
            return self.error(409, refused.problem.value, refused.problem.text, session)

    def error(self, status: int, reference: str = "", text: str = "", session: Session | None = None) -> Page:
        """The page for something that went wrong: says what to do, whom to ring."""
        return Page(f"{self.name}/error.html", {"error": status, "reference": reference, "text": text, "session": session}, status)

    def _respond(self, answer: Answer) -> Response:
        if answer.audit:
            self.context.store.audit_later(answer.audit)
        match answer:
            case Redirect():
                response: Response = RedirectResponse(answer.to, 307 if answer.again else 303)
            case Download():
                response = Response(answer.body, media_type=answer.media_type)
            case Page():
                response = HTMLResponse(self._render(answer), answer.status)
        response.headers.update(HEADERS | (answer.headers if isinstance(answer, Download) else {}))
        if self.context.secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        self._set_cookies(response, answer)
        return response

    def _set_cookies(self, response: Response, answer: Answer) -> None:
        if isinstance(answer, Download):
            return
        if isinstance(answer, Redirect) and answer.session is not None:
            self._keep(response, self.cookie, answer.session.token)
            if answer.welcome:
                self._keep(response, f"{self.cookie}-welcome", answer.welcome, WELCOME_FOR)
        elif answer.ended:
            self._keep(response, self.cookie, "", 0)
        if answer.beginning is not None:
            self._keep(response, self.beginning, answer.beginning, BEGUN_FOR if answer.beginning else 0)

    def _keep(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.context.secure, httponly=True, samesite="lax")

    def _render(self, page: Page) -> str:
        base: dict[str, Any] = {
            "municipality": self.context.municipality, "environment": self.context.environment, "demo": self.context.demo,
            "asset": self.context.assets.url, "now": self.context.clock(), "session": None, "viewer": None, "here": "", "ended": False,
        }
        return self.context.templates.get_template(page.template).render(base | dict(page.values))

    def missing(self) -> Callable[[Request, Exception], Response]:
        """The exception handler for addresses, and methods of theirs, that do not exist; an address with a slash too many is led to the one
        without."""

        def handle(request: Request, trouble: Exception) -> Response:
            plain = _without_slash(request)
            response = self._respond(Redirect(plain) if plain else self.error(404))
            if isinstance(trouble, HTTPException) and trouble.status_code == 405:
                response.status_code = 405
                response.headers.update(trouble.headers or {})
            return response

        return handle


def disposition(name: str) -> str:
    """Content-Disposition of a file to keep under this name (RFC 6266 4.3, RFC 8187)."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", name)
    return f"attachment; filename=\"{plain}\"" + ("" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}")


def _without_slash(request: Request) -> str:
    """A path on this host, whatever host the request names; empty: nothing was too much."""
    path = request.url.path
    return f"/{path.strip('/')}" if request.method in ("GET", "HEAD") and len(path) > 1 and path.endswith("/") else ""
