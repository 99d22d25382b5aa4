"""The forms of our pages as they come back: their fields, and whether it was a page of ours that sent them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from hub.booking.attachments import File
from hub.faces.sessions import Session

LARGEST = 64 * 1024
"""Bytes: our forms are a few fields, and one of them may be a message, in which a letter takes up to twelve."""
MOST_FIELDS = 50


@dataclass(frozen=True, slots=True)
class Sent:
    """A form as it came back."""

    fields: dict[str, str]
    files: tuple[File, ...] = ()
    too_large: bool = False
    """There were more files, or larger ones, than are taken: none is here."""
    chosen: bool = False
    """Somebody chose files, whether they are here or not."""


async def read(request: Request) -> bytes | None:
    """The body, or None when it is larger than any form of ours."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            return None
        parts.append(part)
    return b"".join(parts)


def sent(body: bytes | None) -> Sent | None:
    """The form in a body; None when that was too large."""
    if body is None:
        return None
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return Sent({})
    return Sent({name: value.replace("\0", "") for name, value in pairs})


def of_earlier_login(request: Request, session: Session, form: Mapping[str, str]) -> bool:
    """The form is from a page of ours, as the browser itself says, that the same person had open, about the same person."""
    told = request.headers.get("sec-fetch-site") == "same-origin"
    return told and ours(request, None, form, True) and form.get("csrf", "").endswith(session.whose)


def ours(request: Request, session: Session | None, form: Mapping[str, str], open: bool) -> bool:
    """The form was sent from a page of ours: right origin where the browser tells one, and the session's CSRF value.

    Our own `Referrer-Policy: no-referrer` makes browsers send `Origin: null`; then Sec-Fetch-Site tells.
    """
    origin = request.headers.get("origin", "null")
    if origin != "null" and urlsplit(origin).netloc != request.headers.get("host"):
        return False
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    if session is None:
        return open
    return hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode())
