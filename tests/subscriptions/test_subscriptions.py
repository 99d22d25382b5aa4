"""Subscriptions from the client's side, over HTTP with a real receiver, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from machines import TOWN
from receivers import Receiver, parameters, receiving
from subscribers import BACKPORT, OURS, SECRET, Feeding

from hub.delivery import State
from hub.fhir import definitions
from hub.fhir.xml import from_xml
from hub.store import Transaction


def number(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


@pytest.mark.spec("facts/fhir", "1.6.backport")
def test_a_subscription_is_greeted_and_then_hears_of_each_change_in_order(feed: Feeding, receiver: Receiver) -> None:
    created = feed.api.post("/Subscription", json=feed.subscription(receiver.url)).json()
    assert created["status"] == "requested" and not receiver.got
    early = feed.book("early")
    assert feed.deliver() == 1, "nothing but the greeting, before it is answered"
    greeting = receiver.got[0]
    assert (greeting.method, greeting.kind, greeting.status["status"]) == ("POST", "handshake", "requested")
    assert greeting.headers["authorization"] == "Bearer of-the-receiver" and greeting.headers["content-type"] == "application/fhir+json"
    assert greeting.status["subscription"] == f"{feed.base}/Subscription/{created['id']}"
    assert greeting.bundle["entry"][0]["request"] == {"method": "GET", "url": f"{feed.base}/Subscription/{created['id']}/$status"}
    booking = feed.book("B")
    feed.cancel(booking)
    feed.cancel(early)
    while feed.deliver():
        pass
    told = receiver.events()
    of_one = [g for g in told if g.status["focus"].endswith(booking)]
    assert [g.number for g in of_one] == [2, 3] and sorted(g.number for g in told) == [2, 3, 4], "1 was before it was active"
    assert {g.status["events-since-subscription-start"] for g in of_one} == {"2", "3"}
    assert all(len(g.bundle["entry"]) == 1 for g in told), "the id, and nothing more"
    assert all(g.signed_by(SECRET) and not g.signed_by("whsec_" + "A" * 40) for g in receiver.got)
    assert len({g.headers["webhook-id"] for g in receiver.got}) == len(receiver.got)


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
@pytest.mark.spec("facts/fhir", "1.6.backport")
def test_the_three_contents(feed: Feeding, receiver: Receiver, content: str) -> None:
    feed.subscribe(feed.subscription(receiver.url, content=content))
    booking = feed.book()
    feed.deliver()
    told = receiver.events()[0]
    status, entries = told.status, told.bundle["entry"]
    assert ("focus" in status, "topic" in status) == ((content != "empty"),) * 2
    person = TOWN.persons[0].reference
    if content == "full-resource":
        kept = feed.api.get(f"/{booking}").json()
        assert entries[1]["resource"] == kept and entries[1]["fullUrl"] == f"{feed.base}/{booking}"
        assert entries[1]["request"] == {"method": "POST", "url": "Appointment"} and entries[1]["response"]["status"] == "201"
    else:
        assert len(entries) == 1 and b"Patient/" not in told.body and person.encode() not in told.body
    looks = {line.kind for p in TOWN.persons for line in feed.hub.parts.store.audit_of(p.reference, 50) if line.reader == "vendor:simple"}
    assert ("notify Appointment" in looks) == (content != "empty"), "what was told of a person stands in that person's log"


def test_in_one_commit_each_change_is_heard_by_what_was_active_then(feed: Feeding, receiver: Receiver) -> None:
    """The writer asks once in a commit who hears; a subscription that one of its writes changes is another for those behind it."""
    id_ = feed.subscribe(feed.subscription(receiver.url, content="id-only"))
    parts = feed.hub.parts
    kept = [parts.store.get("Appointment", feed.book(name).rpartition("/")[2]) for name in ("B", "C", "D")]
    while feed.deliver():
        pass
    seen = len(receiver.got)

    def note(tx: Transaction, which: int) -> None:
        found = kept[which]
        assert found is not None
        tx.keep({**found.resource, "status": "arrived"}, origin="test")

    def turn(tx: Transaction, status: str) -> None:
        found = tx.feeds.get(id_)
        assert found is not None
        parts.feeds.set_status(tx, found, status)

    works: list[Callable[[Transaction], None]] = [
        lambda tx: note(tx, 0), lambda tx: turn(tx, "requested"), lambda tx: note(tx, 1), lambda tx: turn(tx, "active"), lambda tx: note(tx, 2),
    ]
    for done in parts.store.write_all(works):
        done.result()
    while feed.deliver():
        pass
    assert [g.number for g in receiver.got[seen:]] == [4, 6], "what it was not active for has its number"
    assert {g.status["focus"].rpartition("/fhir/")[2] for g in receiver.got[seen:]} == {found.reference for found in (kept[0], kept[2]) if found}


def test_filters_narrow_a_topic(feed: Feeding, receiver: Receiver) -> None:
    booking = feed.book("B")
    patient = next(p["actor"]["reference"] for p in feed.api.get(f"/{booking}").json()["participant"] if "Patient" in p["actor"]["reference"])
    feed.subscribe(feed.subscription(receiver.url, filters=(f"Appointment?patient={patient}",)))
    feed.cancel(booking)
    others = [feed.book(f"C{n}") for n in range(4)]
    while feed.deliver():
        pass
    heard = {g.status["focus"].rpartition("/fhir/")[2] for g in receiver.events()}
    own = {b for b in others if patient in feed.api.get(f"/{b}").text}
    assert heard == {booking} | own and set(others) - own, "some were of others"


def test_slots_tell_of_their_availability(feed: Feeding, receiver: Receiver) -> None:
    topic = f"{feed.base}/SubscriptionTopic/slot-availability"
    feed.subscribe(feed.subscription(receiver.url, topic, "full-resource"))
    booking = feed.book()
    while feed.deliver():
        pass
    slots = {s["reference"] for s in feed.api.get(f"/{booking}").json()["slot"]}
    told = [g.bundle["entry"][1]["resource"] for g in receiver.events()]
    assert {f"Slot/{s['id']}" for s in told} == slots
    assert not [g for g in told if b"Patient" in json.dumps(g).encode()]


def test_what_changes_nothing_that_is_watched_is_no_event(feed: Feeding, receiver: Receiver) -> None:
    feed.subscribe(feed.subscription(receiver.url))
    booking = feed.book()
    store = feed.hub.parts.store
    kept = store.get(*booking.split("/"))
    assert kept is not None
    store.write(lambda tx: tx.keep({**kept.resource, "comment": "another text"}, origin="hub"))
    feed.deliver()
    assert len(receiver.events()) == 1


@pytest.mark.spec("facts/fhir", "1.6.classic")
def test_r4_criteria_put_the_resource_or_post_nothing(feed: Feeding, receiver: Receiver) -> None:
    whole = feed.subscription(receiver.url, "Appointment?status=booked,pending,proposed")
    feed.subscribe(whole)
    bare = feed.subscription(f"{receiver.url}/bare", "Appointment?status=cancelled")
    del bare["channel"]["payload"], bare["channel"]["_payload"]
    feed.subscribe(bare)
    assert [(g.method, g.path, g.body) for g in receiver.got] == [("POST", "/hook", b""), ("POST", "/hook/bare", b"")]
    booking = feed.book()
    while feed.deliver():
        pass
    put = receiver.got[2]
    assert (put.method, put.path) == ("PUT", f"/hook/{booking}") and json.loads(put.body) == feed.api.get(f"/{booking}").json()
    feed.cancel(booking)
    while feed.deliver():
        pass
    assert [(g.method, g.path, g.body) for g in receiver.got[3:]] == [("POST", "/hook/bare", b"")]
    assert all(g.signed_by(SECRET) for g in receiver.got)


@pytest.mark.spec("facts/fhir", "5.6")
def test_an_outage_of_hours_loses_nothing_and_keeps_the_order(feed: Feeding, receiver: Receiver) -> None:
    id_ = feed.subscribe(feed.subscription(receiver.url))
    receiver.answers = 503
    booking = feed.book("A")
    feed.deliver()
    feed.cancel(booking)
    others = [feed.book(name) for name in ("B", "C")]
    for _ in range(60):  # five hours
        feed.hub.clock.forward(minutes=5)
        feed.deliver()
    assert not receiver.events() and feed.api.get(f"/Subscription/{id_}").json()["status"] == "active"
    receiver.answers = 200
    feed.hub.clock.forward(minutes=5)
    while feed.deliver():
        pass
    told = receiver.events()
    assert sorted(g.number for g in told) == [1, 2, 3, 4]
    assert [g.number for g in told if g.status["focus"].endswith(booking)] == [1, 2]
    assert {g.status["focus"].rpartition("/fhir/")[2] for g in told} == {booking, *others}


@pytest.mark.parametrize(("said", "seconds"), [
    ("120", 120), ("1", 5), ("99999999999999999999", 3600), ("9" * 400, 3600), ("\u00b2", 5), ("-1", 5), ("soon", 5), ("Thu, 01 Jan 1970 00:00:00 GMT", 5),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 3600), ("Thu, 99 Foo 2026 00:00:00 GMT", 5),
])
@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_is_left_alone_for_as_long_as_it_asks(one: Feeding, receiver: Receiver, status: int, said: str, seconds: int) -> None:
    """An hour at most; what says nothing is passed over. It was not heeded, and a superscript two stopped the delivery for good."""
    one.subscribe(one.subscription(receiver.url))
    receiver.answers, receiver.retry_after = status, said
    one.book("A")
    assert one.deliver() == 1
    (owed,) = [d for d in one.hub.parts.store.deliveries((), "", None, 9) if d.function == "event"]
    assert (owed.state, owed.tries, round((owed.due_at - one.hub.clock.now).total_seconds())) == (State.DUE, 1, seconds)
    receiver.answers = 200
    one.hub.clock.forward(seconds=seconds - 1)
    assert one.deliver() == 0
    one.hub.clock.forward(seconds=1)
    assert one.deliver() == 1 and [g.number for g in receiver.events()] == [1]


@pytest.mark.spec("facts/fhir", "1.6.numbers")
def test_three_days_of_silence_end_in_error_and_the_client_begins_again(feed: Feeding, receiver: Receiver) -> None:
    id_ = feed.subscribe(feed.subscription(receiver.url))
    receiver.answers = 500
    feed.book("A")
    feed.deliver()
    feed.book("B")
    feed.hub.clock.forward(hours=73)
    feed.deliver()
    kept = feed.api.get(f"/Subscription/{id_}").json()
    assert kept["status"] == "error" and "HTTP 500" in kept["error"]
    assert not feed.hub.parts.store.deliveries((State.DUE, State.SENT), f"subscription-{id_}", None, 10), "what it did not hear waits no longer"
    receiver.answers = 200
    feed.book("C")
    assert feed.deliver() == 0, "nothing goes out by itself"
    again = feed.api.put(f"/Subscription/{id_}", json={**kept, "status": "requested"})
    assert again.status_code == 200 and "error" not in again.json()
    feed.deliver()
    feed.book("D")
    feed.deliver()
    assert [g.number for g in receiver.events()] == [4], "the three that were not heard have their numbers"
    missed = feed.api.get(f"/Subscription/{id_}/$events", params={"eventsSinceNumber": "1", "eventsUntilNumber": "3"}).json()
    assert [p["name"] for p in missed["entry"][0]["resource"]["parameter"]].count("notification-event") == 3


@pytest.mark.spec("facts/fhir", "1.6.numbers")
def test_events_are_counted_from_the_beginning_and_while_it_is_in_error_until_it_is_forgotten(feed: Feeding, receiver: Receiver) -> None:
    """Backport 1.1, errors.html: «a server SHALL increment the eventsSinceSubscriptionStart counter»; else the client sees no gap, and asks for nothing."""
    made = feed.api.post("/Subscription", json=feed.subscription(receiver.url))
    id_ = made.json()["id"]
    feed.book("A")
    assert feed.deliver() == 1 and not receiver.events(), "only the greeting: it was not active yet"
    feed.book("B")
    feed.deliver()
    assert [g.number for g in receiver.events()] == [2]
    receiver.answers = 500
    feed.book("C")
    feed.deliver()
    feed.hub.clock.forward(hours=73)
    feed.deliver()
    feed.book("D")
    told = feed.api.get(f"/Subscription/{id_}/$status").json()["entry"][0]["resource"]["parameter"]
    assert {p["name"]: p.get("valueString", p.get("valueCode")) for p in told}.items() >= {"status": "error", "events-since-subscription-start": "4"}.items()
    every = feed.api.get(f"/Subscription/{id_}/$events").json()["entry"][0]["resource"]["parameter"]
    assert [p["part"][0]["valueString"] for p in every if p["name"] == "notification-event"] == ["1", "2", "3", "4"]
    feed.hub.clock.forward(days=29)
    feed.beat()
    assert feed.api.get(f"/Subscription/{id_}").json()["status"] == "error"
    feed.hub.clock.forward(days=1)
    feed.beat()
    kept = feed.api.get(f"/Subscription/{id_}").json()
    assert kept["status"] == "off" and "30 dager" in kept["error"]
    feed.book("E")
    assert feed.hub.parts.store.feeds(lambda feeds: feeds.get(id_)).events == 4


@pytest.mark.spec("facts/fhir", "1.6.backport")
def test_status_and_events(feed: Feeding, receiver: Receiver) -> None:
    id_ = feed.subscribe(feed.subscription(receiver.url, content="full-resource"))
    bookings = [feed.book(name) for name in "ABC"]
    found = feed.api.get(f"/Subscription/{id_}/$status").json()
    assert found["type"] == "searchset"
    status = parameters(found["entry"][0]["resource"])
    assert (status["type"], status["status"], status["events-since-subscription-start"]) == ("query-status", "active", "3")
    events = feed.api.post(f"/Subscription/{id_}/$events", json={"resourceType": "Parameters", "parameter": [
        {"name": "eventsSinceNumber", "valueString": "2"}]}).json()
    assert events["type"] == "history" and [e["fullUrl"].rpartition("/fhir/")[2] for e in events["entry"][1:]] == bookings[1:]
    assert parameters(events["entry"][0]["resource"])["type"] == "query-event"
    empty = feed.api.get(f"/Subscription/{id_}/$events?content=empty").json()
    assert len(empty["entry"]) == 1 and "focus" not in json.dumps(empty)
    assert len(feed.api.get("/Subscription/$status?status=active").json()["entry"]) == 1
    assert "entry" not in feed.api.get("/Subscription/$status?status=off").json()
    assert number(feed.api.get(f"/Subscription/{id_}/$events?eventsSinceNumber=x")) == (400, "BB-403")
    for path in (f"/Subscription/{id_}/$status", f"/Subscription/{id_}/$events", f"/Subscription/{id_}"):
        assert feed.day.get(path).status_code == 404, "another client's is as unknown as none"
    assert "entry" not in feed.day.get("/Subscription/$status").json() and "entry" not in feed.day.get("/Subscription").json()


TOGETHER = {"extension": [{"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 3}, {"url": OURS, "valueString": SECRET}]}


def test_events_that_wait_go_together_as_many_as_the_client_takes(feed: Feeding, receiver: Receiver) -> None:
    """In the order of their numbers, none lost and none twice, whatever waited, was tried and failed, or came meanwhile; `$events` has each."""
    id_ = feed.subscribe(feed.subscription(receiver.url, content="full-resource", **TOGETHER))
    bookings = [feed.book(name) for name in ("B", "C0", "C1", "C2", "C3")]
    while feed.deliver():
        pass
    assert [g.numbers for g in receiver.events()] == [[1, 2, 3], [4, 5]]
    assert [g.status["events-since-subscription-start"] for g in receiver.events()] == ["3", "5"]
    kept = [feed.api.get(f"/{booking}").json() for booking in bookings]
    assert [e["resource"] for g in receiver.events() for e in g.bundle["entry"][1:]] == kept
    receiver.answers = 503
    feed.cancel(bookings[0])
    assert feed.deliver() == 1, "tried, so what it says is what every later try says"
    for booking in bookings[1:]:
        feed.cancel(booking)
    receiver.answers = 200
    for _ in range(5):
        feed.hub.clock.forward(minutes=5)
        feed.deliver()
    assert [g.numbers for g in receiver.events()][2:] == [[6], [7, 8, 9], [10]]
    events = feed.api.get(f"/Subscription/{id_}/$events").json()["entry"]
    told = [p["part"] for p in events[0]["resource"]["parameter"] if p["name"] == "notification-event"]
    assert [part[2]["valueReference"]["reference"].rpartition("/fhir/")[2] for part in told] == bookings * 2
    assert [e["resource"]["status"] for e in events[1:]] == ["pending"] * 5 + ["cancelled"] * 5
    assert len({g.headers["webhook-id"] for g in receiver.got}) == len(receiver.got)


def test_the_events_of_one_transaction_go_together(feed: Feeding, receiver: Receiver) -> None:
    """Slots made at once are five events and two notifications; with what left the client's sight named and not shown."""
    feed.subscribe(feed.subscription(receiver.url, f"{feed.base}/SubscriptionTopic/slot-availability", **TOGETHER))
    slots = feed.api.get("/Slot?_count=5&_sort=-start").json()["entry"]
    store = feed.hub.parts.store
    store.write(lambda tx: [tx.keep({**e["resource"], "status": "busy-unavailable"}, origin="hub") for e in slots])
    while feed.deliver():
        pass
    assert [g.numbers for g in receiver.events()] == [[1, 2, 3], [4, 5]]


