"""What moves in from elsewhere: a file of resources, one a line (NDJSON), every one validated, nothing ever overwritten.

A municipality that begins has years of appointments in another system. Each line is a resource under its own id. What is there already as
it came is passed over, so that an import that was stopped is simply run again; what is there with another content, or is wrong, is told by
its line and left out. Nobody is told of what moved in: it is no news. Processes prepare the lines, one writer keeps them in the order of
the file, some thousands in each commit, and others may write in between.
"""

from __future__ import annotations

import gc
import marshal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hub.access import AuditLine, Ground, Mandate, Scope
from hub.booking import readable
from hub.booking.attachments import elements
from hub.booking.messages import is_message
from hub.fhir import definitions, index, strict_json, validate
from hub.fhir.definitions import Definitions
from hub.fhir.query import Entries
from hub.fhir.references import ours
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.rolling import seat_anew
from hub.store import Secrets, Store, Transaction
from hub.store.loading import Prepared, look_over, prepare
from hub.store.values import persons

ORIGIN = "import"
BATCH = 2_000
"""Lines that are prepared at a time."""
TOGETHER = 4
"""Batches in a commit: pages of the indexes that many of them touch are written once. Others wait for their writes about half a second."""
LONGEST = 4 * 1024 * 1024
"""Bytes of a line."""
MOVES = ("record", "message", "booking")
"""Types that move in are those that clients may write, and ALSO; what the hub makes itself (slots, access log) it makes itself."""
ALSO = frozenset({"HealthcareService", "Consent"})
"""Departments, and the mandates that people gave before: an operator's to bring, and no client's to write."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line that is left out, and why; never what stands in it."""

    line: int
    problem: Problem
    detail: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.line}: {self.problem.value} {self.detail}" + (f" ({self.where})" if self.where else "")


@dataclass(slots=True)
class Report:
    """What became of the lines."""

    kept: int = 0
    same: int = 0
    """There already, as they came."""
    refused: int = 0
    told: set[str] = field(default_factory=set)
    """`Patient/…`: whose access log has its line."""


Line = tuple[int, bytes]
Admits = Callable[[str], None]
Ready = tuple[list[tuple[int, Prepared]], list[Wrong]]


class Way(NamedTuple):
    """How lines are prepared elsewhere, and what comes back from there is unpacked here."""

    there: Callable[[Sequence[Line]], Any]
    here: Callable[[Any], Ready] = lambda done: done


def lines(file: BinaryIO) -> Iterator[Line]:
    """Numbered from 1; empty ones are passed over. Of one that is too long there is only so much that it shows."""
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        rest = line
        while len(rest) > LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST + 1)
        if line.strip():
            yield number, line


def ready(batch: Sequence[Line], known: Definitions, entries: Callable[[Resource], Entries], base: str) -> Ready:
    """Reads, checks and prepares lines: all that needs no database."""
    good: list[tuple[int, Prepared]] = []
    wrong: list[Wrong] = []
    for number, line in batch:
        try:
            resource = _checked(line, known)
            absolute = base.encode() in line or b"\\" in line  # an address may be written with escapes
            good.append((number, prepare(ours(resource, base) if absolute else resource, entries)))
        except Refused as refused:
            wrong.append(Wrong(number, refused.problem, refused.detail, refused.where))
    return good, wrong


def _checked(line: bytes, known: Definitions) -> Resource:
    """Raises Refused."""
    if len(line) > LONGEST:
        raise Refused(Problem.TOO_LARGE, f"a line of more than {LONGEST} bytes")
    resource = strict_json.load(line)
    validate.require(resource, known)
    type_ = resource["resourceType"]
    if known.served[type_].write not in MOVES and type_ not in ALSO:
        raise Refused(Problem.NOT_SUPPORTED, f"a {type_} does not move in", "resourceType")
    if "id" not in resource:
        raise Refused(Problem.INVALID, "what moves in has its id", f"{type_}.id")
    readable.demand(resource)
    _grants(resource)
    if type_ == "Communication" and is_message(resource) and elements(resource):
        raise Refused(Problem.NOT_SUPPORTED, "the files of a message do not move in", "Communication.payload")
    if resource.get("slot"):
        raise Refused(Problem.NOT_SUPPORTED, "who has a seat in a slot has booked it here", f"{type_}.slot")
    return resource


