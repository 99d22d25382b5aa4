"""Where the hub may send on a client's word: by default to https and to addresses of the open internet only. Pure.

Who may name an address could else make the hub call what only the hub reaches: its own machine, the municipality's inside, a cloud's
metadata. A name is judged when it is used, by every address it then has; what may be reached all the same is configuration.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from hub.problem import Problem, Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LONGEST = 2000
_UNICAST = ipaddress.ip_network("2000::/3")
"""The open internet of IPv6; outside it lie what is ours, and forms that hold an IPv4 address (NAT64, IPv4-compatible)."""
_TUNNELS = tuple(ipaddress.ip_network(n) for n in ("2002::/16", "2001::/32"))
"""What holds an IPv4 address inside it: 6to4, Teredo."""
_SPECIAL = tuple(ipaddress.ip_network(n) for n in ("192.0.0.0/24", "192.88.99.0/24"))
"""For protocols (RFC 6890) and relays (RFC 7526), of which Python counts some as global."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hosts and networks that may be reached though they are ours, and by http too."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, words: Iterable[str]) -> Allowed:
        """From host names, addresses and networks: `epj.kommunen.no`, `10.1.0.0/16`. Raises ValueError for a network that is none."""
        hosts, networks = set(), []
        for word in words:
            if word.replace(".", "").replace("/", "").isdigit() or ":" in word:
                networks.append(ipaddress.ip_network(word))
            else:
                hosts.add(word.lower())
        return cls(frozenset(hosts), tuple(networks))

    def check(self, url: str) -> None:
        """What can be said of a URL without asking anybody.

        Raises:
            Refused: BAD_SUBSCRIPTION.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", 0
        if not host or port == 0 or len(url) > LONGEST or not url.isascii() or any(c.isspace() for c in url):
            raise _refused("it is no URL that can be called")
        if parts.username is not None or parts.fragment:
            raise _refused("it holds a user name or a fragment: put what proves who you are in a header")
        literal = _literal(host)
        if parts.scheme != "https" and not (parts.scheme == "http" and self._trusts(host, literal)):
            raise _refused("https is needed")
        if host == "localhost" or host.endswith(".localhost") or literal is not None:
            self.reach(host, [literal or ipaddress.IPv4Address("127.0.0.1")])

    def reach(self, host: str, addresses: Iterable[Address]) -> Address:
        """The address to call, when every one that the host has may be called.

        Raises:
            Refused: BAD_SUBSCRIPTION.
        """
        every = list(addresses)
        if not every or not all(self._trusts(host, address) or _open(address) for address in every):
            raise _refused("the address is not one of the open internet, and is not allowed here")
        return every[0]

    def _trusts(self, host: str, address: Address | None) -> bool:
        return host.lower() in self.hosts or (address is not None and any(address in network for network in self.networks))


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _open(address: Address) -> bool:
    """Reached from anywhere, or not at all."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _open(address.ipv4_mapped)
        if address not in _UNICAST or any(address in tunnel for tunnel in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _SPECIAL)


def _refused(detail: str) -> Refused:
    return Refused(Problem.BAD_SUBSCRIPTION, detail, "Subscription.channel.endpoint")