def test_without_a_count_or_by_r4s_own_criteria_events_come_one_by_one(feed: Feeding, receiver: Receiver) -> None:
    feed.subscribe(feed.subscription(receiver.url))
    feed.subscribe(feed.subscription(f"{receiver.url}/r4", "Appointment?status=proposed,pending,booked", **TOGETHER))
    for n in range(3):
        feed.book(f"C{n}")
    while feed.deliver():
        pass
    assert sorted(g.numbers for g in receiver.events()) == [[1], [2], [3]]
    assert len([g for g in receiver.got if g.method == "PUT"]) == 3
    none = feed.subscription(receiver.url, extension=[{"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 0}])
    assert feed.api.post("/Subscription", json=none).status_code == 422


@pytest.mark.spec("facts/fhir", "1.6.backport")
def test_heartbeats_come_when_nothing_else_did(feed: Feeding, receiver: Receiver) -> None:
    extra = {"extension": [{"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 60}]}
    feed.subscribe(feed.subscription(receiver.url, **extra))
    feed.hub.clock.forward(seconds=50)
    feed.book()
    feed.beat()
    feed.deliver()
    feed.hub.clock.forward(seconds=50)
    feed.beat()
    assert feed.deliver() == 0, "the event told that we live"
    feed.hub.clock.forward(seconds=11)
    feed.beat()
    feed.beat()
    assert feed.deliver() == 1
    assert [g.kind for g in receiver.got] == ["handshake", "event-notification", "heartbeat"]
    assert receiver.got[-1].status["events-since-subscription-start"] == "1"
    receiver.answers = 503
    for _ in range(10):
        feed.hub.clock.forward(minutes=10)
        feed.beat()
        feed.deliver()
    assert len(feed.hub.parts.store.deliveries((State.DUE,), "", None, 50)) == 1, "one is enough to find out that nobody is there"


def test_a_receiver_that_is_gone_turns_the_subscription_off(feed: Feeding, receiver: Receiver) -> None:
    id_ = feed.subscribe(feed.subscription(receiver.url))
    receiver.answers = 410
    first, _ = feed.book("A"), feed.book("B")
    feed.deliver(1)
    kept = feed.api.get(f"/Subscription/{id_}").json()
    assert kept["status"] == "off" and kept["error"].startswith("BB-410")
    feed.book("C")
    receiver.answers = 200
    assert feed.deliver() == 0 and not receiver.events()
    assert [d.state for d in feed.hub.parts.store.deliveries_about(first) if d.adapter == f"subscription-{id_}"] == [State.FAILED]


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_greeting_that_is_not_answered_ends_in_error(one: Feeding, receiver: Receiver, status: int) -> None:
    receiver.answers = status
    id_ = one.api.post("/Subscription", json=one.subscription(receiver.url)).json()["id"]
    for _ in range(10):
        one.deliver()
        one.hub.clock.forward(seconds=15)
    kept = one.api.get(f"/Subscription/{id_}").json()
    assert kept["status"] == "error" and f"HTTP {status}" in kept["error"]
    receiver.answers = 200
    one.hub.clock.forward(hours=1)
    assert one.deliver() == 0


def test_an_event_that_the_receiver_refuses_stands_for_itself(one: Feeding, receiver: Receiver) -> None:
    id_ = one.subscribe(one.subscription(receiver.url))
    receiver.answers = 422
    one.book("A")
    one.deliver()
    receiver.answers = 200
    one.book("B")
    one.deliver()
    assert [g.number for g in receiver.events()] == [2] and one.api.get(f"/Subscription/{id_}").json()["status"] == "active"
    refused = one.hub.parts.store.deliveries((State.FAILED,), f"subscription-{id_}", None, 10)
    one.hub.parts.flow.settling.resend(refused[0].id, "operator:kari", "they have put it right")
    one.deliver()
    assert [g.number for g in receiver.events()] == [2, 1], "an operator sends it again, under its own number and id"
    assert receiver.events()[1].headers["webhook-id"] == refused[0].id


def test_the_secret_and_the_headers_are_nowhere_to_be_read(feed: Feeding, receiver: Receiver) -> None:
    id_ = feed.subscribe(feed.subscription(receiver.url))
    seen = [feed.api.get(f"/Subscription/{id_}{more}").text for more in ("", "/_history", "/_history/1", "?_elements=channel", "/$status")]
    seen += [feed.api.get("/Subscription").text, feed.api.get("/_history").text]
    connection = feed.hub.parts.store._database.connect()
    seen += [str(connection.rows(f"select * from {table}")) for table in ("resource", "version", "feed", "index_string", "index_token", "step", "content")]
    connection.close()
    for text in seen:
        assert SECRET not in text and SECRET.removeprefix("whsec_") not in text and "of-the-receiver" not in text
    kept = feed.api.get(f"/Subscription/{id_}").json()
    assert kept["channel"]["header"] == ["Authorization: ***"] and OURS not in str(kept)
    assert feed.api.put(f"/Subscription/{id_}", json={**kept, "reason": "as before"}).json()["status"] == "active"
    feed.book()
    feed.deliver()
    told = receiver.events()[0]
    assert told.signed_by(SECRET) and told.headers["authorization"] == "Bearer of-the-receiver", "what came back masked is as it was"


def test_a_client_hears_only_of_its_departments(feed: Feeding, receiver: Receiver) -> None:
    with receiving() as other:
        feed.subscribe(feed.subscription(receiver.url, content="full-resource"))
        id_ = feed.subscribe(feed.subscription(other.url, content="full-resource"), feed.day)
        feed.book("H", "hjemmesykepleie")
        day = feed.book("D", "dagsenter")
        while feed.deliver():
            pass
        assert len(receiver.events()) == 2
        assert [g.bundle["entry"][1]["fullUrl"] for g in other.events()] == [f"{feed.base}/{day}"] and other.events()[0].number == 1
    forbidden = feed.subscription(other.url, f"{feed.base}/SubscriptionTopic/encounter-lifecycle")
    assert number(feed.day.post("/Subscription", json=forbidden)) == (403, "BB-208")
    assert number(feed.day.post("/Subscription", json=feed.subscription(other.url, "Patient?active=true"))) == (403, "BB-208")
    mine = feed.api.get(f"/Subscription/{id_}")
    assert mine.status_code == 404
    assert number(feed.api.put(f"/Subscription/{id_}", json={**feed.subscription(other.url), "id": id_})) == (403, "BB-208")


def test_scopes_of_the_token_bound_what_is_heard(one: Feeding, receiver: Receiver) -> None:
    token = one.hub.ask(scope="system/Appointment.cruds").json()["access_token"]
    with one.hub.http(authorization=f"Bearer {token}") as client:
        assert client.post("/fhir/Subscription", json=one.subscription(receiver.url)).status_code == 403, "no scope for Subscription"


def test_who_is_no_longer_known_hears_no_more(one: Feeding, receiver: Receiver) -> None:
    one.subscribe(one.subscription(receiver.url))
    feeds = one.hub.parts.feeds
    known, feeds._known = feeds._known, lambda reference: None
    one.book("A")
    assert one.deliver() == 0
    feeds._known = known
    one.book("B")
    one.deliver()
    assert len(receiver.events()) == 1


def test_off_deleted_and_ended_subscriptions_hear_no_more(one: Feeding, receiver: Receiver) -> None:
    off, gone, ends = (one.subscribe(one.subscription(receiver.url)) for _ in range(3))
    receiver.answers = 503
    one.book("A")
    one.deliver()
    kept = one.api.get(f"/Subscription/{off}").json()
    assert one.api.put(f"/Subscription/{off}", json={**kept, "status": "off"}).json()["status"] == "off"
    assert one.api.delete(f"/Subscription/{gone}").status_code == 204 and one.api.get(f"/Subscription/{gone}/$status").status_code == 404
    kept = one.api.get(f"/Subscription/{ends}").json()
    one.api.put(f"/Subscription/{ends}", json={**kept, "end": (one.hub.clock.now.replace(hour=10)).isoformat()})
    one.hub.clock.forward(hours=2)
    one.beat()
    assert one.api.get(f"/Subscription/{ends}").json()["status"] == "off"
    receiver.answers = 200
    one.book("B")
    assert one.deliver() == 0 and not receiver.events()


@pytest.mark.spec("facts/fhir", "1.6.refused")
def test_what_is_not_offered_is_refused(one: Feeding, receiver: Receiver) -> None:
    good = one.subscription(receiver.url)

    def channel(**more: Any) -> dict[str, Any]:
        return {**good, "channel": {**good["channel"], **more}}

    def extension(url: str, **value: Any) -> dict[str, Any]:
        return channel(extension=[{"url": url, **value}])

    wrong = [
        {**good, "status": "active"}, {**good, "criteria": "https://example.org/SubscriptionTopic/x"}, {**good, "criteria": "Appointment?bogus=1"},
        {**good, "criteria": "Bogus?x=1"}, {**good, "criteria": "Subscription?status=active"}, {**good, "criteria": "Appointment?_count=3"},
        {**good, "criteria": f"Patient?identifier=urn:oid:2.16.578.1.12.4.1.4.1|{TOWN.persons[0].national_id}"},
        one.subscription(receiver.url, filters=("Appointment?date=2026-12-01",)), one.subscription(receiver.url, filters=("Slot?status=free",)),
        channel(type="email"), channel(payload="text/plain"), channel(header=["X: y\r\nEvil: z"]), channel(header=["Host: elsewhere"]),
        channel(header=["Authorization: ***"]), channel(endpoint="gopher://127.0.0.1/x"), extension(OURS, valueString="short"),
        extension(f"{BACKPORT}/backport-heartbeat-period", valueUnsignedInt=1), extension(f"{BACKPORT}/backport-heartbeat-period", valueString="x"),
        extension(f"{BACKPORT}/backport-timeout", valueUnsignedInt=600),
        channel(_payload={"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "everything"}]}),
        channel(_type={"extension": [{"url": f"{BACKPORT}/backport-channel-type", "valueCoding": {"code": "zulip"}}]}),
    ]
    for each in wrong:
        answer = one.api.post("/Subscription", json=each)
        assert answer.status_code in (400, 422) and answer.json()["issue"][0]["details"]["coding"][0]["code"] in ("BB-428", "BB-403", "BB-201"), (
            each, answer.text)
        assert TOWN.persons[0].national_id not in answer.text
    assert "entry" not in one.api.get("/Subscription").json() and one.hub.parts.store.feeds(lambda feeds: feeds.all()) == []


def test_topics_are_published(one: Feeding) -> None:
    statement = one.api.get("/metadata").json()
    row = next(r for r in statement["rest"][0]["resource"] if r["type"] == "Subscription")
    topics = [e["valueCanonical"] for e in row["extension"]]
    assert len(topics) == 3 and all(t.startswith(one.base) for t in topics)
    for url in topics:
        basic = one.day.get(url).json()
        assert basic["resourceType"] == "Basic" and url in json.dumps(basic)
        assert one.api.post("/Basic/$validate", json=basic).json()["issue"][0]["severity"] == "information"
    assert one.api.get("/SubscriptionTopic/none").status_code == 404


def test_a_change_that_is_rolled_back_tells_nobody(feed: Feeding, receiver: Receiver) -> None:
    id_ = feed.subscribe(feed.subscription(receiver.url))
    booking = feed.booking("T")
    refused = feed.api.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "POST", "url": "Appointment"}, "resource": booking},
        {"request": {"method": "POST", "url": "Device"}, "resource": {"resourceType": "Device", "status": "bogus"}}]})
    assert refused.status_code == 422
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda _: feed.api.post("/Appointment", json=booking).status_code, range(2))) == [200, 201]
    while feed.deliver():
        pass
    assert [g.number for g in receiver.events()] == [1]
    assert parameters(feed.api.get(f"/Subscription/{id_}/$status").json()["entry"][0]["resource"])["events-since-subscription-start"] == "1"


def test_no_key_is_needed_to_keep_a_change(one: Feeding, receiver: Receiver) -> None:
    """A database that was put back beside another content.key must still take bookings."""
    one.subscribe(one.subscription(receiver.url))
    one.hub.parts.store._write(lambda connection: connection.run("update feed set hidden = ?", (b"sealed by another key",)))
    one.book("A")
    assert [f.events for f in one.hub.parts.store.feeds(lambda feeds: feeds.listening())] == [1]


def test_what_leaves_a_filter_is_told_once(feed: Feeding, receiver: Receiver) -> None:
    feed.subscribe(feed.subscription(receiver.url, content="full-resource", filters=("Appointment?status=proposed,pending,booked",)))
    booking = feed.book()
    feed.cancel(booking)
    kept = feed.hub.parts.store.get(*booking.split("/"))
    assert kept is not None
    feed.hub.parts.store.write(lambda tx: tx.keep({**kept.resource, "cancelationReason": {"text": "another"}}, origin="hub"))
    while feed.deliver():
        pass
    told = receiver.events()
    assert [g.bundle["entry"][1]["resource"]["status"] for g in told] == ["pending", "cancelled"], "not of what it was out of before"


def test_what_leaves_a_client_s_departments_is_named_and_not_shown(feed: Feeding, receiver: Receiver) -> None:
    feed.subscribe(feed.subscription(receiver.url, content="full-resource"), feed.day)
    booking = feed.book(department="dagsenter")
    kept = feed.hub.parts.store.get(*booking.split("/"))
    assert kept is not None
    elsewhere = json.loads(kept.body.replace(b"HealthcareService/dagsenter", b"HealthcareService/hjemmesykepleie"))
    feed.hub.parts.store.write(lambda tx: tx.keep(elsewhere, origin="hub"))
    while feed.deliver():
        pass
    first, last = receiver.events()
    assert len(first.bundle["entry"]) == 2 and len(last.bundle["entry"]) == 1
    assert last.status["focus"].endswith(booking) and b"Patient/" not in last.body
    assert feed.day.get(f"/{booking}").status_code == 404


@pytest.mark.parametrize("criteria", ["", "Appointment?status=proposed,pending"])
def test_a_payload_may_be_xml(feed: Feeding, receiver: Receiver, criteria: str) -> None:
    feed.subscribe(feed.subscription(receiver.url, criteria, "full-resource", payload="application/fhir+xml"))
    booking = feed.book()
    feed.deliver()
    got = receiver.got[-1]
    assert got.headers["content-type"] == "application/fhir+xml" and got.signed_by(SECRET)
    told = json.dumps(from_xml(got.body, definitions.load()))
    assert booking.partition("/")[2] in told and f'"resourceType": "{"Appointment" if criteria else "Bundle"}"' in told


def test_a_deleted_subscription_was_there_for_its_client_only(feed: Feeding, receiver: Receiver) -> None:
    id_ = feed.subscribe(feed.subscription(receiver.url))
    assert feed.api.delete(f"/Subscription/{id_}").status_code == 204
    assert number(feed.api.get(f"/Subscription/{id_}")) == (410, "BB-402")
    assert feed.api.get(f"/Subscription/{id_}/_history").json()["total"] == 3 and feed.api.get(f"/Subscription/{id_}/_history/1").status_code == 200
    for address in ("", "/_history", "/_history/1"):
        assert feed.day.get(f"/Subscription/{id_}{address}").status_code == 404
