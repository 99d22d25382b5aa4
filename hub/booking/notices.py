"""What people are told by SMS and e-mail, when, and who: pure rules (facts/portal.md 4.3, 4.4).

A notice bears no health word, no name, no time, no place and no link: it says that something is new and where to look. So it can be
read by whoever holds the telephone, and be sent to persons with a protected address.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from hub.booking.clock import at, begin, local
from hub.booking.conventions import extension
from hub.booking.life import What
from hub.message import Resource

_DAY = timedelta(days=1)
QUIET_FROM, QUIET_UNTIL = time(21), time(7)
REMINDED_AT = time(10)
"""On the day before."""
GATHERED_FOR = timedelta(minutes=2)
"""What happens within this becomes one notice: the newest."""


_NUMBER = re.compile(r"\+?[0-9](?: ?[0-9]){4,14}", re.ASCII)
_MAILBOX = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+", re.ASCII)


class Kind(StrEnum):
    """What a notice is about."""

    RECEIPT = "receipt"
    CONFIRMED = "confirmed"
    MOVED = "moved"
    CANCELLED = "cancelled"
    REMINDER = "reminder"
    COMPLETED = "completed"
    NOT_HOME = "not-home"
    OFFERED = "offered"
    NO_TIME = "no-time"
    MISSED = "missed"
    MESSAGE = "message"


class Level(StrEnum):
    """How much somebody wants to hear: the extension `notice-level` of Patient and RelatedPerson."""

    NONE = "ingen"
    LITTLE = "begrenset"
    NORMAL = "normal"
    FULL = "full"


_BY_LEVEL: dict[Level, frozenset[Kind]] = {
    Level.NONE: frozenset(),
    Level.LITTLE: frozenset({Kind.MOVED, Kind.CANCELLED, Kind.NOT_HOME, Kind.OFFERED, Kind.MISSED, Kind.MESSAGE}),
    Level.NORMAL: frozenset(Kind) - {Kind.COMPLETED},
    Level.FULL: frozenset(Kind),
}
TEXTS: dict[Kind, str] = {
    Kind.RECEIPT: "Vi har mottatt bestillingen din.",
    Kind.CONFIRMED: "Avtalen din er bekreftet.",
    Kind.MOVED: "Avtalen din har fått et nytt tidspunkt.",
    Kind.CANCELLED: "En avtale er avlyst eller avbestilt.",
    Kind.REMINDER: "Du har en avtale i morgen.",
    Kind.COMPLETED: "En avtale er gjennomført.",
    Kind.NOT_HOME: "Vi fikk ikke kontakt med deg til avtalt tid.",
    Kind.OFFERED: "Vi har en ledig tid til deg. Svar før fristen går ut.",
    Kind.MISSED: "En fast avtale kunne ikke bestilles denne gangen.",
    Kind.MESSAGE: "Du har fått en ny melding.",
    Kind.NO_TIME: "Du står ikke lenger på venteliste hos oss.",
}
KINDS: dict[What, Kind] = {
    What.BOOK: Kind.RECEIPT, What.CONFIRM: Kind.CONFIRMED, What.ASSIGN: Kind.CONFIRMED, What.MOVE: Kind.MOVED, What.CANCEL: Kind.CANCELLED,
    What.COMPLETE: Kind.COMPLETED, What.NOT_HOME: Kind.NOT_HOME,
}


WEIGHT: dict[Kind, int] = {
    Kind.NOT_HOME: 3, Kind.CANCELLED: 3, Kind.MOVED: 2, Kind.CONFIRMED: 1, Kind.RECEIPT: 1, Kind.COMPLETED: 0,
}
"""Of the news that are gathered into one notice the heaviest is told: whoever hears of a confirmation must not miss a cancellation."""


class Channel(StrEnum):
    """By what it travels; an adapter that carries it wants `notice-<channel>`."""

    SMS = "sms"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Contact:
    """Where one person is reached."""

    channel: Channel
    address: str
    level: Level

    @property
    def digest(self) -> str:
        """Tells two numbers apart without telling either."""
        return hashlib.sha256(f"{self.channel}|{self.address}".encode()).hexdigest()[:24]

    def wants(self, kind: Kind) -> bool:
        return kind in _BY_LEVEL[self.level]


def reaches(channel: str, address: str) -> bool:
    """It looks like a telephone number, or like an e-mail address."""
    return (_NUMBER if channel == Channel.SMS else _MAILBOX).fullmatch(address) is not None


def level_of(person: Resource) -> Level:
    """How much a Patient or RelatedPerson wants to hear."""
    return next((known for known in Level if known == extension(person, "notice-level")), Level.NORMAL)


def addresses(person: Resource) -> dict[Channel, str]:
    """Where somebody can be reached, by channel; the first that they want, else a mobile number, comes first."""
    found = {t.get("system"): t for t in reversed(person.get("telecom") or ()) if t.get("value") and t.get("use") != "old"}
    told: dict[Channel, str] = {}
    for system, channel in (("sms", Channel.SMS), ("phone", Channel.SMS), ("email", Channel.EMAIL)):
        if system in found:
            told.setdefault(channel, "".join(str(found[system]["value"]).split()))
    wanted = extension(person, "notice-channel")
    return dict(sorted(told.items(), key=lambda item: item[0] != wanted))


def contact(person: Resource) -> Contact | None:
    """By the channel that is wanted, else a mobile number before an e-mail address; None when there is neither, or the person wants nothing."""
    level, first = level_of(person), next(iter(addresses(person).items()), None)
    return None if first is None or level is Level.NONE else Contact(*first, level)


def contacts(person: Resource, relatives: Iterable[Resource]) -> list[Contact]:
    """The person's own, then those of relatives who may have notices; one number hears once, as much as whoever wants most."""
    found: dict[tuple[Channel, str], Contact] = {}
    order = list(Level)
    for one in (person, *relatives):
        if (own := contact(one)) is not None:
            before = found.get((own.channel, own.address))
            found[own.channel, own.address] = own if before is None or order.index(own.level) > order.index(before.level) else before
    return list(found.values())


