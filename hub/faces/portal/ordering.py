"""Ordering in the portal: choose a service, a day and a time; confirm; move; cancel. Plain links and forms, one question a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.access import Scope
from hub.booking import Booking, Department
from hub.booking.clock import read
from hub.booking.views import Status, is_booking
from hub.customer import Customer, Order
from hub.faces import words
from hub.faces.context import Context
from hub.faces.portal import choosing, series, visits
from hub.faces.portal.page import missing, shown
from hub.faces.portal.viewer import Viewer
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.problem import Problem, Refused
from hub.shop import HELD_FOR

Ordering = Callable[[Context, Asked, Viewer], Answer]
SORRY = {
    Problem.FULL: "Denne tiden ble nettopp tatt av noen andre.",
    Problem.HOLD_EXPIRED: "Det tok litt tid, så tiden holdes ikke av for deg lenger.",
    Problem.TOO_LATE: "Fristen for dette på nett er gått ut.",
    Problem.DECISION_USED_UP: "{} har brukt det som er innvilget i denne perioden.",
    Problem.OVERLAPS_OWN: "{} har allerede et besøk på dette tidspunktet.",
    Problem.NOT_ALLOWED: "Denne tjenesten kan ikke bestilles på nett av deg.",
}
"""What a page says of a refusal, to whoever is visited or of them by name; any other in the words of the problem table."""
CLOSED = {"flytt": "Besøket kan ikke flyttes på nett lenger.", "avbestill": "Besøket kan ikke avbestilles på nett lenger."}
"""What the visit's own page says to whoever comes too late."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is ordered from: a department, and the visit that is moved, if one is."""

    department: Department
    path: str
    moved: Booking | None = None
    chosen: int = 0
    """Minutes that were chosen; 0: none."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """What there is to choose between; empty: nothing."""
        lengths = () if self.moved else tuple(sorted({*self.department.lengths, self.department.visit_minutes}))
        return lengths if len(lengths) > 1 else ()

    @property
    def minutes(self) -> int:
        if self.chosen in self.lengths:
            return self.chosen
        return round((self.moved.end - self.moved.start).total_seconds() / 60) if self.moved else self.department.visit_minutes


def may_order(viewer: Viewer, now: datetime) -> bool:
    return viewer.may(Scope.BOOK, now)


def open_to_change(context: Context, viewer: Viewer, id: str, now: datetime) -> tuple[bool, bool]:
    """(may be moved, may be cancelled) here and now, by this viewer: what decides whether the buttons are there."""
    booking = _booking(context, viewer, id)
    if booking is None or booking.status not in (Status.PENDING, Status.BOOKED) or not may_order(viewer, now):
        return False, False
    department = _department(context, booking.department)
    if department is None or customer(viewer).asker not in department.askers:
        return False, False
    return tuple(booking.start >= now + timedelta(minutes=m) for m in (department.move_minutes, department.cancel_minutes))  # type: ignore[return-value]


def customer(viewer: Viewer) -> Customer:
    return Customer.of(viewer.reader, viewer.person.reference)


def services(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /bestill: what can be ordered, and what is used of what is granted."""
    bookable = (s for s in context.shop.services(seen.person.reference, asked.now) if customer(seen).asker in s.department.askers)
    return _page("portal/order.html", asked, seen, offers=choosing.offers(bookable, asked.now), audit="balances")


