"""Who follows what changes by the times it has seen misses nothing, whatever the clocks of the hubs say."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on

ASYNC = {"prefer": "respond-async"}


@pytest.fixture
def other(hub: Machines, tmp_path: Path, town_url: str) -> Iterator[Machines]:
    """A second hub process's worth of hub on the same database."""
    home = tmp_path / "other"
    shutil.copytree(hub.home / "secrets", home / "secrets")
    shared = town_url if town_url.startswith("postgresql") else f"sqlite:///{hub.home / town_url.removeprefix('sqlite:///')}"
    with hub_on(home, shared, per_minute=100_000, fresh=False) as made:
        yield made


def device(hub: Machines, number: int) -> str:
    """The id of a Device that is made by this hub."""
    with hub.http(authorization="Bearer simple-token") as client:
        made = client.post("/fhir/Device", json={"resourceType": "Device", "deviceName": [{"name": f"d{number}", "type": "other"}]})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def resources(answer: httpx.Response) -> list[dict[str, object]]:
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


class Follower:
    """Keeps the newest `lastUpdated` that it has seen, as every incremental client does."""

    def __init__(self, api: httpx.Client, asked: Callable[[str], str]) -> None:
        self._api, self._asked, self._last, self.seen = api, asked, "2026-11-01T00:00:00Z", set[str]()

    def look(self) -> None:
        for found in resources(self._api.get(self._asked(self._last))):
            self.seen.add(str(found["id"]))
            self._last = max(self._last, str(found["meta"]["lastUpdated"]))  # type: ignore[index]


FOLLOWERS: list[Callable[[str], str]] = [
    lambda last: f"/Device/_history?_since={last}", lambda last: f"/_history?_since={last}&_count=1000",
    lambda last: f"/Device?_lastUpdated=gt{last}&_sort=_lastUpdated", lambda last: f"/Device?_lastUpdated=ge{last}",
]


@pytest.mark.spec("facts/fhir", "1.4.history")
@pytest.mark.spec("facts/fhir", "5.5")
def test_a_follower_misses_no_version_though_two_hubs_clocks_disagree_and_one_is_set_back(hub: Machines, other: Machines, api: httpx.Client) -> None:
    """A version that bears an earlier time than one that was read already is found by nobody who asks from there; nor is, by `gt`, one of the same
    time in a later commit."""
    followers = [Follower(api, asked) for asked in FOLLOWERS]
    hub.clock.forward(minutes=5)
    made = set[str]()
    for number in range(3):
        for which, back in ((hub, 0), (other, 0), (hub, 0), (hub, 60)):
            hub.clock.forward(seconds=-back)
            made.add(device(which, number))
            for follower in followers:
                follower.look()
    assert len(made) == 12
    for follower in followers:
        assert follower.seen >= made


def test_a_deletion_too_is_found_from_the_last_time_that_was_seen(hub: Machines, other: Machines, api: httpx.Client) -> None:
    hub.clock.forward(minutes=5)
    gone, kept = device(other, 1), device(hub, 2)
    last = api.get(f"/Device/{kept}").json()["meta"]["lastUpdated"]
    with other.http(authorization="Bearer simple-token") as client:
        assert client.delete(f"/fhir/Device/{gone}").status_code == 204
    entries = api.get("/Device/_history", params={"_since": last}).json()["entry"]
    assert f"Device/{gone}" in {entry["request"]["url"] for entry in entries if entry["request"]["method"] == "DELETE"}


def exported(api: httpx.Client, since: str) -> tuple[str, set[str]]:
    """transactionTime, and the ids of the Devices that an export gives."""
    begun = api.get("/$export", params={"_type": "Device", **({"_since": since} if since else {})}, headers=ASYNC)
    assert begun.status_code == 202, begun.text
    manifest = api.get(begun.headers["content-location"]).json()
    lines = [line for file in manifest["output"] for line in api.get(file["url"]).text.splitlines()]
    return manifest["transactionTime"], {line.split('"id":"')[1].partition('"')[0] for line in lines}


def test_exports_from_the_transaction_time_of_the_one_before_miss_nothing_and_repeat_nothing(
    hub: Machines, other: Machines, api: httpx.Client,
) -> None:
    """Bulk Data Access 2.0: `transactionTime` is what the next export is asked from, by whichever hub it was told."""
    hub.clock.forward(minutes=5)
    device(hub, 0)
    since, _ = exported(api, "")
    for number, back in ((1, 0), (2, 0), (3, 120)):
        hub.clock.forward(seconds=-back)
        made = {device(other, number), device(hub, number)}
        since, found = exported(api, since)
        assert found == made


def test_versions_of_one_commit_bear_times_in_the_order_of_the_log(hub: Machines, api: httpx.Client) -> None:
    entry = {"request": {"method": "POST", "url": "Device"}, "resource": {"resourceType": "Device"}}
    for back in (0, 10):
        hub.clock.forward(seconds=-back)
        assert api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 3}).status_code == 200
    times = [str(found["meta"]["lastUpdated"]) for found in resources(api.get("/Device/_history"))]  # type: ignore[index]
    assert times == sorted(times, reverse=True) and len(times) == 6


def test_the_answer_to_a_bundle_tells_the_time_that_the_resource_bears(api: httpx.Client) -> None:
    """R4 Bundle.entry.response.lastModified: it has to match meta.lastUpdated; it was cut to the second."""
    entries = [{"request": {"method": "PUT", "url": "Device/same"}, "resource": {"resourceType": "Device", "id": "same"}},
               {"request": {"method": "GET", "url": "Device/same"}}]
    for _ in range(3):
        answer = api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}).json()
        assert [e["response"]["lastModified"] == e["resource"]["meta"]["lastUpdated"] for e in answer["entry"]] == [True, True]
        entries[0]["resource"]["lotNumber"] = str(_)  # type: ignore[index]
