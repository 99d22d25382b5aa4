"""Calling where a stranger said: the name is looked up here, judged, and the address that was judged is the one that is called.

The certificate is still the name's. Nobody can change the address between look and call."""

from __future__ import annotations

import ipaddress
import socket

from hub.endpoint import Address, Allowed
from hub.problem import Unavailable


def address_of(allowed: Allowed, host: str, port: int) -> str:
    """The address to call, judged anew for each call. Raises Refused BAD_SUBSCRIPTION; Unavailable when the name has no address."""
    return str(allowed.reach(host, look_up(host, port)))


def look_up(host: str, port: int) -> list[Address]:
    """Every address that a name has now. Raises Unavailable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as unknown:
        raise Unavailable("the receiver's name has no address") from unknown
    return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
