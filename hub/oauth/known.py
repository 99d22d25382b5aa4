"""Whom the configuration knows by name: what a client may still do when it is not there to show a token."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from hub.access import Ground, Reader
from hub.config import VendorToken
from hub.oauth.settings import Client


def by_name(vendors: Iterable[VendorToken], clients: Iterable[Client]) -> Callable[[str], Reader | None]:
    """Finds a client by its `Reader.reference`. None: nobody has that name, or several have: then nobody can say whose word it was."""
    found: dict[str, list[Reader]] = {}
    for vendor in vendors:
        found.setdefault(f"vendor:{vendor.name}", []).append(Reader(f"vendor:{vendor.name}", Ground.VENDOR, departments=vendor.departments))
    for client in clients:
        reader = Reader(f"vendor:{client.name}", Ground.VENDOR, departments=client.departments, scopes=client.scopes, may_state=client.may)
        found.setdefault(reader.reference, []).append(reader)
    known = {reference: readers[0] for reference, readers in found.items() if len(readers) == 1}
    return known.get


def by_token(vendors: Iterable[VendorToken]) -> Callable[[str], Reader | None]:
    """Finds who holds a bearer token of hub.toml. Looked up by its digest, of which the time that it takes tells nothing."""
    readers = {known.token_digest: Reader(f"vendor:{known.name}", Ground.VENDOR, departments=known.departments) for known in vendors}
    return lambda token: readers.get(hashlib.sha256(token.encode()).hexdigest())
