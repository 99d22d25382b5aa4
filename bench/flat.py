"""Rows M5 and F4: a hub that has been asked thousands of times is as large as before; creating with validation against the group-commit floor."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from adapters.demo.processes import free_ports
from bench.clients import get_all, post_all
from bench.measure import Row
from bench.searches import A_PATIENT, appointment, fhir_query
from bench.servers import TOKEN, Server, databases, hub, listening, load, open_store

STORED, ASKED, CREATED, CLIENTS, ROUNDS = 20_000, 4_000, 1_000, 32, 5
JSON = "application/fhir+json"


def rows() -> Iterator[Row]:
    """A hub of its own on each database."""
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as name, databases(Path(name) / "d") as urls:
        for kind, url in urls.items():
            home = Path(name) / kind
            store, _ = open_store(home, url)
            load(store, (appointment(n, STORED // A_PATIENT) for n in range(STORED)))
            store.close()
            with hub(home, url) as server:
                yield _flat(kind, server)
                yield _created(kind, server, Path(name))


def _flat(kind: str, server: Server) -> Row:
    """One round makes everything that is made once; what the others add would be added for ever."""
    sizes = []
    for number in range(ROUNDS):
        dice = random.Random(number)
        searches = [fhir_query(dice.randrange(STORED // A_PATIENT)) for _ in range(ASKED)]
        get_all(server.port, [f"/fhir{each['path']}?{each['query_string'].decode()}" for each in searches], TOKEN, CLIENTS)
        get_all(server.port, [f"/fhir/Appointment?_count=50&_sort={key}" for key in ("date", "-status", "identifier") for _ in range(50)], TOKEN, 8)
        post_all(server.port, "/fhir/Communication", TOKEN, [_body(n) for n in range(CREATED)], CLIENTS, JSON)
        sizes.append(server.memory)
    detail = f"{sizes[0]:.0f} MB after the first round, {sizes[-1]:.0f} after {ROUNDS} of {ASKED} searches, 150 pages, {CREATED} creates"
    return Row("M5", f"a hub under load, {kind}", sizes[-1] - sizes[0], "MB that it grew by", "≤ 30", "≤ 10", detail)


def _body(n: int) -> bytes:
    """A message about a person, as large as a booking of the floor's."""
    return orjson.dumps({
        "resourceType": "Communication", "status": "completed",
        "subject": {"reference": f"Patient/p{n % 100}"}, "sent": "2026-11-26T09:00:00+01:00",
        "identifier": [{"system": "https://example.org/melding", "value": f"M{n}"}],
        "payload": [{"contentString": "Vi kommer ti minutter senere. " * 4}],
    })


def _plain(id_: str) -> bytes:
    """The same as the floor reads it."""
    return orjson.dumps({"bestillingsId": id_, "person": {"id": "p"}, "fra": "2026", "text": "x" * 400})


def _created(kind: str, server: Server, folder: Path) -> Row:
    """In turns with the floor, which keeps a body of this size and checks nothing."""
    (port,) = free_ports(1)
    with listening([sys.executable, "-m", "bench.floor", str(port), f"{folder}/floor-{kind}.db"], port) as floor:
        rates: list[tuple[float, float]] = []
        for number in range(ROUNDS + 1):
            plain = [_plain(f"{number}-{n}") for n in range(CREATED)]
            rates.append((
                CREATED / post_all(server.port, "/fhir/Communication", TOKEN, [_body(n) for n in range(CREATED)], CLIENTS, JSON),
                CREATED / post_all(floor.port, "/booking", TOKEN, plain, CLIENTS),
            ))
    ours, theirs = (statistics.median(each) for each in zip(*rates[1:], strict=True))
    return Row("F4", f"create with validation, {CLIENTS} clients, {kind}", ours / theirs, "of the group-commit floor on SQLite", "≥ 0.35", "≥ 0.60",
               f"{ours:.0f}/s against {theirs:.0f}/s")