def kind_of(what: What, by_customer: bool, before: Resource | None) -> Kind | None:
    """What a change is to those who are told; None: nothing worth a notice."""
    if what is What.MOVE and by_customer:
        return Kind.RECEIPT
    if what in (What.CONFIRM, What.ASSIGN) and before is not None and before.get("status") != "pending":
        return None
    return KINDS.get(what)


def gathered(earlier: Iterable[tuple[str, str]], kind: Kind, booking: str) -> Kind:
    """What one notice tells of a new thing and of those that were not told yet, each (what it tells, the booking it is about).

    A cancelled time and a new one are «moved». A visit that was made after all takes back that nobody was at home to it.
    """
    told = [(Kind(k), about) for k, about in earlier if k in WEIGHT and not (kind is Kind.COMPLETED and about == booking)]
    if kind is Kind.RECEIPT and any(k is Kind.CANCELLED for k, _ in told):
        return Kind.MOVED
    return max((kind, *(k for k, _ in told)), key=lambda k: WEIGHT[k])  # of equals the first: the newest


def text(kind: Kind, municipality: str, phone: str) -> str:
    """The whole message."""
    return f"{municipality}: {TEXTS[kind]} Logg inn i portalen for å se mer, eller ring {phone}. Du kan ikke svare på denne meldingen."


def loud(moment: datetime) -> datetime:
    """The moment, or the end of the quiet hours it lies in."""
    wall = local(moment)
    if QUIET_UNTIL <= wall.time() < QUIET_FROM:
        return moment
    return at(wall.date() + (_DAY if wall.time() >= QUIET_FROM else timedelta()), QUIET_UNTIL)


def reminded_at(appointment: Resource, now: datetime) -> tuple[datetime, datetime] | None:
    """From when, until when it may be told: the day before at ten, and while it is «in the morning» that the visit is; None when ten is past:
    whoever booked so late needs no reminder."""
    day = local(begin(appointment["start"])).date() - _DAY
    moment = at(day, REMINDED_AT)
    return (moment, at(day, QUIET_FROM)) if moment > now else None
