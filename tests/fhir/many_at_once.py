"""Many clients that write, patch, delete, read, search, page and follow histories at once, and what must hold whatever their turns.

For minutes instead of a test's seconds: `python tests/fhir/many_at_once.py http://127.0.0.1:8000/fhir TOKEN 30 2000 7` (clients, operations of each,
seed); the token is one that sees every department.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

BODY = {"content-type": "application/fhir+json"}
PATCH = {"content-type": "application/merge-patch+json"}
SHARED = 6
"""Resources that all clients write."""
NAMES = 10
"""Names under which any client may make one resource."""
Version = tuple[str, str, str]
"""What was done (`w`, `d`), and the two elements that clients change."""


def version_of(told: dict[str, Any] | httpx.Headers) -> int:
    return int(told["etag"][3:-1])


def content(resource: dict[str, Any]) -> Version:
    return "w", resource.get("serialNumber", ""), resource.get("lotNumber", "")


def following(client: httpx.Client, answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Entries of all pages."""
    while True:
        answer.raise_for_status()
        bundle = answer.json()
        yield from bundle.get("entry", [])
        after = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not after:
            return
        answer = client.get(after[0])


@dataclass
class Judge:
    """What all clients were answered."""

    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    wrong: list[str] = field(default_factory=list)
    answered: dict[str, dict[int, Version]] = field(default_factory=lambda: defaultdict(dict))
    """Id → version → what its writer was told."""
    done: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def shared(self) -> list[str]:
        return [f"{self.run}-{number}" for number in range(SHARED)]

    def say(self, holds: object, what: str) -> None:
        if not holds:
            with self.lock:
                self.wrong.append(what)

    def told(self, id_: str, version: int, of: Version) -> None:
        with self.lock:
            before = self.answered[id_].setdefault(version, of)
        self.say(before == of, f"two writers were told version {version} of {id_}")

    def history(self, id_: str, entries: list[dict[str, Any]], known: dict[int, Version]) -> None:
        """Without gaps, newest first, times never back; each version is what its writer was told."""
        numbers = [version_of(entry["response"]) for entry in entries]
        self.say(numbers == list(range(len(numbers), 0, -1)), f"gaps in the history of {id_}: {numbers[:20]}")
        times = [entry["response"]["lastModified"] for entry in entries]
        self.say(times == sorted(times, reverse=True), f"the times of {id_} go back")
        kept = {n: ("d", "", "") if e["request"]["method"] == "DELETE" else content(e["resource"]) for n, e in zip(numbers, entries, strict=True)}
        for number, of in known.items():
            self.say(kept.get(number) == of, f"{id_} version {number} is {kept.get(number)}, its writer was told {of}")

    def end(self, client: httpx.Client) -> None:
        """When all are still: nothing is kept that nobody was told of, and each name was given once."""
        for id_ in self.shared:
            entries = list(following(client, client.get(f"/Device/{id_}/_history", params={"_count": "500"}))) if id_ in self.answered else []
            self.history(id_, entries, self.answered[id_])
            self.say(len(entries) == len(self.answered[id_]), f"{id_} has versions that nobody was told of")
        named = Counter(e["resource"]["lotNumber"] for e in following(client, client.get("/Device", params={"identifier": f"urn:{self.run}:name|"})))
        self.say(all(many == 1 for many in named.values()), f"made twice by one condition: {named}")


