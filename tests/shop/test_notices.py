"""Notices: who is told what, when, once; and that no notice tells anybody anything they should not read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from customers import booking, customers, first_free, order
from hubs import World
from hypothesis import given
from hypothesis import strategies as st

from adapters.carriers.email import EmailCarrier
from adapters.carriers.memory import MemoryCarrier
from adapters.demo.processes import free_ports
from adapters.formats.notice import NoticeFormat
from adapters.seals.plain import plain
from hub.adapter import Adapter, Surroundings
from hub.booking.clock import at, local
from hub.booking.conventions import url
from hub.booking.notices import Kind, Level, contacts, loud, reminded_at, text
from hub.customer import Customer
from hub.delivery import State
from hub.keeping import Speaker
from hub.message import Parcel, Resources
from hub.noticing import Noticing
from hub.problem import Refused, Unavailable
from hub.shop import Shop

PHONE, OTHER = "+47 999 00 001", "+47 999 00 002"


class Town:
    """A world whose hub sends SMS, and people with telephones."""

    def __init__(self, world: World) -> None:
        self.world, self.sms = world, MemoryCarrier()
        around = Surroundings(world.home / "hub", "sms", "sms", "1", "Solbakken kommune")
        world.adapters["sms"] = Adapter("sms", "sms", self.sms, plain(around), NoticeFormat(), frozenset({"notice-sms"}), answer_due=False)
        noticing = Noticing(world.adapters, "Solbakken kommune", "55 00 00 00")
        self.keeping = replace(world.keeping, notify=noticing)
        world.store.on_changed(noticing.follow)
        self.shop = Shop(world.store, self.keeping)
        self.kari = customers(world)[0]
        self.tell(self.kari.person, PHONE)

    def tell(self, reference: str, number: str, level: str = "", **more: Any) -> None:
        kind, _, id_ = reference.partition("/")
        kept = self.world.store.get(kind, id_)
        assert kept is not None
        changed = {**kept.resource, "telecom": [{"system": "phone", "use": "mobile", "value": number}], **more}
        if level:
            changed["extension"] = [{"url": url("notice-level"), "valueCode": level}]
        self.world.store.write(lambda tx: tx.keep(changed, origin="test"))

    def epj(self, id_: str, **stated: Any) -> None:
        speaker = Speaker.of(self.world.adapters["visma-profil"])
        self.world.store.write(lambda tx: self.keeping.keep(tx, speaker, Resources(({"resourceType": "Appointment", "id": id_, **stated},))))

    def sent(self, after: timedelta = timedelta(minutes=3)) -> list[dict[str, str]]:
        """What leaves within so long from now."""
        self.world.clock.now += after
        while self.world.deliver():
            pass
        found = [json.loads(parcel.body) for parcel in self.sms.sent]
        self.sms.sent.clear()
        return found

    def kinds(self, after: timedelta = timedelta(minutes=3)) -> list[Kind]:
        return [kind_of(notice) for notice in self.sent(after)]


def kind_of(notice: dict[str, str]) -> Kind:
    return next(k for k in Kind if notice["text"] == text(k, "Solbakken kommune", "55 00 00 00"))


@pytest.fixture
def town(world: World) -> Town:
    return Town(world)


def test_a_booking_is_told_once_its_answer_too_and_the_day_before_at_ten(town: Town) -> None:
    start = first_free(town.world, town.kari, days_ahead=5)
    id_ = town.shop.book(town.kari, order("k", start))
    (notice,) = town.sent()
    assert notice["to"] == PHONE.replace(" ", "") and kind_of(notice) is Kind.RECEIPT
    town.epj(id_, status="booked")
    assert town.kinds() == [Kind.CONFIRMED]
    ten = at(local(start).date() - timedelta(days=1), time(10))
    assert town.kinds(ten - town.world.clock.now - timedelta(minutes=1)) == []
    assert town.kinds(timedelta(minutes=1)) == [Kind.REMINDER]
    assert town.kinds(timedelta(days=3)) == []


def test_cancelled_and_booked_again_is_one_moved(town: Town) -> None:
    first, second = first_free(town.world, town.kari, days_ahead=5), first_free(town.world, town.kari, days_ahead=6)
    id_ = town.shop.book(town.kari, order("a", first))
    town.sent()
    town.shop.cancel(town.kari, id_)
    town.shop.book(town.kari, order("b", second))
    assert town.kinds() == [Kind.MOVED]
    reminders = [d for d in town.world.store.deliveries_about(f"Appointment/{id_}") if d.note == Kind.REMINDER]
    assert [d.state for d in reminders] == [State.SUPERSEDED], "nobody is reminded of a cancelled visit"


def test_a_move_by_the_service_is_told_and_the_reminder_follows(town: Town) -> None:
    old, new = first_free(town.world, town.kari, days_ahead=5), first_free(town.world, town.kari, days_ahead=8)
    id_ = town.shop.book(town.kari, order("a", old))
    town.sent()
    town.epj(id_, status="booked", start=new.isoformat())
    assert town.kinds() == [Kind.MOVED] and booking(town.world, id_).start == new
    assert town.kinds(at(local(old).date(), time(12)) - town.world.clock.now) == []
    assert town.kinds(at(local(new).date() - timedelta(days=1), time(12)) - town.world.clock.now) == [Kind.REMINDER]


def test_at_night_nobody_is_woken(town: Town) -> None:
    start = first_free(town.world, town.kari, days_ahead=5)
    town.world.clock.now = at(local(town.world.clock.now).date(), time(22, 30))
    town.shop.book(town.kari, order("a", start))
    assert town.kinds(timedelta(hours=8)) == []
    assert town.kinds(timedelta(minutes=31)) == [Kind.RECEIPT]


def test_a_cancellation_in_the_night_is_not_lost_behind_a_confirmation(town: Town) -> None:
    first, second = (first_free(town.world, town.kari, days_ahead=n) for n in (5, 6))
    ids = [town.shop.book(town.kari, order(f"k{n}", at_)) for n, at_ in enumerate((first, second))]
    town.epj(ids[0], status="booked")
    town.sent()
    town.world.clock.now = at(local(town.world.clock.now).date(), time(22))
    town.epj(ids[0], status="cancelled")
    town.world.clock.now += timedelta(hours=1)
    town.epj(ids[1], status="booked")
    assert town.kinds(timedelta(hours=9)) == [Kind.CANCELLED]


def test_cancelled_booked_again_and_confirmed_at_once_is_one_moved_also_for_who_hears_of_changes_only(town: Town) -> None:
    for level in ("normal", "begrenset"):
        town.tell(town.kari.person, PHONE, level)
        id_ = town.shop.book(town.kari, order(f"a{level}", first_free(town.world, town.kari, days_ahead=5)))
        town.sent()
        town.shop.cancel(town.kari, id_)
        again = town.shop.book(town.kari, order(f"b{level}", first_free(town.world, town.kari, days_ahead=6)))
        town.epj(again, status="booked")
        assert town.kinds() == [Kind.MOVED], level


class Down(MemoryCarrier):
    """A gateway that is down until it is not."""

    up = False

    def send(self, parcel: Parcel) -> Parcel | None:
        if not self.up:
            raise Unavailable("the gateway is down")
        return super().send(parcel)


def test_what_could_not_be_sent_in_time_wakes_nobody_at_night_and_is_no_lie_the_day_after(town: Town) -> None:
    gateway = Down()
    town.sms = gateway
    town.world.adapters["sms"] = replace(town.world.adapters["sms"], carrier=gateway)
    start = first_free(town.world, town.kari, days_ahead=3)
    town.shop.book(town.kari, order("a", start))
    evening = at(local(town.world.clock.now).date(), time(20, 57))
    assert town.kinds(evening - town.world.clock.now) == []
    gateway.up = True
    assert town.kinds(timedelta(minutes=4)) == [] and town.kinds(timedelta(hours=5)) == [], "it is night"
    assert town.kinds(timedelta(hours=5)) == [Kind.RECEIPT]
    gateway.up = False
    assert town.kinds(at(local(start).date() - timedelta(days=1), time(10, 1)) - town.world.clock.now) == []
    gateway.up = True
    assert town.kinds(at(local(start).date(), time(7, 1)) - town.world.clock.now) == [], "the visit is not tomorrow any more"


@pytest.mark.parametrize("change", ["level", "number", "protected"])
def test_what_waits_to_be_sent_is_asked_for_again_when_it_leaves(town: Town, change: str) -> None:
    start = first_free(town.world, town.kari, days_ahead=5)
    town.shop.book(town.kari, order("a", start))
    town.sent()
    town.tell(town.kari.person, OTHER if change == "number" else PHONE, "ingen" if change == "level" else "", **({"active": True}))
    if change == "protected":
        label = {"security": [{"system": "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality", "code": "strengtFortrolig"}]}
        town.tell(town.kari.person, PHONE, meta=label)
    day_before = at(local(start).date() - timedelta(days=1), time(12)) - town.world.clock.now
    to = {"level": [], "number": [OTHER], "protected": [PHONE]}[change]  # the person's own is theirs to have, at the number they have now
    assert [(n["to"], kind_of(n)) for n in town.sent(day_before)] == [(number.replace(" ", ""), Kind.REMINDER) for number in to]


def test_whoever_gets_a_number_a_wish_or_a_mandate_later_is_reminded_once(town: Town) -> None:
    """Also when the number was another for a while: one reminder, at the number of the day before."""
    able = {c.person: c for c in customers(town.world)}
    person, relative = next((p, r) for p, r in relatives(town, "varsler") if p in able)
    mandate = next(r for r in town.world.town.resources if r["resourceType"] == "Consent" and r["patient"]["reference"] == person)
    town.world.store.write(lambda tx: tx.keep({**mandate, "status": "inactive"}, origin="test"))
    town.tell(person, PHONE, "ingen")
    town.tell(relative, OTHER)
    start = first_free(town.world, able[person], days_ahead=5)
    town.shop.book(able[person], order("a", start))
    assert town.sent() == []
    for number in (OTHER, PHONE, "+47 999 00 003", PHONE):
        town.tell(person, number, "normal")
    town.world.store.write(lambda tx: tx.keep(mandate, origin="portal"))
    reminded = town.sent(at(local(start).date() - timedelta(days=1), time(12)) - town.world.clock.now)
    assert sorted((n["to"], kind_of(n)) for n in reminded) == [(n.replace(" ", ""), Kind.REMINDER) for n in (PHONE, OTHER)]
    town.tell(person, "+47 999 00 004", "normal")
    assert town.sent(timedelta(hours=3)) == [], "what was told is not told again"


def test_a_relative_whose_mandate_ended_hears_no_more_not_even_what_was_owed(town: Town) -> None:
    able = {c.person: c for c in customers(town.world)}
    person, relative = next((p, r) for p, r in relatives(town, "varsler") if p in able)
    town.tell(relative, OTHER)
    start = first_free(town.world, able[person], days_ahead=5)
    town.shop.book(able[person], order("a", start))
    assert OTHER.replace(" ", "") in [n["to"] for n in town.sent()]
    consent = next(r for r in town.world.town.resources if r["resourceType"] == "Consent" and r["patient"]["reference"] == person)
    kept = town.world.store.get("Consent", consent["id"])
    assert kept is not None
    town.world.store.write(lambda tx: tx.keep({**kept.resource, "status": "inactive"}, origin="test"))
    reminded = town.sent(at(local(start).date() - timedelta(days=1), time(12)) - town.world.clock.now)
    assert OTHER.replace(" ", "") not in [n["to"] for n in reminded]


@pytest.mark.parametrize("day", [date(2027, 3, 28), date(2027, 10, 31)])
def test_the_reminder_is_at_ten_by_the_clock_on_the_wall_also_when_it_is_changed(day: date) -> None:
    for on in (day, day + timedelta(days=1)):
        visit = {"start": at(on, time(9)).isoformat()}
        due, ends = reminded_at(visit, at(on - timedelta(days=5), time(9))) or (None, None)
        assert due is not None and ends is not None
        assert (local(due).date(), local(due).time(), local(ends).time()) == (on - timedelta(days=1), time(10), time(21))


@pytest.mark.parametrize(("level", "expected"), [
    ("ingen", []), ("begrenset", []), ("normal", [Kind.RECEIPT, Kind.CONFIRMED]), ("full", [Kind.RECEIPT, Kind.CONFIRMED, Kind.COMPLETED]),
])
def test_people_hear_as_much_as_they_want(town: Town, level: str, expected: list[Kind]) -> None:
    town.tell(town.kari.person, PHONE, level)
    id_ = town.shop.book(town.kari, order("a", first_free(town.world, town.kari)))
    heard = town.kinds()
    town.epj(id_, status="booked")
    heard += town.kinds()
    town.epj(id_, status="fulfilled")
    assert [k for k in heard + town.kinds() if k is not Kind.REMINDER] == expected


def relatives(town: Town, scope: str) -> list[tuple[str, str]]:
    """(person, relative) of every mandate that holds and has, or has not, this scope."""
    found = []
    for resource in town.world.town.resources:
        if resource["resourceType"] == "Consent" and "end" not in resource["provision"]["period"]:
            codes = {c["coding"][0]["code"] for c in resource["provision"]["code"]}
            if scope in codes:
                found.append((resource["patient"]["reference"], resource["provision"]["actor"][0]["reference"]["reference"]))
    return found


def test_a_relative_with_the_mandate_to_hears_and_the_same_number_hears_once(town: Town) -> None:
    able = {c.person: c for c in customers(town.world)}
    person, relative = next((p, r) for p, r in relatives(town, "varsler") if p in able)
    who: Customer = able[person]
    town.tell(person, PHONE)
    town.tell(relative, OTHER)
    town.shop.book(who, order("a", first_free(town.world, who)))
    assert sorted(n["to"] for n in town.sent()) == [PHONE.replace(" ", ""), OTHER.replace(" ", "")]
    town.tell(relative, PHONE)
    town.shop.book(who, order("b", first_free(town.world, who, days_ahead=3)))
    assert [n["to"] for n in town.sent() if kind_of(n) is Kind.RECEIPT] == [PHONE.replace(" ", "")]


def test_nobody_else_hears_of_a_protected_person(town: Town) -> None:
    able = {c.person: c for c in customers(town.world)}
    person, relative = next((p, r) for p, r in relatives(town, "varsler") if p in able)
    label = {"security": [{"system": "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality", "code": "strengtFortrolig"}]}
    town.tell(relative, OTHER)
    town.tell(person, PHONE, meta=label)
    town.shop.book(able[person], order("a", first_free(town.world, able[person])))
    assert [n["to"] for n in town.sent()] == [PHONE.replace(" ", "")]


def test_no_notice_tells_a_name_a_service_a_time_or_where_to_log_in(town: Town) -> None:
    for kind in Kind:
        said = text(kind, "Solbakken kommune", "55 00 00 00")
        assert len(said) <= 160 * 2 and not re.search(r"http|www|sykepleie|bistand|avlastning|besøk|pleie|helse|kl\.|\d{2}:\d{2}", said, re.IGNORECASE), said
    names = {p.name.split()[0] for p in town.world.town.persons}
    assert not any(name in text(kind, "Solbakken kommune", "55 00 00 00") for kind in Kind for name in names)


def test_a_number_stands_in_no_column_that_is_read(town: Town) -> None:
    town.shop.book(town.kari, order("a", first_free(town.world, town.kari)))
    rows = town.world.store.write(lambda tx: [tx.connection.rows(f"select * from {table}") for table in ("delivery", "step", "audit")])
    assert "99900001" not in str(rows)


def test_without_a_carrier_nothing_is_owed(world: World) -> None:
    keeping = replace(world.keeping, notify=Noticing(world.adapters, "Solbakken kommune", "55 00 00 00"))
    kari = customers(world)[0]
    id_ = Shop(world.store, keeping).book(kari, order("a", first_free(world, kari)))
    assert {d.function for d in world.store.deliveries_about(f"Appointment/{id_}")} == {"booking"}


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30)))
def test_what_is_said_is_said_by_day_and_never_earlier(wall: datetime) -> None:
    moment = at(wall.date(), wall.time())
    said = loud(moment)
    assert moment <= said <= moment + timedelta(hours=11) and time(7) <= local(said).time() < time(21)
    assert loud(said) == said


@given(st.lists(st.tuples(st.sampled_from(("sms", "phone", "email")), st.sampled_from(("1", "2")), st.sampled_from(list(Level))), max_size=5))
def test_every_address_once_and_as_much_as_whoever_wants_most(people: list[tuple[str, str, Level]]) -> None:
    made = [{"telecom": [{"system": s, "value": v}], "extension": [{"url": url("notice-level"), "valueCode": level.value}]} for s, v, level in people]
    found = contacts(made[0], made[1:]) if made else []
    assert len({(c.channel, c.address) for c in found}) == len(found)
    order_ = list(Level)
    for c in found:
        same = [level for s, v, level in people if v == c.address and (s == "email") == (c.channel == "email")]
        assert order_.index(c.level) == max(order_.index(level) for level in same)


class Mailbox:
    """What a real mail server got, and whom it refuses."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:
        if address.startswith("no"):
            return "550 no such mailbox"
        if address.startswith("later"):
            return "451 try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:
        self.got.append(envelope.content)
        return "250 OK"


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, EmailCarrier, int]]:
    """What comes, what sends it there, and the server's port."""
    box = Mailbox()
    (port,) = free_ports(1)
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    settings = {"host": "127.0.0.1", "port": port, "sender": "ikke-svar@solbakken.example", "tls": "none"}
    yield box, EmailCarrier(Surroundings(Path("."), "epost", "epost", "1", "Solbakken kommune", settings)), port
    server.stop()


