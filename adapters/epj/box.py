"""The EPJ itself: what comes in is kept and answered, what is to be told is told in order, until the hub has it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapters.carriers.edi import edi
from adapters.carriers.smtp import smtp
from adapters.epj import script
from adapters.epj.records import Owed, Records, Visit
from adapters.epj.settings import Settings
from adapters.formats.msghead import msghead_format
from adapters.seals.ebms import ebms
from adapters.seals.edi import edi as edi_seal
from hub.adapter import Carrier, Seal, Surroundings, Unopened
from hub.booking.attachments import elements
from hub.booking.conventions import extension
from hub.message import Envelope, Letter, Parcel, Receipt, Resource, Resources, Verdict
from hub.problem import Problem, Refused, Unavailable

log = logging.getLogger(__name__)
LIVES = timedelta(hours=72)
AGAIN = 0.5
"""Seconds until a letter that did not arrive is sent again; doubles up to MOST."""
MOST = 10.0
HANDED_ON_AGAIN = 120.0
"""The same for a letter by mail, or by a message service, whose receipt did not come."""
READS = 3
"""How many paces it takes until somebody has answered a message."""
SOAP_FAULT = 500
IDLE = 0.02
DONE = {"fulfilled": script.COMPLETE, "noshow": script.MISS}
"""What has happened is not undone by a letter that crossed it: it is said again."""


class NoAnswer(Exception):
    """A fault on demand: the letter is stored, and the sender hears nothing."""


class Box:
    """One EPJ. `receive` is called by its web server, `run` by a thread of its own."""

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.settings, self.now = settings, now
        agreed = {"agreement": settings.agreement} if settings.agreement else {"sync": not settings.mail}
        around = Surroundings(
            settings.home, "besoksbro", settings.hub_party, settings.party, settings.title,
            {"functions": settings.functions, "dialog": settings.dialog, "apprec": settings.apprec, "domain": f"{settings.name}.example", **agreed},
        )
        self._carrier: Carrier | None = smtp(replace(around, settings=settings.mail)) if settings.mail else None
        self.seal: Seal = ebms(around)
        if settings.edi:
            self._carrier, self.seal = edi(replace(around, settings=settings.edi)), edi_seal(around)
        self.format = msghead_format(around)
        self.records = Records(settings.home / "records.db")
        self._client = httpx.Client(timeout=30, trust_env=False)
        self._stop, self._wake = threading.Event(), threading.Event()

    def receive(self, parcel: Parcel) -> Parcel | None:
        """One parcel from the hub. Raises NoAnswer when a fault says so."""
        if self.settings.faults.slow:
            self._stop.wait(self.settings.faults.slow)
        now = self.now()
        try:
            envelope = self.seal.open(parcel, now)
        except Unopened as unopened:
            self.records.count(f"refused {unopened.problem.value}")
            return self.seal.refusal(unopened, now)
        if envelope.receipt is not None:
            self._signal(envelope.receipt)
            return None
        if envelope.enquiry is not None:
            known = self.records.letter(envelope.enquiry.about) is not None
            return self.seal.receipt(replace(envelope, enquiry=replace(envelope.enquiry, received=now if known else None, accepted=known)), None, now)
        if envelope.expires is not None and envelope.expires < now and self.records.letter(envelope.id) is None:
            late = Unopened(Refused(Problem.EXPIRED, "it came after its time to live"), envelope)
            self.records.count(f"refused {late.problem.value}")
            return self.seal.refusal(late, now)
        reply = self._keep(envelope, now)
        self._wake.set()
        return reply

    def calendar(self, asked: Resource) -> Resource:
        """The free quarters of the calendar between `start` and `end` of a FHIR `$find`, as a searchset of Slots."""
        if self.settings.faults.slow:
            self._stop.wait(self.settings.faults.slow)
        self.records.count("calendar asked")
        told = {p["name"]: p for p in asked.get("parameter", ())}
        first, until = (datetime.fromisoformat(told[name]["valueInstant"]) for name in ("start", "end"))
        visits = [(datetime.fromisoformat(s), datetime.fromisoformat(e)) for s, e in self.records.planned()]
        return {"resourceType": "Bundle", "type": "searchset", "entry": [
            {"resource": slot} for slot in script.quarters(self.settings.seed, first, until, visits, self.settings.staff, self.settings.busy)
        ]}

    def _keep(self, envelope: Envelope, now: datetime) -> Parcel:
        """Stored before it is acknowledged; the same letter again gets the same answer and is not processed."""
        before = self.records.letter(envelope.id)
        if before is not None:
            self.records.again(envelope.id)
            return Parcel(before[2], before[1])
        reply = self.seal.receipt(envelope, None, now) or Parcel({}, b"")
        verdict, message = self._read(envelope)
        with self.records.transaction():
            self.records.keep_letter(envelope.id, envelope.content.digest, reply.body, dict(reply.headers))
            if isinstance(message, Receipt):
                self.records.answered(message.refers_to, message.kind.value + " ".join(("", *message.codes)))
            elif isinstance(message, Resources):
                self._take_in(message.items[0], now)
            self._owe_receipt(envelope, verdict, now)
        if script.chance(self.settings.seed, "lost", envelope.id) < self.settings.faults.lost_receipts:
            self.records.count("receipts withheld")
            raise NoAnswer
        return reply

    def _read(self, envelope: Envelope) -> tuple[Verdict, Any]:
        try:
            message = self.format.read(envelope)
        except Refused as refused:
            return Verdict(refused.problem, refused.detail, refused.where), None
        if isinstance(message, Resources):
            uid = message.items[0].get("id", envelope.id)
            if script.chance(self.settings.seed, "rejected", uid) < self.settings.faults.rejected:
                return Verdict(Problem.UNKNOWN_PERSON), None
        return Verdict(), message

    def _take_in(self, stated: Resource, now: datetime) -> None:
        """A booking, a move or a cancellation: what already happened is said again under the new number; the rest starts anew. Or a message."""
        if stated["resourceType"] == "Communication":
            return self._answer(stated, now)
        uid, sequence = stated["id"], extension(stated, "sequence")
        known = self.records.visit(uid)
        seen = known.seen + 1 if known else 1
        start, end = stated.get("start", ""), stated.get("end", "")
        if known is not None and known.status in DONE:
            if stated["status"] == "proposed":
                known.start, known.finish = start, end
            steps = [DONE[known.status], *known.steps]
            self.records.keep_visit(Visit(uid, known.status, known.start, known.finish, sequence, steps, 0, seen))
        elif stated["status"] == "cancelled":
            base = known or Visit(uid, "", start, end, sequence, [])
            self.records.keep_visit(Visit(uid, "cancelled", base.start, base.finish, sequence, [], 0, seen))
        else:
            due = time.time() + self.settings.pace
            self.records.keep_visit(Visit(uid, "pending", start, end, sequence, script.plan(self.settings.seed, uid), due, seen))

    def _answer(self, asked: Resource, now: datetime) -> None:
        """An employee reads what a person wrote, and answers in the same conversation."""
        conversation = next((r["identifier"]["value"] for r in asked.get("partOf", ())), "")
        letter = Letter(str(uuid.uuid4()), conversation, "answer", now, now + LIVES)
        parcel = self.seal.close(self.format.write(Resources(script.answer(self.settings.seed, asked)), letter), letter, now)
        self.records.owe(letter.id, conversation, "answer", parcel.body, dict(parcel.headers), time.time() + READS * self.settings.pace)
        self.records.count("messages answered")
        for _ in elements(asked):
            self.records.count("files taken")

    def _owe_receipt(self, envelope: Envelope, verdict: Verdict, now: datetime) -> None:
        letter = Letter(str(uuid.uuid4()), envelope.conversation, envelope.answered_by, now, now + LIVES, envelope.id)
        content = self.format.answer(envelope, verdict, letter)
        if content is not None:
            parcel = self.seal.close(content, letter, now)
            self.records.owe(letter.id, envelope.conversation, "receipt", parcel.body, dict(parcel.headers), time.time())

    def _signal(self, receipt: Receipt) -> None:
        self.records.arrived(receipt.refers_to)
        if receipt.codes:
            self.records.answered(receipt.refers_to, f"{receipt.kind.value} {' '.join(receipt.codes)}")

    def run(self) -> None:
        """Tells what is to be told, sends what is owed, until it is stopped."""
        while not self._stop.is_set():
            try:
                busy = self._tell() + self._send() + self._collect()
            except Exception:
                log.exception("the EPJ's round failed")
                busy = 0
            if not busy:
                self._wake.wait(IDLE)
            self._wake.clear()

    def _tell(self) -> int:
        ready = self.records.ready(time.time())
        for uid in ready:
            with self.records.transaction():
                visit = self.records.visit(uid)
                if visit is None or not visit.steps:
                    continue
                self._one_step(visit, visit.steps[0])
        return len(ready)

    def _one_step(self, visit: Visit, step: str) -> None:
        now = self.now()
        start, end = datetime.fromisoformat(visit.start), datetime.fromisoformat(visit.finish)
        stated = script.statement(step, self.settings.seed, visit.uid, start, end, visit.sequence)
        letter = Letter(str(uuid.uuid4()), visit.uid, "visit", now, now + LIVES)
        parcel = self.seal.close(self.format.write(Resources(stated), letter), letter, now)
        self.records.owe(letter.id, visit.uid, "visit", parcel.body, dict(parcel.headers), time.time())
        visit.status, visit.steps, visit.next_at = script.STATUS[step], visit.steps[1:], time.time() + self.settings.pace
        if step == script.MOVE:
            visit.start, visit.finish = stated[0]["start"], stated[0]["end"]
        self.records.keep_visit(visit)

    def _send(self) -> int:
        owed = self.records.due(time.time())
        send = self._hand_over if self._carrier else self._post
        for letter in owed:
            send(letter)
            if script.chance(self.settings.seed, "twice", letter.id) < self.settings.faults.duplicates:
                self.records.count("sent twice")
                send(letter)
        return len(owed)

    def _hand_over(self, letter: Owed) -> None:
        """It is sent again until the hub's receipt is there: that a server in between took it says nothing."""
        assert self._carrier is not None
        try:
            told = self._carrier.send(Parcel(letter.headers, letter.parcel))
            if told is not None:
                self.receive(told)
            self.records.later(letter.number, time.time() + HANDED_ON_AGAIN)
        except (Unavailable, Refused) as trouble:
            log.warning("a letter could not be sent: %s", trouble.detail)
            self.records.later(letter.number, time.time() + min(AGAIN * 2**letter.tries, MOST))

    def _collect(self) -> int:
        """What the hub sent by mail or by a message service: kept, its receipt sent, and only then let go of."""
        taken = 0
        try:
            for parcel, done in self._carrier.collect() if self._carrier else ():
                self._take(parcel)
                done()
                taken += 1
        except Unavailable as later:
            log.warning("what lies waiting could not be collected: %s", later.detail)
        return taken

    def _take(self, parcel: Parcel) -> None:
        assert self._carrier is not None
        if parcel.trouble is not None:
            self.records.count(f"no letter {parcel.trouble.problem.value}")
            return
        try:
            reply = self.receive(parcel)
            if reply is not None and reply.body and reply.status != SOAP_FAULT:
                self._carrier.send(reply)
        except NoAnswer:
            return
        except Refused as never:
            log.warning("the hub's address does not take our receipt: %s", never.detail)

    def _post(self, letter: Owed) -> None:
        try:
            answer = self._client.post(self.settings.hub_url, content=letter.parcel, headers=letter.headers)
        except httpx.HTTPError:
            self.records.later(letter.number, time.time() + min(AGAIN * 2**letter.tries, MOST))
            return
        if answer.is_success and answer.content:
            self.receive(Parcel({k.lower(): v for k, v in answer.headers.items()}, answer.content))
        elif answer.is_success:
            self.records.arrived(letter.id)
        else:
            self.records.later(letter.number, time.time() + min(AGAIN * 2**letter.tries, MOST))

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
