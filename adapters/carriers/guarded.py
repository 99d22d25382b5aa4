"""Calling where a stranger said: the name is looked up here, judged, and the address that was judged is the one that is called."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import httpx

from hub.endpoint import Address, Allowed
from hub.problem import Unavailable


class GuardedTransport(httpx.HTTPTransport):
    """httpx's transport behind `Allowed`. The certificate is still the name's; nobody can change the address between look and call."""

    def __init__(self, allowed: Allowed, **options: Any) -> None:
        super().__init__(**options)
        self._allowed = allowed

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused BAD_SUBSCRIPTION; Unavailable when the name has no address."""
        host = request.url.host
        address = self._allowed.reach(host, look_up(host, request.url.port or 443))
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=str(address))
        return super().handle_request(request)


def look_up(host: str, port: int) -> list[Address]:
    """Every address that a name has now. Raises Unavailable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as unknown:
        raise Unavailable("the receiver's name has no address") from unknown
    return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