def parcel(to: str) -> Parcel:
    return Parcel({"x-message-id": "n-1"}, json.dumps({"to": to, "text": text(Kind.REMINDER, "Solbakken kommune", "55 00 00 00")}).encode())


def test_an_e_mail_reaches_a_real_server_and_its_no_is_told_apart_from_later(mail: tuple[Mailbox, EmailCarrier, int], tmp_path: Path) -> None:
    box, carrier, port = mail
    assert carrier.send(parcel("kari@example.org")) is None
    assert b"Message-ID: <n-1@solbakken.example>" in box.got[0] and b"Melding fra Solbakken kommune" in box.got[0]
    with pytest.raises(Refused):
        carrier.send(parcel("nobody@example.org"))
    with pytest.raises(Unavailable):
        carrier.send(parcel("later@example.org"))
    wrong = tmp_path / "wrong"
    wrong.write_text("feil")
    login = {"host": "127.0.0.1", "port": port, "sender": "a@b.c", "tls": "none", "user": "hub", "password_file": "wrong"}
    with pytest.raises(Unavailable):  # the server lets nobody in: about us, not about the notice
        EmailCarrier(Surroundings(tmp_path, "e", "e", "1", "x", login)).send(parcel("kari@example.org"))
    with pytest.raises(Unavailable):
        EmailCarrier(Surroundings(Path("."), "e", "e", "1", "x", {"host": "127.0.0.1", "port": 1, "sender": "a@b", "tls": "none"})).send(parcel("a@b.c"))