class Caller:
    """One client, its operations by chance."""

    def __init__(self, judge: Judge, base: str, token: str, number: int, seed: int) -> None:
        self.judge, self.number, self.by_chance = judge, number, random.Random(seed * 1000 + number)
        self.client = httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=120)
        self.seen: dict[str, int] = defaultdict(int)
        self.count = 0

    def work(self, operations: int) -> None:
        every: dict[Callable[[str], None], int] = {
            self.raise_by_one: 20, self.patch: 10, self.put: 6, self.delete: 3, self.create: 6, self.create_once: 4, self.read: 14, self.find: 6,
            self.page: 2, self.history: 6, self.history_of_all: 2, self.together: 5,
        }
        for _ in range(operations):
            operation = self.by_chance.choices([*every], [*every.values()])[0]
            try:
                operation(self.by_chance.choice(self.judge.shared))
            except Exception as trouble:
                self.judge.say(False, f"{operation.__name__}: {trouble!r}")
            with self.judge.lock:
                self.judge.done[operation.__name__] += 1
        self.client.close()

    def device(self, id_: str, system: str = "") -> dict[str, Any]:
        self.count += 1
        return {"resourceType": "Device", "status": "active", "serialNumber": str(self.by_chance.randrange(1000) * 1000),
                "lotNumber": f"{self.number}-{self.count}", "identifier": [{"system": f"urn:{self.judge.run}{system}", "value": id_ or str(self.count)}],
                **({"id": id_} if id_ else {})}

    def looked(self, id_: str, version: int, how: str) -> None:
        """What a client has seen once it does not see undone."""
        self.judge.say(version >= self.seen[id_], f"{how} of {id_} went back from {self.seen[id_]} to {version}")
        self.seen[id_] = max(version, self.seen[id_])

    def wrote(self, answer: httpx.Response, *also: int) -> bool:
        """It was done; `also` are other statuses that may be."""
        self.judge.say(answer.status_code in (200, 201, *also), f"{answer.request.method} {answer.status_code} {answer.text[:200]}")
        if answer.status_code not in (200, 201):
            return False
        kept = answer.json()
        self.judge.told(kept["id"], version_of(answer.headers), content(kept))
        self.looked(kept["id"], version_of(answer.headers), "a write")
        return True

    def raise_by_one(self, id_: str) -> None:
        """Read, change, write if nobody did meanwhile: none of these is lost."""
        read = self.client.get(f"/Device/{id_}")
        if read.status_code != 200:
            return self.judge.say(read.status_code in (404, 410), f"a read gave {read.status_code}")
        self.looked(id_, version_of(read.headers), "a read")
        body = {**read.json(), "serialNumber": str(int(read.json()["serialNumber"]) + 1)}
        answer = self.client.put(f"/Device/{id_}", json=body, headers={**BODY, "if-match": read.headers["etag"]})
        if self.wrote(answer, 412):
            self.judge.say(version_of(answer.headers) == version_of(read.headers) + 1, f"something came between If-Match and {id_}")
            self.judge.say(content(answer.json()) == content(body), f"{id_} is not what was put")

    def patch(self, id_: str) -> None:
        word = self.device("")["lotNumber"]
        answer = self.client.patch(f"/Device/{id_}", content=json.dumps({"lotNumber": word}), headers=PATCH)
        if self.wrote(answer, 404, 410):
            self.judge.say(answer.json()["lotNumber"] == word, f"a patch of {id_} is lost")

    def put(self, id_: str) -> None:
        self.wrote(self.client.put(f"/Device/{id_}", json=self.device(id_), headers=BODY))

    def delete(self, id_: str) -> None:
        answer = self.client.delete(f"/Device/{id_}")
        self.judge.say(answer.status_code == 204, f"DELETE {answer.status_code}")
        if "etag" in answer.headers:
            self.judge.told(id_, version_of(answer.headers), ("d", "", ""))

    def create(self, _: str) -> None:
        self.wrote(self.client.post("/Device", json=self.device(""), headers=BODY))

    def create_once(self, _: str) -> None:
        name = f"name-{self.by_chance.randrange(NAMES)}"
        condition = {"if-none-exist": f"identifier=urn:{self.judge.run}:name|{name}"}
        answer = self.client.post("/Device", json={**self.device("", ":name"), "lotNumber": name,
                                                   "identifier": [{"system": f"urn:{self.judge.run}:name", "value": name}]}, headers=BODY | condition)
        self.judge.say(answer.status_code in (200, 201), f"a conditional create gave {answer.status_code}")

    def read(self, id_: str) -> None:
        answer = self.client.get(f"/Device/{id_}")
        self.judge.say(answer.status_code in (200, 404, 410), f"a read gave {answer.status_code}")
        if answer.status_code == 200:
            self.looked(id_, version_of(answer.headers), "a read")

    def find(self, id_: str) -> None:
        found = list(following(self.client, self.client.get("/Device", params={"identifier": f"urn:{self.judge.run}|{id_}"})))
        self.judge.say(len(found) <= 1, f"a search finds {id_} {len(found)} times")
        for entry in found:
            self.looked(id_, int(entry["resource"]["meta"]["versionId"]), "a search")

    def page(self, _: str) -> None:
        """What stands still is in a walk through the pages once, in any order of them."""
        with self.judge.lock:
            before = self.judge.answered.keys() - set(self.judge.shared)
        order = self.by_chance.choice(["_lastUpdated", "-_lastUpdated", "_id", "-identifier"])
        asked = {"identifier": f"urn:{self.judge.run}|", "_count": str(self.by_chance.choice([3, 7, 20])), "_sort": order}
        found = Counter(e["resource"]["id"] for e in following(self.client, self.client.get("/Device", params=asked)))
        for id_ in self.judge.shared:
            found.pop(id_, None)
        self.judge.say(before <= found.keys(), f"pages by {order} lose {len(before - found.keys())}")
        self.judge.say(all(many == 1 for many in found.values()), f"pages by {order} repeat")

    def history(self, id_: str) -> None:
        with self.judge.lock:
            known = dict(self.judge.answered[id_])
        answer = self.client.get(f"/Device/{id_}/_history", params={"_count": "500"})
        if answer.status_code == 404:
            return self.judge.say(not known, f"{id_} has no history")
        self.judge.history(id_, list(following(self.client, answer)), known)

    def history_of_all(self, _: str) -> None:
        of: dict[str, list[int]] = defaultdict(list)
        for entry in following(self.client, self.client.get("/Device/_history", params={"_count": "100"})):
            of[entry["fullUrl"]].append(version_of(entry["response"]))
        for url, numbers in of.items():
            self.judge.say(numbers == list(range(numbers[0], 0, -1)), f"the type's history has gaps at {url}: {numbers[:20]}")

    def together(self, _: str) -> None:
        """A transaction is there whole."""
        devices = [self.device(id_) for id_ in self.by_chance.sample(self.judge.shared, 2)]
        entries = [{"request": {"method": "PUT", "url": f"Device/{each['id']}"}, "resource": each} for each in devices]
        answer = self.client.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}, headers=BODY)
        self.judge.say(answer.status_code == 200, f"a transaction gave {answer.status_code} {answer.text[:200]}")
        for entry, sent in zip(answer.json().get("entry", []), devices, strict=True):
            number = version_of(entry["response"])
            self.judge.told(sent["id"], number, content(entry["resource"]))
            kept = self.client.get(f"/Device/{sent['id']}/_history/{number}").json()
            self.judge.say(content(kept) == content(sent), f"a version of {sent['id']} is not what the transaction wrote")


def judged(base: str, token: str, clients: int, operations: int, seed: int) -> Judge:
    """All at once; what went wrong is in `wrong`."""
    judge = Judge()
    threads = [threading.Thread(target=Caller(judge, base, token, number, seed).work, args=(operations,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=120) as client:
        judge.end(client)
    return judge


if __name__ == "__main__":
    result = judged(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
    print(dict(result.done), sum(map(len, result.answered.values())), "versions;", len(result.wrong), "wrong")
    print("\n".join(result.wrong[:50]))
    sys.exit(bool(result.wrong))
