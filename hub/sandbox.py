"""The sandbox: a hub of invented persons that vendors try their systems against, and that can be set back (`[sandbox] on = true` in hub.toml).

It is never on by itself, never in production, and never on a database that holds a national id which a living person could have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hub.booking.national_id import is_synthetic
from hub.config import Hub, Misconfigured
from hub.fhir.index import NATIONAL_IDS
from hub.fhir.query import Query
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.rolling import roll_slots
from hub.store import Store, Transaction

ORIGIN = "sandbox"
KEPT_APART = ("AuditEvent", "Bundle", "OperationOutcome", "Parameters")
EVERY = 1_000_000
PERSONS = ("Patient", "RelatedPerson", "Practitioner")


def switched_on(hub: Hub) -> bool:
    """Whether hub.toml says so. Raises Misconfigured in production."""
    table = hub.tables.get("sandbox", {})
    on = table.get("on", False) if isinstance(table, dict) else None
    if not isinstance(on, bool):
        raise Misconfigured("hub.toml [sandbox]: on er true eller false")
    if on and hub.environment == "production":
        raise Misconfigured("hub.toml [sandbox]: en hub i produksjon har virkelige personer, og kan ikke være en sandkasse")
    return on


def admits(number: str) -> None:
    """Raises Refused NOT_SYNTHETIC for a national id that a living person could have, wherever one is written or looked for."""
    if not is_synthetic(number):
        raise Refused(Problem.NOT_SYNTHETIC, "a sandbox holds synthetic national ids only")


def watch(tx: Transaction) -> None:
    """After every transaction that changed something: no national id but synthetic ones, also where no index looks. Raises Refused."""
    for change in tx.changes:
        if any(system.encode() in change.body for system in NATIONAL_IDS):
            for number in _numbers(change.resource):
                admits(number)


def _numbers(node: Any) -> Iterator[str]:
    """The value of every identifier with the system of a national id, at any depth."""
    if isinstance(node, list):
        for item in node:
            yield from _numbers(item)
    elif isinstance(node, dict):
        if node.get("system") in NATIONAL_IDS:
            yield str(node.get("value", ""))
        for item in node.values():
            yield from _numbers(item)


def guard(source: Store | Transaction) -> None:
    """Raises Misconfigured when a person here has a national id that is not synthetic."""
    for type_ in PERSONS:
        for kept in source.search(Query(type_, count=EVERY)).entries:
            for identifier in kept.resource.get("identifier") or ():
                if identifier.get("system") in NATIONAL_IDS and not is_synthetic(str(identifier.get("value", ""))):
                    raise Misconfigured("hub.toml [sandbox]: databasen har et fødselsnummer som ikke er syntetisk, så den kan ikke være en sandkasse")


def reset(store: Store, types: Iterable[str], town: Iterable[Resource]) -> int:
    """Everything is as in `town`, and nothing else is there; how many resources were changed or removed.

    Histories and the access log only grow, so versions go on from where they were: what a client has cached is never wrongly taken for current.
    """
    wanted = {f"{resource['resourceType']}/{resource['id']}": resource for resource in town}

    def work(tx: Transaction) -> int:
        guard(tx)
        before = tx.newest()
        tx.empty_seats()
        for type_ in types:
            for kept in tx.search(Query(type_, count=EVERY)).entries if type_ not in KEPT_APART else ():
                if kept.reference not in wanted:
                    tx.remove(kept, origin=ORIGIN)
        for resource in wanted.values():
            tx.keep(resource, origin=ORIGIN)
        for resource in wanted.values():
            if resource["resourceType"] == "HealthcareService":
                tx.remember(f"slots:{resource['id']}", "")
        return tx.newest() - before

    changed = store.write(work)
    return changed + roll_slots(store)
