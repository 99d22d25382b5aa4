"""Workers that die at the fail point that BESOKSBRO_FAILPOINT names, one after the other: `python crashing.py URL HOME SENT`.

Each is a process of its own, forked before anything is opened, and sends every due letter by appending its id to the file SENT. Prints how many
were killed before one came to its end.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.delivery import Delivery, Patience, Step
from hub.fhir.query import Entries
from hub.store import Secrets, Store, Transaction
from hub.store.failpoint import reach


def main(url: str, home: Path, sent: Path) -> None:
    for killed in range(200):
        life = os.fork()
        if life == 0:
            work(url, home, sent)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])
        if code == 0:
            print(killed)
            return
        if code != -signal.SIGKILL:
            raise RuntimeError(f"a worker ended with {code}")
    raise RuntimeError("the workers never finish")


def work(url: str, home: Path, sent: Path) -> None:
    store = Store.open(url, Secrets.open(home), clock=lambda: datetime.now(UTC), entries=lambda resource: Entries())
    file = os.open(sent, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while claimed := store.claim({"epj": 1}, datetime.now(UTC), timedelta(milliseconds=1), str(os.getpid())):
        for delivery in claimed:
            os.write(file, f"{delivery.key} {delivery.id}\n".encode())  # the remote effect
            reach("after-remote-send")
            store.write(lambda tx, delivery=delivery: settle(tx, delivery))  # type: ignore[misc]
    store.close()


def settle(tx: Transaction, delivery: Delivery) -> None:
    sent = delivery.after(Step.SENT, tx.now, Patience())
    tx.settle(sent, delivery, Step.SENT)
    tx.settle(sent.after(Step.ARRIVED, tx.now, Patience()), sent, Step.ARRIVED)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
