"""`_sort` by any search parameter, in pages that neither lose nor repeat while data changes: against a model, on both databases."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.fhir import definitions, index, paging, search
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Secrets, Store, ordering
from hub.store.values import Page

D = definitions.load()
START = datetime(2026, 12, 1, 8, tzinfo=UTC)
CODES = "urn:oid:2.16.578.1.12.4.1.1.7619"
Keys = list[tuple[Callable[[Resource], list[Any]], bool]]
"""A sort as the model has it: what stands there, and whether it is turned round."""


class Clock:
    """A second on with every look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def opened(store_url: str, tmp_path: Path) -> Iterator[tuple[Store, Secrets]]:
    secrets = Secrets.open(tmp_path)
    store = Store.open(store_url, secrets, clock=Clock(), entries=index.indexer(D, secrets.hash_id))
    store.migrate()
    yield store, secrets
    store.close()


def appointment(n: int, dice: random.Random) -> Resource:
    """Some have no category, some several, some no time; two performers have the same place in the alphabet as one."""
    made: Resource = {
        "resourceType": "Appointment", "id": f"a{n}", "status": dice.choice(["booked", "cancelled", "proposed"]),
        "identifier": [{"system": f"https://example.org/{s}", "value": f"B{dice.randrange(9)}"} for s in range(dice.randrange(1, 3))],
        "participant": [{"actor": {"reference": f"Practitioner/p{dice.randrange(5)}"}, "status": "accepted"} for _ in range(dice.randrange(1, 4))],
    }
    if n % 4:
        made["start"] = (START + timedelta(hours=dice.randrange(40))).isoformat()
        made["end"] = (START + timedelta(hours=41)).isoformat()
    if n % 3:
        made["serviceCategory"] = [{"coding": [{"system": CODES, "code": c}]} for c in dice.sample("34567", dice.randrange(1, 3))]
    return made


def patient(n: int, dice: random.Random) -> Resource:
    made: Resource = {
        "resourceType": "Patient", "id": f"p{n}",
        "name": [{"family": dice.choice("abcdef") * 3, "given": [dice.choice("ghij") * 2, "Xx"]} for _ in range(dice.randrange(1, 3))],
    }
    if n % 3:
        made["birthDate"] = f"19{dice.randrange(30, 60)}-0{dice.randrange(1, 9)}-11"
    if n % 4:
        made["generalPractitioner"] = [{"reference": f"Organization/o{dice.randrange(4)}"}]
        made["meta"] = {"profile": [f"https://example.org/{dice.randrange(3)}"]}
    return made


def status(r: Resource) -> list[Any]:
    return [r["status"]]


def identifier(r: Resource) -> list[Any]:
    return [i["value"] for i in r["identifier"]]


def category(r: Resource) -> list[Any]:
    return [c["coding"][0]["code"] for c in r.get("serviceCategory", ())]


def actor(r: Resource) -> list[Any]:
    return [p["actor"]["reference"].partition("/")[2] for p in r["participant"]]


def main(r: Resource) -> list[Any]:
    return [datetime.fromisoformat(r["start"]).timestamp() if "start" in r else 0]


def family(r: Resource) -> list[Any]:
    return [n["family"] for n in r["name"]]


def born(r: Resource) -> list[Any]:
    return [r["birthDate"]] if "birthDate" in r else []


def practice(r: Resource) -> list[Any]:
    return [g["reference"].partition("/")[2] for g in r.get("generalPractitioner", ())]


def profile(r: Resource) -> list[Any]:
    return list(r.get("meta", {}).get("profile", ()))


def id_(r: Resource) -> list[Any]:
    return [r["id"]]


def updated(r: Resource) -> list[Any]:
    return [r["meta"]["lastUpdated"]]


APPOINTMENTS: dict[str, Keys] = {
    "status": [(status, False)], "-status": [(status, True)], "identifier": [(identifier, False)], "-identifier": [(identifier, True)],
    "service-category": [(category, False)], "-service-category": [(category, True)], "actor": [(actor, False)], "-actor": [(actor, True)],
    "date": [(main, False)], "-date": [(main, True)], "status,-date": [(status, False), (main, True)],
    "-service-category,actor,-_id": [(category, True), (actor, False), (id_, True)], "_lastUpdated": [(updated, False)], "-_id": [(id_, True)],
}
PATIENTS: dict[str, Keys] = {
    "family": [(family, False)], "-family": [(family, True)], "birthdate": [(born, False)], "-birthdate": [(born, True)],
    "general-practitioner,-family": [(practice, False), (family, True)], "-_profile,birthdate": [(profile, True), (born, False)],
}
CASES = [("Appointment", text) for text in APPOINTMENTS] + [("Patient", text) for text in PATIENTS]


