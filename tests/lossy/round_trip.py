"""Generated letters between two whole hubs over wires that lose, repeat, delay and reorder: `make lossy`, or

    python tests/lossy/round_trip.py --messages 1000 --over http mail

Both hubs know the same bookings. Each is moved or cancelled in the first hub's shop; a letter tells the second hub, which answers with an AppRec,
and each of these has a transport receipt of its own: all four travel over the bad wires. At the end every change must have been taken in once,
and every delivery be settled.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import uvicorn
from wires import HOST, Fates, LossyCounter, Proxy

from adapters.demo.least import least
from adapters.demo.municipality import Municipality, resources
from adapters.demo.processes import free_ports, wait_for
from adapters.demo.shop import Order, planner
from adapters.registries import pki
from hub import app
from hub.delivery import FINAL, State, Step
from hub.message import Parcel
from hub.store import Transaction

sys.path.insert(0, str(Path(__file__).parents[1] / "mail"))

from postoffice import DOMAIN, PASSWORD, Office, open_office

WAYS = ("http", "http-async", "mail")
"""`http`: receipts on the same connection; `http-async`: on a connection of their own; `mail`: SMTP and IMAP."""
PARTNER, SHOP = "partner", "tjenesteshop"
FIRST, SECOND = "8100000", "8100101"
TIME = 3600


@dataclass(frozen=True)
class Outcome:
    """What is counted when all is quiet."""

    messages: int
    seconds: float
    fates: dict[str, int]
    resent: int
    """Tries beyond the first, on both sides."""
    duplicates: int
    """Letters that came again and were answered from the store, at both hubs."""
    versions: Tally[int]
    """Versions of each booking at the second hub: the one it had, and one for each time that a change was taken in."""
    same: bool
    """Each booking has at the second hub the status and the times that it has at the first."""
    states: dict[str, Tally[State]]
    """Of the deliveries of each hub."""
    refused: list[str]
    """What either hub refused, in its words."""

    @property
    def perfect(self) -> bool:
        settled = all(states == Tally({State.ACCEPTED: self.messages}) for states in self.states.values())
        return settled and self.versions == Tally({2: self.messages}) and self.same and not self.refused


class Hub:
    """One hub from its home folder, with its worker and its web server in threads of this process."""

    def __init__(self, home: Path, port: int, town: Municipality) -> None:
        self.parts = app.put_together(home)
        self.parts.store.migrate()
        for start in range(0, len(town.resources), 200):
            self.parts.store.write(lambda tx, start=start: _keep(tx, town, start))  # type: ignore[misc]
        self._worker = app.worker(self.parts)
        self._server = uvicorn.Server(uvicorn.Config(app.faces(self.parts), HOST, port, log_level="error", access_log=False))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        wait_for(lambda: self._server.started, "the hub answering", 30)
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()
        self._server.should_exit = True
        self._thread.join(10)
        self.parts.close()

    def shop(self, message: dict[str, Any]) -> None:
        headers = {"content-type": "application/json", "x-message-id": str(message["meldingsId"])}
        answer = self.parts.flow.receive(self.parts.adapters[SHOP], Parcel(headers, json.dumps(message).encode()))
        if not answer.verdict.accepted:
            raise RuntimeError(f"the shop was refused: {answer.verdict}")

    def settled(self) -> int:
        """Letters that nothing more is to be done about; those that a newer one replaced before they were sent do not count."""
        standing = self.parts.store.standing().deliveries
        return sum(n for (adapter, state), n in standing.items() if adapter == PARTNER and state in FINAL - {State.SUPERSEDED})


def _keep(tx: Transaction, town: Municipality, start: int) -> None:
    for resource in town.resources[start:start + 200]:
        tx.keep(resource, origin="hub")


def run(folder: Path, over: str, messages: int, seed: int = 1, share: float = 0.06, dovecot: str = "") -> Outcome:
    """One whole round trip. `share` of the letters meets each of the wires' six faults."""
    fates, now = Fates(seed, share, hold=2.0), datetime.now(UTC)
    town = resources(1, now.date())
    plan = planner(town, f"lossy-{seed}", now)
    changed = (order for order in (plan.changes(order, 0.5, 0.5) for order in plan.orders("L")) if order.then)
    orders = list(islice(changed, messages))
    pki.make_dev_pki(folder / "pki", {FIRST: "Solbakken kommune", SECOND: "Fjellvik kommune"}, now)
    ports = free_ports(4)
    patience = max(8, messages // 10) if over == "mail" else max(2, messages // 40)
    with ExitStack() as stack:
        office = stack.enter_context(open_office(dovecot, lambda o: LossyCounter(o, fates))) if over == "mail" else None
        homes = [folder / "first", folder / "second"]
        for number, (own, partner) in enumerate(((FIRST, SECOND), (SECOND, FIRST))):
            pki.lay_out(folder / "pki", homes[number] / "certs", own, [partner])
            carrier = _by_mail(office, homes[number], number) if office else f'kind = "http"\nurl = "http://{HOST}:{ports[3 - number]}/"\nwait = "20s"'
            _files(homes[number], own, partner, carrier, sync=over == "http", patience=patience)
        hubs = [Hub(home, ports[number], town) for number, home in enumerate(homes)]
        for hub in hubs:
            _booked(hub, orders)
        for order in orders:  # what told of the booking itself was not sent yet: the change replaces it
            hubs[0].shop(order.message(order.then))
        if office is None:
            for number in (0, 1):
                stack.enter_context(Proxy(ports[2 + number], f"http://{HOST}:{ports[number]}/inbox/{PARTNER}", fates))
        began = time.monotonic()
        for hub in hubs:
            stack.enter_context(hub)
        wait_for(lambda: all(hub.settled() >= messages for hub in hubs), "every delivery settled", TIME, 0.2)
        seconds = time.monotonic() - began
        wait_for(lambda: fates.idle and (office is None or not any(office.lying(user) for user in ("first", "second"))), "quiet wires", 120, 0.2)
        return _counted(hubs, orders, seconds, fates)


def _booked(hub: Hub, orders: list[Order]) -> None:
    for order in orders:
        hub.shop(order.message("OPPRETT"))


def _files(home: Path, own: str, partner: str, carrier: str, *, sync: bool, patience: int) -> None:
    (home / "adapters").mkdir(parents=True)
    (home / "hub.toml").write_text(least(own, f"http://{HOST}"), encoding="utf-8")
    (home / "adapters" / f"{PARTNER}.toml").write_text(f'''title = "Partner"
party = "{partner}"
seal = {{ kind = "ebms", sync = {str(sync).lower()} }}
format = {{ kind = "msghead" }}
wants = {["booking"] if own == FIRST else []}
departments = []
may = {[] if own == FIRST else ["book", "move", "cancel"]}
patience = {{ pauses = ["200ms", "500ms", "1s"], receipt_within = "{patience}s", answer_within = "1h", give_up_after = "1h" }}
concurrency = 4

[carrier]
{carrier}
''', encoding="utf-8")
    (home / "adapters" / f"{SHOP}.toml").write_text(f'''title = "Tjenesteshop"
party = "{SHOP}"
carrier = {{ kind = "memory" }}
seal = {{ kind = "plain" }}
format = {{ kind = "mapped", mapping = "tjenesteshop.toml" }}
wants = []
may = ["book", "move", "cancel"]
answers = "reply"
answer_due = false
''', encoding="utf-8")


def _by_mail(office: Office, home: Path, number: int) -> str:
    own, other = ("first", "second") if number == 0 else ("second", "first")
    (home / "box.txt").write_text(PASSWORD, encoding="utf-8")
    return f'''kind = "smtp"
host = "{HOST}"
port = {office.smtp}
tls = "none"
sender = "{own}@{DOMAIN}"
to = "{other}@{DOMAIN}"

[carrier.mailbox]
kind = "imap"
host = "{HOST}"
port = {office.imap}
tls = "none"
user = "{own}"
password_file = "box.txt"
every = "0s"
'''


def _counted(hubs: list[Hub], orders: list[Order], seconds: float, fates: Fates) -> Outcome:
    first, second = (hub.parts.store for hub in hubs)
    many = len(orders) * 20
    kept = tuple(state for state in State if state is not State.SUPERSEDED)
    letters = {"first": first.deliveries(kept, PARTNER, None, many), "second": second.deliveries(kept, PARTNER, None, many)}
    about = ("status", "start", "end")
    pairs = [(first.get("Appointment", o.appointment), second.get("Appointment", o.appointment)) for o in orders]
    always = (datetime.now(UTC) - timedelta(days=2), datetime.now(UTC) + timedelta(days=1))
    return Outcome(
        messages=len(orders), seconds=seconds, fates={fate.value: n for fate, n in fates.met.items()},
        resent=sum(len(store.steps([Step.OVERDUE, Step.UNAVAILABLE], *always)) for store in (first, second)),
        duplicates=sum(len(store.steps(["duplicate"], *always)) for store in (first, second)),
        versions=Tally(len(second.history("Appointment", o.appointment)) for o in orders),
        same=all(a and b and [a.resource[key] for key in about] == [b.resource[key] for key in about] for a, b in pairs),
        states={name: Tally(d.state for d in found) for name, found in letters.items()},
        refused=[str(filed.verdict) for store in (first, second) for filed in store.envelopes("", None, True, None, many)],
    )


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="besoksbro-lossy-") as name:
        yield Path(name)


def main() -> int:
    """0: every message was delivered once on every way, and every delivery settled."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=1000)
    options.add_argument("--over", nargs="+", choices=WAYS, default=list(WAYS))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--share", type=float, default=0.06, help="of the letters that meets each of the six faults")
    given = options.parse_args()
    bad = 0
    logging.disable(logging.WARNING)  # that a wire broke is no news here
    for over in given.over:
        with _folder() as folder:
            outcome = run(folder, over, given.messages, given.seed, given.share, shutil.which("dovecot", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "")
        bad += not outcome.perfect
        said: dict[str, Any] = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}
        print(f"{over}: {'every message once, every delivery settled' if outcome.perfect else 'NOT AS IT SHOULD BE'}")
        print("\n".join(f"  {name}: {dict(value) if isinstance(value, dict) else value}" for name, value in said.items()), flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