def _grants(consent: Resource) -> None:
    """Who may not see somebody's visits gets into the portal for nobody, so that the other scopes of a mandate give nothing without that one: whoever
    grants them hears it now. Raises Refused INVALID."""
    scopes = Mandate.of(consent).scopes if consent["resourceType"] == "Consent" else frozenset()
    if scopes and Scope.SEE not in scopes:
        told = ", ".join(sorted(scopes))
        raise Refused(Problem.INVALID, f"{told}: gives nothing without {Scope.SEE}", "Consent.provision.code")


def take_in(store: Store, file: BinaryIO, by: str, pool: Executor, way: Way, ahead: int, tell: Callable[[Wrong], None]) -> Report:
    """Every line of the file. `ahead`: batches that are prepared at a time; memory is theirs and no more.

    Raises:
        Unavailable: the database does not answer; what was kept is kept, and the import can be run again.
    """
    report = Report()
    for good, wrong in _together(_prepared(lines(file), pool, way, ahead)):
        loaded = store.write(partial(_keep, good=good, by=by, told=report.told))
        clashes = [Wrong(good[place][0], Problem.OUT_OF_DATE, "is there already with another content") for place in loaded[1]]
        for each in sorted([*wrong, *clashes], key=lambda found: found.line):
            tell(each)
        report.kept += loaded[0]
        report.refused += len(wrong) + len(clashes)
        report.same += len(good) - loaded[0] - len(clashes)
        report.told |= loaded[2]
    store.write(lambda tx: look_over(tx.connection))
    if report.kept:
        store.write(seat_anew)
    return report


def _keep(tx: Transaction, good: Sequence[tuple[int, Prepared]], by: str, told: set[str]) -> tuple[int, tuple[int, ...], set[str]]:
    loaded = tx.load([each for _, each in good], origin=ORIGIN)
    new = set(persons(loaded.kept)) - told
    tx.audit(*[AuditLine(tx.now, person, f"operator:{by}", Ground.OPERATOR.value, "import", "", "console") for person in sorted(new)])
    return len(loaded.kept), loaded.other, new


def _prepared(found: Iterator[Line], pool: Executor, way: Way, ahead: int) -> Iterator[Ready]:
    """In the order of the file, however many are under way."""
    waiting: deque[Future[Any]] = deque()
    while True:
        while len(waiting) < ahead and (batch := list(islice(found, BATCH))):
            waiting.append(pool.submit(way.there, batch))
        if not waiting:
            return
        yield way.here(waiting.popleft().result())


def _together(batches: Iterator[Ready]) -> Iterator[Ready]:
    while some := list(islice(batches, TOGETHER)):
        yield [each for good, _ in some for each in good], [each for _, wrong in some for each in wrong]


_ready: list[partial[Ready]] = []
"""Of a process that prepares: made once."""
SELDOM = (200_000, 20, 20)
"""For the collector: what is prepared has no cycles, and to look for them cost a tenth of an import."""


def _begin(home: Path, base: str, admits: Admits | None) -> None:
    known = definitions.load()
    _ready.append(partial(ready, known=known, entries=index.indexer(known, Secrets.open(home, admits).hash_id), base=base))
    gc.set_threshold(*SELDOM)


def _in_process(batch: Sequence[Line]) -> tuple[bytes, list[Wrong]]:
    good, wrong = _ready[0](batch)
    return marshal.dumps([(number, *each) for number, each in good]), wrong  # plain values: half of what pickle costs


def _from_process(packed: tuple[bytes, list[Wrong]]) -> Ready:
    return [(number, Prepared(*each)) for number, *each in marshal.loads(packed[0])], packed[1]


@contextmanager
def processes(home: Path, base: str, many: int, admits: Admits | None) -> Iterator[tuple[Executor, Way]]:
    """Processes that prepare lines with this home's keys. `base`: of our FHIR API, to which absolute references may point; `admits`: which
    national ids may be kept, as of Secrets; None: all."""
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        with ProcessPoolExecutor(many, get_context("spawn"), _begin, (home, base, admits)) as pool:
            yield pool, Way(_in_process, _from_process)
    finally:
        gc.set_threshold(*before)
