"""What the store hands out: values, never rows. Times are aware UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple, cast

import orjson

from hub.delivery import State
from hub.message import Parcel, Resource, Verdict
from hub.problem import Problem, Unavailable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_REFERS, _PATIENT = '"reference":', '"Patient/'


def micros(at: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z: how the store keeps every time, the same on both databases."""
    return (at - EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The time in UTC for `micros`."""
    return EPOCH + timedelta(microseconds=microseconds)


class Lacking(Unavailable):
    """What a transaction needs to know is known outside only. `Store.write` rolls it back, fetches that, and runs the work again."""

    def __init__(self, what: str, fetch: Callable[[], object]) -> None:
        super().__init__(what)
        self.fetch = fetch


STEADY = frozenset({"HealthcareService"})
"""Few, large, and read for every booking: they are parsed once as long as their text is the same."""


@lru_cache(maxsize=256)
def _steady(text: str) -> Resource:
    return cast(Resource, orjson.loads(text))


class _Stored(NamedTuple):
    type: str
    id: str
    version: int
    seq: int
    updated: int
    text: str
    deleted: bool = False
    origin: str = ""


class Stored(_Stored):
    """One version of one resource: its JSON text as it is kept, never parsed until somebody asks for `resource`.

    `seq` is its place in the change log: rises in the order of commits. `origin` is who stated it: an adapter's name, `portal`, `hub`.
    A named tuple in the order of a row, because a search makes one per hit and a dataclass costs ten times as much.
    """

    method = ""
    """How a version of the history came to be, as the column says (`create`, `put`, `update`, `delete`); not told of what a search finds."""

    @property
    def body(self) -> bytes:
        """The text as it travels."""
        return self.text.encode()

    @property
    def last_updated(self) -> datetime:
        """`updated` (microseconds) as a time; made when it is asked for, since a search asks for none."""
        return moment(self.updated)

    @cached_property
    def resource(self) -> Resource:
        return _steady(self.text) if self.type in STEADY else cast(Resource, orjson.loads(self.text))

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def etag(self) -> str:
        return f'W/"{self.version}"'


def persons(found: Iterable[Stored]) -> tuple[str, ...]:
    """Whose data these are, taken from the text: parsing is what a read does without. Types that hold no person give none."""
    every = list(found)
    seen = {each.reference: None for each in every if each.type == "Patient"}
    parts = "".join([each.text for each in every]).split(_PATIENT)
    behind = [part.partition('"')[0] for before, part in pairwise(parts) if before.endswith(_REFERS)]  # within a text quotes are escaped
    for id_ in dict.fromkeys(behind):
        seen["Patient/" + id_.partition("/")[0]] = None
    return tuple(seen)


Change = Stored
"""One committed version with its sequence number: a line of the change log."""


Bounds = tuple[int, int, int]
"""Of versions, in microseconds: made from (inclusive) and until, and not replaced by the third (NEVER: whenever they were)."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search."""

    entries: list[Stored]
    total: int | None = None
    """Only when the query asked for it."""
    next: tuple[int, int] | None = None
    """The cursor of the next page; None: this was the last."""
    included: list[Stored] = field(default_factory=list)
    before: tuple[int, int] | None = None
    """The cursor of the page before; None: this was the first."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was answered the first time this envelope came."""

    verdict: Verdict
    reply: Parcel | None


UNOPENED = "refused-"
"""What our own id of a parcel begins with that could not be opened; the id it claimed stands behind it in brackets."""


@dataclass(frozen=True, slots=True)
class Filed:
    """An envelope as it was filed, for console and command line; its bytes are `Store.parcel(content)`."""

    key: int
    id: str
    sender: str
    adapter: str
    direction: str
    """`in` or `out`."""
    received: datetime
    function: str
    conversation: str
    refers_to: str | None
    verdict: Verdict
    remarks: tuple[str, ...]
    digest: str
    content: str | None
    reply: str | None

    @property
    def unopened(self) -> bool:
        """Nothing inside was believed, and its id is still free: it can be received once more when what was wrong is put right."""
        return self.id.startswith(UNOPENED)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to one resource. `kind` is a word from the code: `version`, `owed`, a delivery Step, `received`, …"""

    at: datetime
    kind: str
    text: str
    """For operators; never personal."""
    delivery: str | None = None
    envelope: int | None = None
    version: int | None = None
    origin: str = ""
    """The adapter, or who stated the version."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in. Found by a secret token, of which only the hash is kept."""

    id: str
    """Says nothing of the token; for logs."""
    subject: str
    """Who: `Patient/…`, `RelatedPerson/…`, `operator:<name>`."""
    created: datetime
    seen: datetime
    expires: datetime
    provider_session: str = ""
    """The login provider's own session id (`sid`), for its front-channel logout."""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdapterVersion:
    """One text an adapter's settings have had."""

    adapter: str
    version: int
    text: str
    since: datetime
    by: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What `verify_audit` found."""

    seals: int
    lines: int
    """Lines under a seal."""
    unsealed: int
    broken: tuple[int, ...]
    """Numbers of the seals that do not fit their lines or their predecessor."""
    head: str
    """The last seal, to be noted elsewhere: it shows a cut tail."""

    @property
    def holds(self) -> bool:
        return not self.broken


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand, in numbers."""

    deliveries: dict[tuple[str, State], int]
    """(adapter, state) → how many."""
    problems: dict[Problem, int]
    """Refused envelopes by problem."""
    oldest: dict[str, datetime]
    """Adapter → when its oldest waiting delivery was made."""
    totals: Mapping[str, int] = field(default_factory=dict)
    """`changes`, `envelopes`, `deliveries`: how many there have been, by the numbers they were given. Never falls."""
    worker: datetime | None = None
    """When a worker last said that it runs."""
    newest: datetime | None = None
    """The time that the last change bears."""

    def ahead(self, now: datetime) -> timedelta:
        """How far the last change lies ahead: a clock was, and what is changed bears such times (`meta.lastUpdated`) until it is caught up with."""
        return max(self.newest - now, timedelta()) if self.newest else timedelta()