def stands(keys: Keys, resource: Resource) -> tuple[Any, ...]:
    """Where the model puts a resource: of several values the first in the direction asked for, of none behind all others."""
    return tuple((not v, _Turned(max(v)) if turned else min(v)) if (v := of(resource)) else (True, "") for of, turned in keys)


class _Turned:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Turned) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Turned) and self.value == other.value


@pytest.mark.parametrize("few", [0, 10_000], ids=["walked", "sorted"])
@pytest.mark.spec("facts/fhir", "1.4.pages")
def test_pages_are_in_order_and_neither_lose_nor_repeat_while_data_changes(
    opened: tuple[Store, Secrets], few: int, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ordering, "FEW", few)
    store, secrets = opened
    for seed, (type_, text) in enumerate(CASES):
        dice, make = random.Random(seed), appointment if type_ == "Appointment" else patient
        store.write(lambda tx, make=make, dice=dice: [tx.keep(make(n, dice), origin="x") for n in range(40)])  # type: ignore[misc]
        still = {e.id: e.resource for e in everything(store, type_) if int(e.id[1:]) % 2}
        keys = (APPOINTMENTS if type_ == "Appointment" else PATIENTS)[text]

        def changes(make: Any = make, dice: random.Random = dice, type_: str = type_) -> None:
            def work(tx: Any) -> None:
                for n in dice.sample(range(0, 40, 2), 3):
                    tx.keep(make(n, dice), origin="x")
                tx.remove(tx.keep(make(100, dice), origin="x"), origin="x")

            store.write(work)

        pairs = [("_sort", text), ("_count", "7"), ("_id" if few else "_total", ",".join(f"{type_[0].lower()}{n}" for n in range(40)) if few else "none")]
        there, back = walk(store, secrets, type_, pairs, changes)
        for direction in (there, back):
            seen = [i for page in direction for i in page if i in still]
            assert sorted(seen) == sorted(still), (type_, text)
            assert seen == sorted(seen, key=lambda i, keys=keys: stands(keys, still[i])), (type_, text)  # type: ignore[misc]


def everything(store: Store, type_: str) -> list[Any]:
    return store.search(search.parse(type_, [("_count", "1000")], True, D, lambda s, v: v).query).entries


def walk(
    store: Store, secrets: Secrets, type_: str, pairs: list[tuple[str, str]], between: Callable[[], None],
) -> tuple[list[list[str]], list[list[str]]]:
    """The pages forward by `next` and then back by `previous`, both from first to last."""
    def page(*cursor: tuple[str, str]) -> Page:
        return store.search(search.parse(type_, [*pairs, *cursor], True, D, secrets.hash_id).query)

    last = page()
    there = [[e.id for e in last.entries]]
    while last.next is not None:
        between()
        last = page(("_cursor", paging.token(last.next, False, secrets.hash_id)))
        there.append([e.id for e in last.entries])
    back = [[e.id for e in last.entries]]
    while last.before is not None:
        between()
        last = page(("_cursor", paging.token(last.before, True, secrets.hash_id)))
        back.insert(0, [e.id for e in last.entries])
    return there, back


@pytest.mark.spec("facts/fhir", "1.3")
def test_every_search_parameter_of_a_stored_type_sorts(opened: tuple[Store, Secrets]) -> None:
    """Each as a statement that both databases take; the access log, which is a view, by its time alone."""
    store, secrets = opened
    for row in D.capability["rest"][0]["resource"]:
        for name in [parameter["name"] for parameter in row["searchParam"]]:
            view = D.served[row["type"]].view and name not in (D.served[row["type"]].main, "_lastUpdated")
            if view or name == "near":  # a place is in no order with another
                with pytest.raises(Refused):
                    search.parse(row["type"], [("_sort", name)], True, D, secrets.hash_id)
            else:
                assert store.search(search.parse(row["type"], [("_sort", f"-{name}")], True, D, secrets.hash_id).query).entries == []


def test_a_cursor_of_somebody_elses_making_is_refused(opened: tuple[Store, Secrets]) -> None:
    """Who could make one could ask what stands behind any version, also of what they do not see."""
    _, secrets = opened
    made = paging.token((7, 7), False, lambda s, v: "0" * 32)
    with pytest.raises(Refused) as refused:
        search.parse("Patient", [("_sort", "birthdate"), ("_cursor", made)], True, D, secrets.hash_id)
    assert refused.value.problem is Problem.BAD_SEARCH


@pytest.mark.spec("facts/fhir", "1.4.pages")
def test_a_cursor_tells_nothing_of_what_is_sorted_by(opened: tuple[Store, Secrets]) -> None:
    store, secrets = opened
    store.write(lambda tx: [tx.keep(patient(n, random.Random(n)), origin="x") for n in range(9)])
    page = store.search(search.parse("Patient", [("_sort", "family"), ("_count", "3")], True, D, secrets.hash_id).query)
    assert page.next is not None and page.next[0] in {e.seq for e in page.entries}
