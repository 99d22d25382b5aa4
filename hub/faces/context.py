"""What the pages are given: filled in once by hub/app.py, frozen afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub.config import Operator
from hub.dialogue import Messaging
from hub.faces import words
from hub.faces.assets import Assets
from hub.message import Verdict
from hub.oauth.signin import Provider
from hub.repeating import Repeating
from hub.shop import Shop
from hub.store import Store
from hub.waiting import WaitingList

DEMO = "demo"
"""The only environment in which the test login exists."""


@dataclass(frozen=True, slots=True)
class Municipality:
    """What every page says of whose it is and whom to ring."""

    name: str
    phone: str
    opening_hours: str
    """For people: `Hver dag kl. 08:00–20:00`."""


@dataclass(frozen=True, slots=True)
class AdapterCard:
    """What the console tells of one adapter beside its counts."""

    name: str
    title: str
    party: str
    kinds: str
    """Carrier, seal and format: `http · ebms · msghead`."""
    departments: tuple[str, ...] = ()
    version: int = 1


def _no_resend(delivery: str, by: str, reason: str) -> None:
    raise RuntimeError("resend is not connected")


def _no_replay(envelope: int, by: str, reason: str) -> Verdict:
    raise RuntimeError("replay is not connected")


def _no_notice(channel: str, address: str, by: str) -> str:
    raise RuntimeError("notices are not connected")


def _no_turn(subscription: str, to: str, by: str, reason: str) -> None:
    raise RuntimeError("subscriptions are not connected")


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a page needs and may not find for itself."""

    store: Store
    clock: Callable[[], datetime]
    environment: str
    """`demo`, `test` or `production`."""
    municipality: Municipality
    base_url: str
    """Where people reach us, `https://…`; decides whether cookies are Secure."""
    assets: Assets
    shop: Shop
    repeating: Repeating
    waiting: WaitingList
    messaging: Messaging
    operators: tuple[Operator, ...] = ()
    warnings: Callable[[], list[str]] = list
    """Norwegian sentences that the console shows first: certificates that expire."""
    shown_first: tuple[str, ...] = ()
    """Whom the demo's test login shows first: those worth trying."""
    adapters: Callable[[], tuple[AdapterCard, ...]] = tuple
    customers: Callable[[], frozenset[str]] = frozenset
    """Who may order and does not run the service: the origins of what people booked themselves."""
    resend: Callable[[str, str, str], None] = _no_resend
    """`resend(delivery_id, by, reason)`: puts a delivery back in the queue and notes who and why on the timeline. Raises Refused when
    it cannot be sent again."""
    replay: Callable[[int, str, str], Verdict] = _no_replay
    """`replay(envelope_key, by, reason)`: receives a parcel that could not be opened once more; what is thought of it now. Raises Refused."""
    turn: Callable[[str, str, str, str], None] = _no_turn
    """`turn(subscription_id, to, by, reason)`: `off`, `requested` or `deleted` (hub.feeds.Feeds.turn). Raises Refused."""
    channels: Callable[[], tuple[str, ...]] = tuple
    """By what notices can be sent: `sms`, `email`."""
    test_notice: Callable[[str, str, str], str] = _no_notice
    """`test_notice(channel, address, by)`: the id of the delivery (hub.noticing.Noticing.test). Raises Refused."""
    provider: Provider | None = None
    """Where persons and relatives log in outside the demo."""
    token: Callable[[int], str] = secrets.token_urlsafe
    templates: Environment = field(default_factory=lambda: templates())

    @property
    def demo(self) -> bool:
        return self.environment == DEMO

    @property
    def secure(self) -> bool:
        return self.base_url.startswith("https:")


def templates() -> Environment:
    """The Jinja2 environment of all pages: everything is escaped, and a missing value is an error."""
    made = Environment(
        loader=PackageLoader("hub.faces"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
    made.filters.update(clock=words.clock, stamp=words.stamp, day=words.day, when=words.when)
    return made


def assets_in(folder: Path) -> Assets:
    """Our own style and script beside the ones fetched at set-up into `folder` (`.assets/web`)."""
    return Assets.read(Path(__file__).parent / "static", folder)
