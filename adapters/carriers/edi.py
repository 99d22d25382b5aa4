"""EDI 2.0: NHN's Meldingstjener signs, encrypts and speaks ebXML for us; we post documents and fetch those that are for us.

A document is marked as read only when the hub has stored it. What the service says of our own letters (Acknowledged, Rejected) is asked for until
it is known; the seal `edi` reads it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import orjson

from adapters.carriers.meldingstjener import PAGE, Entry, Meldingstjener, NotTaken
from adapters.carriers.underway import Mark, Underway
from hub.adapter import Surroundings
from hub.config import Misconfigured, duration, read_adapters
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

log = logging.getLogger(__name__)
PAGES = 100
"""Pages in one look; the next look goes on."""
SKIPPED = 2
"""Requests in a row that may fail for one message each, before it is the service that is down."""
FORGOTTEN = 14 * 86400.0
"""Seconds after which nobody asks any more what became of a letter: it has expired long ago."""
SELDOM = 600.0
"""Seconds between two questions about a letter, at most."""
ACKNOWLEDGED, REJECTED = "Acknowledged", "Rejected"


class EdiCarrier:
    """hub.adapter.Carrier, with the seal `edi`. Settings, beside those of Meldingstjener:

    `her_ids` (whose messages we fetch; ours), `senders` (from whom; the partner: several adapters can share a HER-id of ours), `every` (`15s`,
    between two looks), `confirmed_within` (`12h`: how long the service may try before a letter is posted again).
    """

    def __init__(self, surroundings: Surroundings, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970. Raises Misconfigured."""
        settings = surroundings.settings
        self._name, self._own, self._clock = surroundings.name, surroundings.own_party, clock
        try:
            self._hers = [her_id(told) for told in settings.get("her_ids") or [surroundings.own_party]]
            self._senders = [her_id(told) for told in settings.get("senders") or [surroundings.party]]
            self._every = duration(str(settings.get("every", "15s"))).total_seconds()
            self._confirmed_within = duration(str(settings.get("confirmed_within", "12h"))).total_seconds()
        except ValueError as wrong:
            raise Misconfigured(f"adapters/{surroundings.name}.toml carrier: {wrong}") from wrong
        self._service = Meldingstjener(surroundings, clock)
        self._underway = Underway(surroundings.home / "edi" / surroundings.name)
        self._home = surroundings.home
        self._next = self._next_for_strangers = 0.0
        self._strangers: set[str] = set()
        """Messages of senders that nobody names, of which the operator was told."""
        self._unmarked = 0
        """Messages in a row that could not be marked as read."""
        self._asked: dict[str, tuple[float, float]] = {}
        """Letter → when to ask again what became of it, and the pause after that."""

    def send(self, parcel: Parcel) -> Parcel | None:
        """Posts, unless the service has it already; then what became of it comes back, where that is known.

        Raises:
            Unavailable: not taken, or nobody knows; or the service does not take our token.
            Refused: NOT_DELIVERED, TOO_LARGE.
        """
        letter, place = parcel.headers.get("x-message-id", ""), parcel.headers["content-location"]
        if not letter:  # a refusal at once, which nobody waits for
            self._service.post(place, parcel.body)
            return None
        there, told = self._there(letter, place)
        if not there:
            self._post(letter, place, parcel.body)
        return told

    def _post(self, letter: str, place: str, body: bytes) -> None:
        self._underway.mark(letter, "", self._clock())
        try:
            number = self._service.post(place, body)
        except (Refused, NotTaken):
            self._underway.end(letter)
            raise
        self._underway.mark(letter, number, self._clock())

    def _there(self, letter: str, place: str) -> tuple[bool, Parcel | None]:
        """Whether the service has this letter of an earlier try, and what it says of it where that is its last word.

        What it rejected, or the application answered, is not there any more: who sends that again means it.
        """
        mark = self._underway.of(letter)
        if mark is None:
            return False, None
        if not mark.number and "/apprec/" in place:
            return self._answered(letter, place)
        if not mark.number:
            mark = self._found(letter)
        told = self._service.status(mark.number) if mark.number else None
        if not told or _last(told) == REJECTED or any(entry.get("appRecStatus") for entry in told):
            return False, None
        if _last(told) == ACKNOWLEDGED:
            return True, _told(letter, mark.number, told)
        return self._clock() < mark.at + self._confirmed_within, None

    def _answered(self, letter: str, place: str) -> tuple[bool, Parcel | None]:
        """Whether an application receipt of ours is there: the service tells which ones a message has got."""
        _, message, _, her = place.split("/")
        ours = [entry for entry in self._service.receipts(message) if str(entry.get("receiverHerId")) == her and entry.get("appRecStatus")]
        return bool(ours), _told(letter, message, ours) if ours else None

    def _found(self, letter: str) -> Mark:
        """A letter whose POST was not answered, among what its receiver has not read: the service lists nothing else by a document's id, and that
        only to who may read for the receiver. What is read, or not there, cannot be told apart, and is posted (again): the receiver knows it by
        its MsgId."""
        for her in self._hers:
            for one in self._service.unread(self._senders, her, BusinessDocumentId=letter) or ():
                if str(one.get("businessDocumentId", "")).lower() == letter.lower():
                    self._underway.mark(letter, one["id"], self._clock())
                    return Mark(one["id"], self._clock())
        return Mark("", self._clock())

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """What became of our letters, then what lies unread for us, in order. Raises Unavailable."""
        if self._clock() < self._next:
            return
        self._next, self._unmarked = self._clock() + self._every, 0
        yield from self._fates()
        for sender in self._senders:
            yield from self._unread(sender)
        if self._clock() >= self._next_for_strangers:
            self._next_for_strangers = self._clock() + SELDOM
            yield from self._of_strangers()

    def _of_strangers(self) -> Iterator[tuple[Parcel, Callable[[], None]]]:
        """Of messages that no adapter's `senders` will ever fetch the operator is told once, as of a letter that could not be opened."""
        try:
            edis = [text for text in read_adapters(self._home) if text.carrier.kind == "edi"]
        except Misconfigured:  # somebody is writing them
            return
        hers, named = set(map(str, self._hers)), {*map(str, self._senders)}
        for text in edis:
            named |= {str(her) for her in text.carrier.settings.get("senders") or [text.party]}
        sharing = [text.name for text in edis if hers & set(map(str, text.carrier.settings.get("her_ids") or [self._own]))]
        if self._name != min(sharing, default=self._name):  # one of them tells
            return
        found = [one for one in self._service.unread(self._hers, None, OrderBy="Descending") or () if str(one.get("senderHerId")) not in named]
        if new := {one["id"] for one in found} - self._strangers:
            self._strangers |= new
            detail = f"{len(new)} unread messages at the service are from HER-ids that stand in no adapter's senders"
            yield Parcel({}, b"", trouble=Refused(Problem.UNKNOWN_PARTNER, detail)), lambda: None

    def _fates(self) -> Iterator[tuple[Parcel, Callable[[], None]]]:
        """One letter that cannot be asked for holds up neither the next nor what lies unread."""
        failed = 0
        for letter, mark in self._underway.all():
            due, pause = self._asked.get(letter, (0.0, self._every))
            if mark.at + FORGOTTEN < self._clock():
                self._ended(letter)
            elif mark.number and due <= self._clock():
                self._asked[letter] = self._clock() + pause, min(max(pause, 1.0) * 2, SELDOM)
                try:
                    told = self._service.status(mark.number)
                except Unavailable as later:
                    log.warning("what became of a letter to %s could not be asked: %s", self._name, later.detail)
                    if (failed := failed + 1) == SKIPPED:
                        return
                    continue
                failed = 0
                if told is None:  # the service has never heard of it: one day the letter is overdue, and posted anew
                    self._ended(letter)
                elif _last(told):
                    yield _told(letter, mark.number, told), partial(self._ended, letter)

    def _ended(self, letter: str) -> None:
        self._underway.end(letter)
        self._asked.pop(letter, None)

    def _unread(self, sender: int) -> Iterator[tuple[Parcel, Callable[[], None]]]:
        """Page after page; what stays unread is not seen twice in one look. Where such fills a whole page, the newest are looked at once."""
        seen, skipped, order = set[tuple[str, int]](), 0, "Ascending"
        for _ in range(PAGES):
            page = self._page(sender, order)
            new = {(one["id"], one["receiverHerId"]): one for one in page if (one["id"], one["receiverHerId"]) not in seen}
            seen |= new.keys()
            for one in new.values():
                try:
                    parcel = self._fetched(one)
                except Unavailable as later:
                    log.warning("a document for %s could not be fetched: %s", self._name, later.detail)
                    if (skipped := skipped + 1) == SKIPPED:
                        raise
                    continue
                skipped = 0
                yield parcel, partial(self._let_go, one["id"], one["receiverHerId"])
            if len(page) < PAGE or (not new and order == "Descending"):
                return
            order = order if new else "Descending"

    def _let_go(self, message: str, her: int) -> None:
        """Marks it as read. Where that fails it comes again, and is a duplicate; the next is not its fault. Raises Unavailable."""
        try:
            self._service.mark_read(message, her)
        except Unavailable as later:
            log.warning("a message for %s could not be marked as read: %s", self._name, later.detail)
            self._unmarked += 1
            if self._unmarked >= SKIPPED:
                raise
        else:
            self._unmarked = 0

    def _page(self, sender: int, order: str) -> list[Entry]:
        found = self._service.unread(self._hers, sender, OrderBy=order)
        if found is None:
            raise Unavailable(f"HelseID's client may not read for HER-id {', '.join(map(str, self._hers))}: the service's agreement must name it")
        return [one for one in found if one.get("receiverHerId") in self._hers]

    def _fetched(self, one: Entry) -> Parcel:
        """The document, under names that no header of HTTP can have: nobody can post such a parcel to the hub's inbox. Raises Unavailable."""
        headers = {
            "edi:message": one["id"], "edi:document": str(one.get("businessDocumentId") or ""), "edi:from": str(one.get("senderHerId") or ""),
            "edi:to": str(one["receiverHerId"]), "edi:receipt": "yes" if one.get("isAppRec") else "",
        }
        document = self._service.document(one["id"])
        trouble = None
        if one.get("senderHerId") and one["senderHerId"] not in self._senders:
            trouble = Refused(Problem.WRONG_PARTY, "the service names another sender than this partner")
        return Parcel({"content-type": document.media_type, **headers}, document.body, trouble=trouble or document.trouble)

    def close(self) -> None:
        self._service.close()


def her_id(told: Any) -> int:
    """A HER-id as the API has it. Raises ValueError."""
    if not str(told).isdigit() or not 0 < int(told) < 2**31:
        raise ValueError(f"{told!r} er ingen HER-id")
    return int(told)


def _last(told: Iterable[Entry]) -> str:
    """Acknowledged by every receiver, or rejected for one; empty while it is still under way."""
    states = {entry.get("transportDeliveryState") for entry in told}
    return REJECTED if REJECTED in states else ACKNOWLEDGED if states == {ACKNOWLEDGED} else ""


def _told(letter: str, number: str, said: list[Entry]) -> Parcel:
    """What the service says of a letter, for the seal."""
    return Parcel({"content-type": "application/json", "edi:message": number, "edi:letter": letter}, orjson.dumps(said))


def edi(surroundings: Surroundings) -> EdiCarrier:
    """The entry point `edi`."""
    return EdiCarrier(surroundings)
