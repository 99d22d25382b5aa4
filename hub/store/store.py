"""The Store: the one door to what is kept. Writes go through one grouped writer, reads run on the caller's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hub.access import AuditLine
from hub.delivery import Delivery, State
from hub.fhir.query import Entries, Query, TokenIs
from hub.message import Content, Enquiry, Parcel, Resource
from hub.problem import Problem, Refused, Unavailable
from hub.store import auditing, copying, deliveries, letters, loading, migrating, reindexing, resources, searching, seats, sessions, timeline
from hub.store.attachments import Files
from hub.store.db import Connection, Database
from hub.store.drafts import Drafts
from hub.store.exporting import Exports
from hub.store.failpoint import reach
from hub.store.feeds import Feeds
from hub.store.presence import Presence
from hub.store.secrets import Secrets
from hub.store.transaction import Transaction
from hub.store.values import AuditCheck, Bounds, Change, Filed, Lacking, Page, Standing, Stored, TimelineEntry, micros
from hub.store.writer import Writer

T = TypeVar("T")
log = logging.getLogger(__name__)
FETCHES = 4
"""How often one write may lack something: a Bundle may book in several departments."""


class Store:
    """One municipality's store."""

    def __init__(self, database: Database, secrets: Secrets, clock: Callable[[], datetime], entries: Callable[[Resource], Entries]) -> None:
        self._database, self._secrets, self._clock, self.entries = database, secrets, clock, entries
        self._journal = auditing.Journal(secrets.home / "audit")
        self._writer = Writer(database, self._journal.work)
        self.exports, self.attachments = Exports(database, clock, entries), Files(database, secrets)
        self._owed: list[Callable[[], None]] = []
        self._changed: list[Callable[[Transaction], None]] = []

    @classmethod
    def open(cls, url: str, secrets: Secrets, *, clock: Callable[[], datetime], entries: Callable[[Resource], Entries]) -> Store:
        """A store on `url` (SQLAlchemy form). `entries` extracts a resource's index entries (hub.fhir.index)."""
        return cls(Database(url), secrets, clock, entries)

    def migrate(self) -> None:
        """Brings the schema up to date. Raises Unavailable."""
        migrating.upgrade(self._database.url)

    def ready(self) -> None:
        """Checks the schema and takes in what dead processes left. Before traffic.

        Raises:
            Refused: the schema is not this version's; `besoksbro database migrate` brings it there.
        """
        have, want = migrating.current(self._database.engine), migrating.head()
        if have != want:
            raise Refused(Problem.NOT_SUPPORTED, f"the database has schema {have}, this version needs {want}: run `besoksbro database migrate`")
        loading.look_over_once(self._database)
        if adopted := self._write(lambda connection: self._journal.adopt(connection, self._clock())):
            log.info("took in %d lines of the access log that a dead process left", adopted)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in a transaction, grouped with others that wait; durable when it returns. `work` may be run again after a rollback.

        A partner is never asked within a transaction, which everybody else waits for: what work lacks is fetched after it is rolled back.

        Raises:
            Unavailable: nothing was written.
        """
        for _ in range(FETCHES):
            try:
                return self.write_all([work])[0].result()
            except Lacking as lacking:
                lacking.fetch()
        raise Unavailable("what a partner tells changed too often to be used")

    def write_all(self, works: Sequence[Callable[[Transaction], T]]) -> list[Future[T]]:
        """As `write`, each in a transaction of its own, all in one commit: what one raises undoes only its own. Done when it returns."""
        owed = False

        def run(work: Callable[[Transaction], T], connection: Connection) -> T:
            nonlocal owed
            transaction = Transaction(connection, self._secrets, self.entries, self._clock())
            result = work(transaction)
            if transaction.changes:
                for follow in self._changed:
                    follow(transaction)
            owed = owed or transaction.owed
            return result

        done: list[Future[T]] = self._writer.write_all([partial(run, work) for work in works]) if works else []
        for wake in self._owed if owed else ():
            wake()
        return done

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._writer.write(work)

    def on_owed(self, wake: Callable[[], None]) -> None:
        """Called after each commit after which something may be due."""
        self._owed.append(wake)

    def on_changed(self, follow: Callable[[Transaction], None]) -> None:
        """Called within each transaction that made a version of anything, after its work: what follows is kept with it or not at all."""
        self._changed.append(follow)

    def feeds(self, look: Callable[[Feeds], T]) -> T:
        """What the live subscriptions tell."""
        return self._database.read(lambda c: look(Feeds(c, self._secrets)))

    def drafts(self, look: Callable[[Drafts], T]) -> T:
        """What people began to write."""
        return self._database.read(lambda c: look(Drafts(c, self._secrets, self._clock())))

    def now(self) -> datetime:
        """The clock's time, as every write of this store has it."""
        return self._clock()

    def get(self, type_: str, id_: str) -> Stored | None:
        return self._database.read(lambda c: searching.found(c, type_, id_))

    def identified(self, type_: str, system: str, value: str) -> Stored | None:
        """The one that bears this identifier; None when none does, or several do."""
        known = TokenIs("identifier", ((system, self._secrets.index_value(system, value)),))
        found = self.search(Query(type_, (known,), count=2)).entries
        return found[0] if len(found) == 1 else None

    def version(self, type_: str, id_: str, number: int) -> Stored | None:
        return self._database.read(lambda c: resources.version(c, type_, id_, number))

    def history(self, type_: str, id_: str) -> list[Stored]:
        """Newest first; empty when there never was such a resource."""
        return self._database.read(lambda c: resources.history(c, type_, id_))

    def log(self, type_: str, bounds: Bounds, before: int, limit: int) -> list[Change]:
        """The change log newest first (`resources.log`); times in microseconds."""
        return self._database.read(lambda c: resources.log(c, type_, bounds, before, limit))

    def changes(self, after: int, limit: int) -> list[Change]:
        """The change log behind `after`, oldest first, in the order of commits."""
        return self._database.read(lambda c: resources.changes(c, after, limit))

    def seats_taken(self, first: str, last: str) -> dict[str, int]:
        """Seats taken or held now per slot, for slot ids in [first, last]; a slot without any is not there."""
        return self._database.read(lambda c: seats.taken_between(c, first, last, self._clock()))

    def held(self, holder: str) -> dict[str, datetime]:
        """The slots in which a holder has a seat that is only held, and until when; what ran out is not there."""
        return self._database.read(lambda c: seats.held(c, holder, self._clock()))

    def search(self, query: Query) -> Page:
        return self._database.read(lambda c: searching.searched(c, query, self.entries))

    def owing(self, adapters: Collection[str], now: datetime) -> list[str]:
        """Those of the adapters to which something is due that nobody is at."""
        return self._database.read(lambda c: deliveries.owing(c, adapters, now))

    def claim(self, wanted: Mapping[str, int], now: datetime, lease: timedelta, owner: str) -> list[Delivery]:
        """Takes up to so many due deliveries of each adapter for `lease`: in order per key, never two of one key at once."""
        every = wanted.items()
        claimed: list[Delivery] = self._write(lambda c: [d for name, most in every for d in deliveries.claim(c, name, most, now, lease, owner)])
        if claimed:
            reach("after-claim")
        return claimed

    def attend(self, name: str) -> Presence:
        """A worker of this name is there, and may claim. Raises Unavailable."""
        return Presence(self._database, self._write, self._secrets.home / "workers", name)

    def content(self, id_: str) -> Content | None:
        return self._database.read(lambda c: letters.content(c, self._secrets, id_))

    def parcel(self, id_: str) -> Parcel | None:
        return self._database.read(lambda c: letters.parcel(c, self._secrets, id_))

    def enquired(self, sender: str, enquiry: Enquiry) -> Enquiry:
        return self._database.read(lambda c: letters.enquired(c, sender, enquiry))

    def delivery(self, id_: str) -> Delivery | None:
        return self._database.read(lambda c: deliveries.get(c, id_))

    def deliveries(self, states: tuple[State, ...], adapter: str, before: int | None, limit: int) -> list[Delivery]:
        """Newest first, numbers below `before`; no states or adapter: any."""
        return self._database.read(lambda c: deliveries.page(c, states, adapter, before, limit))

    def deliveries_about(self, reference: str) -> list[Delivery]:
        """Oldest first."""
        return self._database.read(lambda c: deliveries.about(c, reference))

    def envelope(self, key: int) -> Filed | None:
        return self._database.read(lambda c: letters.get(c, key))

    def named(self, id_: str, adapters: Iterable[str]) -> list[Filed]:
        """Envelopes that came by these adapters under this message id, newest first."""
        return self._database.read(lambda c: letters.named(c, id_, adapters))

    def envelopes(self, adapter: str, problem: Problem | None, refused: bool | None, before: int | None, limit: int) -> list[Filed]:
        """Newest first, keys below `before`."""
        return self._database.read(lambda c: letters.page(c, adapter, problem, refused, before, limit))

    def standing(self) -> Standing:
        """How things stand, in numbers."""

        def work(connection: Connection) -> Standing:
            owed, oldest = deliveries.standing(connection)
            return Standing(owed, letters.problems(connection), oldest, *letters.totals(connection))

        return self._database.read(work)

    def counts(self) -> dict[str, int]:
        """`adapter/state` → how many deliveries."""
        return {f"{adapter}/{state}": n for (adapter, state), n in self.standing().deliveries.items()}

    def timeline(self, reference: str) -> list[TimelineEntry]:
        """Everything that happened to one resource, oldest first."""
        return self._database.read(lambda c: timeline.of(c, reference))

    def steps(self, kinds: Iterable[str], first: datetime, until: datetime) -> list[TimelineEntry]:
        """What of these kinds happened to anything in [first, until), oldest first; `text`: the subject's reference, a space, the text."""
        return self._database.read(lambda c: timeline.steps(c, list(kinds), first, until))

    def create_session(self, digest: str, data: dict[str, Any], now: datetime) -> None:
        """A login, found by the digest of its token."""
        self._write(lambda c: sessions.create(c, digest, data, now))

    def get_session(self, digest: str) -> dict[str, Any] | None:
        return self._database.read(lambda c: sessions.get(c, digest))

    def touch_session(self, digest: str, data: dict[str, Any], now: datetime) -> None:
        self._write(lambda c: sessions.touch(c, digest, data, now))

    def end_session(self, digest: str, *, at_provider: bool = False) -> None:
        """The one of this digest; or those, if any, that the login provider knows by this name, which anybody may say."""
        if not at_provider or self._database.read(lambda c: sessions.at_provider(c, digest)):
            self._write(lambda c: (sessions.end_at_provider if at_provider else sessions.end)(c, digest))

    def reindex(self, digest: str) -> int:
        """Makes the search index anew unless it was made under this digest (`hub.fhir.index.digest`); how many resources that were. Goes on
        from where it was stopped, and lets other writes in between."""
        done = 0
        while self._database.read(lambda c: reindexing.due(c, digest)):
            done += self._write(lambda c: reindexing.step(c, self.entries, digest))
        return done

    def audit_later(self, lines: Iterable[AuditLine]) -> None:
        """Lines of reads: with the operating system when it returns, in the table within a second."""
        self._journal.append(lines)

    def audit_of(self, person: str, limit: int) -> list[AuditLine]:
        """The newest lines about a person, newest first."""
        return self._database.read(lambda c: auditing.of(c, person, limit))

    def seal_audit(self) -> int:
        """One more link of the chain; how many lines it covers."""
        return self._write(lambda c: auditing.seal(c, self._secrets, self._clock()))

    def verify_audit(self) -> AuditCheck:
        return self._database.read(lambda c: auditing.verify(c, self._secrets))

    def backup(self, to: Path) -> None:
        """An online copy (SQLite; `copying.copy`). Raises Refused on PostgreSQL, whose own tools do it better; OSError; sqlite3.OperationalError."""
        if not self._database.sqlite:
            raise Refused(Problem.NOT_SUPPORTED, "use pg_dump for a PostgreSQL database")
        copying.copy(self._database.engine.url.database or "", to)

    def prune(self, now: datetime) -> int:
        """Lets go of bytes past their time, dead sessions and empty journals; how many contents went."""

        def work(connection: Connection) -> int:
            sessions.prune(connection, now)
            connection.run("delete from used_once where until <= ?", (micros(now),))
            connection.run("delete from export where expires <= ?", (micros(now),))
            auditing.sweep(self._secrets.home / "audit", connection)
            return letters.prune(connection, now)

        gone = went = self._write(work)
        while went == letters.PRUNED_AT_ONCE:  # a commit for each part: nobody waits long behind it
            went = self._write(lambda connection: letters.prune(connection, now))
            gone += went
        return gone

    def close(self) -> None:
        """Writes what waits, then lets go of the database."""
        try:
            self._writer.close()
        except Unavailable:
            log.warning("closed while the database did not answer")
        self._journal.close()
        self._database.close()