def times(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /bestill/<service> and /besok/<id>/flytt: the days, and the times of the chosen one."""
    target = target_of(context, asked, seen)
    return _closed(context, asked, seen, "flytt") if target is None else _times(context, asked, seen, target)


def _times(context: Context, asked: Asked, seen: Viewer, target: Target, *, sorry: Refused | None = None, status: int = 200) -> Page:
    who, moves = customer(seen), target.moved.id if target.moved else ""
    days = context.shop.free(who, target.department.code, asked.now, target.minutes, moves)
    day = choosing.chosen_day(days, asked.query.get("dag", asked.form.get("dag", "")))
    return _page(
        "portal/times.html", asked, seen, target=target,
        cells=choosing.cells(days, day.day if day else None, target.path, target.minutes if target.lengths else 0),
        day=choosing.day_name(day, asked.now) if day else "", parts=choosing.parts_of_day(day.times) if day else (), sorry=_sorry(sorry, seen),
        near=_near(context, asked, seen, target) if sorry else (), old=_said(target.moved, asked.now),
        stands=_stands(target.moved, asked.now), key=context.token(9), status=status,
        lengths=[(n, choosing.length_said(n), n == target.minutes) for n in target.lengths],
    )


def hold(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST of a chosen time: holds it and asks for confirmation."""
    target = target_of(context, asked, seen)
    if target is None:
        return _closed(context, asked, seen, "flytt")
    try:
        held = context.shop.hold(customer(seen), _order(asked, target))
    except Refused as refused:
        return _times(context, asked, seen, target, sorry=refused, status=409)
    return _page(
        "portal/confirm.html", asked, seen, target=target, order=held.order, start=words.day(held.order.start, asked.now),
        time=words.span(held.order.start, held.order.end), until=words.clock(held.until), minutes=HELD_FOR // timedelta(minutes=1),
        stands=_stands(target.moved, asked.now), deadline=_deadline(held.order.start, target.department.cancel_minutes, asked.now),
        answer=answer_said(target.department), weekday=words.DAYS[words.local(held.order.start).weekday()], clock=words.clock(held.order.start),
    )


def confirm(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST of the confirmation: the booking is made or moved; the receipt is the visit's own page."""
    target = target_of(context, asked, seen)
    if target is None:
        return _closed(context, asked, seen, "flytt")
    try:
        id_ = context.shop.confirm(customer(seen), _order(asked, target))
    except Refused as refused:
        return _times(context, asked, seen, target, sorry=refused, status=409)
    if asked.form.get("gjenta") == "ja" and not target.moved:
        return series.start(context, customer(seen), _order(asked, target), asked.form.get("ikke", ""))
    return Redirect(f"/besok/{id_}?{'flyttet' if target.moved else 'ny'}=1")


def leave(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST: the held time is let go."""
    target = target_of(context, asked, seen)
    context.shop.release(customer(seen))
    return Redirect(target.path if target else "/bestill")


def ask_cancel(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /besok/<id>/avbestill: says what happens, and asks once."""
    card = visits.one(context.store, seen, asked.params["id"], asked.now)
    if card is None or not open_to_change(context, seen, card.id, asked.now)[1]:
        return _closed(context, asked, seen, "avbestill")
    return _page("portal/cancel.html", asked, seen, card=card)


def cancel(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /besok/<id>/avbestill."""
    id_ = asked.params["id"]
    if _booking(context, seen, id_) is None or not may_order(seen, asked.now):
        return missing(asked, seen)
    try:
        context.shop.cancel(customer(seen), id_, asked.form.get("grunn", "").strip()[:200])
    except Refused as refused:
        if refused.problem not in (Problem.TOO_LATE, Problem.IMPOSSIBLE_CHANGE):
            raise
        return _closed(context, asked, seen, "avbestill")  # the time went by while the page was open, or somebody else changed the visit
    return Redirect(f"/besok/{id_}?avbestilt=1")


def _closed(context: Context, asked: Asked, seen: Viewer, wish: str) -> Answer:
    """What cannot be done any more is told on the visit's own page; of one that is cancelled or done its status says it. A visit that is not the
    person's, or a service they cannot order, does not exist."""
    booking = _booking(context, seen, asked.params.get("id", ""))
    if booking is not None and booking.status not in (Status.PENDING, Status.BOOKED):
        return Redirect(f"/besok/{booking.id}")
    return missing(asked, seen) if booking is None else Redirect(f"/besok/{booking.id}?stengt={wish}")


def target_of(context: Context, asked: Asked, seen: Viewer) -> Target | None:
    """What the address names, if this viewer may order it."""
    if not may_order(seen, asked.now):
        return None
    if "id" in asked.params:
        booking = _booking(context, seen, asked.params["id"])
        if booking is None or not open_to_change(context, seen, booking.id, asked.now)[0]:
            return None
        department = _department(context, booking.department)
        return Target(department, f"/besok/{booking.id}/flytt", booking) if department else None
    found = [s.department for s in context.shop.services(seen.person.reference, asked.now)]
    department = next((d for d in found if choosing.service_key(d.code) == asked.params["service"]), None)
    told = asked.query.get("minutter", asked.form.get("minutter", ""))
    chosen = int(told) if told.isascii() and told.isdecimal() and len(told) < 5 else 0
    return Target(department, f"/bestill/{asked.params['service']}", chosen=chosen) if department else None


def _order(asked: Asked, target: Target) -> Order:
    """The order that a form names. Raises Refused INVALID, NO_SUCH_TIME."""
    start = read(asked.form.get("tid", ""), "tid")
    return Order(asked.form.get("bestilling", "")[:40], target.department.code, start, target.minutes, target.moved.id if target.moved else "")


def _near(context: Context, asked: Asked, seen: Viewer, target: Target) -> tuple[choosing.TimeButton, ...]:
    """The nearest times instead, with their day."""
    try:
        order = _order(asked, target)
    except Refused:
        return ()
    found = context.shop.nearest(customer(seen), order, asked.now)
    return tuple(choosing.TimeButton(choosing.button(t).value, f"{words.day(t.start, asked.now)} {words.span(t.start, t.end)}") for t in found)


def _sorry(refused: Refused | None, seen: Viewer) -> str:
    return "" if refused is None else SORRY.get(refused.problem, refused.problem.text).format("Du" if seen.own else seen.first_name)


def _said(booking: Booking | None, now: datetime) -> str:
    return f"{words.day(booking.start, now)} {words.span(booking.start, booking.end)}" if booking else ""


def _stands(booking: Booking | None, now: datetime) -> str:
    """The confirmed time that the person keeps while another is asked for; empty where none is confirmed."""
    if booking is None or (booking.before is None and booking.status is not Status.BOOKED):
        return ""
    first, last = booking.before or (booking.start, booking.end)
    return f"{words.day(first, now)} {words.span(first, last)}"


def _deadline(start: datetime, minutes: int, now: datetime) -> str:
    return words.when(start - timedelta(minutes=minutes), now)


def answer_said(department: Department) -> str:
    """When the service answers: `innen én virkedag`, `innen 4 timer`."""
    hours = department.answer_hours
    return "innen én virkedag" if hours == 24 else f"innen {hours // 24} virkedager" if hours % 24 == 0 else f"innen {hours} timer"


def _booking(context: Context, seen: Viewer, id: str) -> Booking | None:
    stored = visits.kept(context.store, id)
    if stored is None or not is_booking(stored.resource) or seen.person.reference not in visits.persons(stored.resource):
        return None
    return Booking.of(stored.resource)


def _department(context: Context, code: str) -> Department | None:
    stored = context.store.get("HealthcareService", code) if code else None
    department = None if stored is None or stored.deleted else Department.of(stored.resource)
    return department if department and department.active else None


def _page(template: str, asked: Asked, seen: Viewer, *, audit: str = "", status: int = 200, **values: Any) -> Page:
    return Page(template, shown(asked, seen, **values), status, audit=(seen.line(audit, asked.now),) if audit else ())
