"""What the store keeps to search by (Entries), and what is searched for (Query). Values only: the store turns them into rows and SQL.

Times are microseconds since 1970-01-01T00:00:00Z; a period is [low, high) and an open end is FOREVER or NEVER.
National ids never appear: `value` already holds their keyed hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from hub.fhir.text import below

NEVER = -(2**62)
FOREVER = 2**62


class TokenEntry(NamedTuple):
    """A code, an identifier or a flag; system "" where there is none."""

    param: str
    system: str
    value: str


class ReferenceEntry(NamedTuple):
    """A literal reference, taken apart."""

    param: str
    type: str
    """Empty: `id` is the whole address of what is not ours, or a canonical."""
    id: str


class DateEntry(NamedTuple):
    """A date, instant or period as [low, high)."""

    param: str
    low: int
    high: int


class StringEntry(NamedTuple):
    """A text to search in."""

    param: str
    value: str
    """Lower case, without accents, as R4 3.1.1.5.9 compares."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Every index entry of one resource."""

    at: int = 0
    """The resource's main time (Appointment.start, Slot.start, Encounter.period.start); kept beside each token and reference,
    so that «one patient, one week» is a single range in one index. 0 where the type has none."""
    tokens: tuple[TokenEntry, ...] = ()
    references: tuple[ReferenceEntry, ...] = ()
    dates: tuple[DateEntry, ...] = ()
    strings: tuple[StringEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenIs:
    """One of the alternatives (system, value); None matches anything, system "" means «no system»."""

    param: str
    any_of: tuple[tuple[str | None, str | None], ...]
    negated: bool = False
    """`:not`: also resources without the element."""
    wide: bool = False
    """Much of the store meets it: a limit of the reader's, not what is looked for."""


@dataclass(frozen=True, slots=True)
class CodeIn:
    """A code of one of these (system, codes); codes None: any of that system. Many codes in one look-up, where TokenIs has one each."""

    param: str
    any_of: tuple[tuple[str, tuple[str, ...] | None], ...]
    negated: bool = False
    """As of TokenIs."""


@dataclass(frozen=True, slots=True)
class UriBelow:
    """One of these addresses, or one that lies below it: behind a stroke; or, of canonicals with a version, behind a further part of that."""

    param: str
    any_of: tuple[str, ...]
    kind: str = "token"
    """`reference`: of canonicals."""

    @property
    def beginnings(self) -> tuple[str, ...]:
        """What all that lies below begins with."""
        if self.kind == "token":
            return tuple([below(each) for each in self.any_of])
        return tuple([each + mark for each in self.any_of for mark in ((".", "-") if "|" in each else "|")])


@dataclass(frozen=True, slots=True)
class PartOf:
    """This resource lies below one of these (or `above` it) in the hierarchy that `param` makes."""

    param: str
    any_of: tuple[str, ...]
    above: bool = False


@dataclass(frozen=True, slots=True)
class Near:
    """A position within a distance of one of these: (x, y, z, square of the chord), in hub.fhir.measures' points of the globe."""

    param: str
    any_of: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ReferenceIs:
    """One of the alternatives (type, id); type None matches any."""

    param: str
    any_of: tuple[tuple[str | None, str], ...]
    wide: bool = False
    """As of TokenIs."""


@dataclass(frozen=True, slots=True)
class DateIs:
    """One of the alternatives (prefix, low, high) with R4's prefixes eq ne gt ge lt le sa eb ap."""

    param: str
    any_of: tuple[tuple[str, int, int], ...]
    main: bool = False
    """The parameter is the type's main time, kept as `Entries.at`."""


@dataclass(frozen=True, slots=True)
class SpanIs:
    """As DateIs, of a type's main time that is a range (Flag.period): what it must meet is all of the range, and not its beginning alone."""

    param: str
    any_of: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class StringIs:
    """One of the alternatives (modifier, text); modifier is "" (starts with) or `contains`. `:exact` is a TokenIs of `<param>:exact`."""

    param: str
    any_of: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class IdIs:
    """`_id`: one of these."""

    any_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdatedIs:
    """`_lastUpdated`, as DateIs."""

    any_of: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """`:missing`."""

    param: str
    kind: str
    """`token`, `reference`, `date` (quantities and positions, too) or `string`."""
    missing: bool


@dataclass(frozen=True, slots=True)
class Chained:
    """`param.x=…`: a resource of `type` that `param` points to meets the conditions."""

    param: str
    type: str
    conditions: tuple[Condition, ...]
    by_identifier: bool = False
    """The chain is an identifier and nothing more."""


@dataclass(frozen=True, slots=True)
class Has:
    """`_has:type:param:x=…`: a resource of `type` points here by `param` and meets the conditions."""

    type: str
    param: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Each of these holds: one of several searches, of which any may find it."""

    conditions: tuple[Condition, ...]


Condition = (
    TokenIs | CodeIn | UriBelow | PartOf | Near | ReferenceIs | DateIs | SpanIs | StringIs | IdIs | UpdatedIs | Missing | Chained | Has | AnyOf
    | AllOf
)


@dataclass(frozen=True, slots=True)
class Include:
    """`_include` (or `_revinclude` when `reverse`): the resources that `param` of `source` points to, optionally of one type."""

    source: str
    param: str
    target: str | None = None
    reverse: bool = False
    iterate: bool = False
    """`:iterate`: also of what was included."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One of the values that results stand in the order of (R4 3.1.1.6.1)."""

    kind: str
    """`at` (main time), `updated` (last change), `id`, or what the parameter is kept as: `token`, `reference`, `date`, `string`."""
    param: str = ""
    descending: bool = False


BY_TIME = SortKey("at")


@dataclass(frozen=True, slots=True)
class Query:
    """One search of one type; all conditions hold."""

    type: str
    conditions: tuple[Condition, ...] = ()
    count: int = 50
    cursor: tuple[int, int] | None = None
    """Keyset: the (place, key) of the last entry of the page before, or of the first of the page behind. Its place is its main time where
    that is the order, else its sequence number in the change log: what it is sorted by stands in that version, and in no address."""
    back: bool = False
    """The page before the cursor is asked for."""
    sort: tuple[SortKey, ...] = (BY_TIME,)
    """Results of which all of these are the same stand by main time, then by key. What has no value stands last in both directions."""
    total: bool = False
    includes: tuple[Include, ...] = field(default=())

    @property
    def by_time(self) -> bool:
        """The order is that of the main time: the one that the indexes are made for."""
        return len(self.sort) == 1 and self.sort[0].kind == "at"

    @property
    def descending(self) -> bool:
        return self.sort[0].descending
