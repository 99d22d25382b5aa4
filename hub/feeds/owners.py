"""Whose a Subscription is: a tag on the resource says so, by which searches are limited to a client's own. Pure."""

from __future__ import annotations

from typing import Any

from hub.access import Reader
from hub.fhir.limits import OWNERS
from hub.message import Resource


def owner(resource: Resource) -> str:
    """Whose a Subscription is."""
    tags = (resource.get("meta") or {}).get("tag", ())
    return next((str(tag.get("code")) for tag in tags if tag.get("system") == OWNERS), "")


def marked(resource: Resource, reader: Reader) -> Resource:
    """With the tag by which it is the client's own, and no other of that kind."""
    meta: dict[str, Any] = dict(resource.get("meta") or {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("system") != OWNERS]
    return {**resource, "meta": {**meta, "tag": [*tags, {"system": OWNERS, "code": reader.reference}]}}
