"""A worker that dies at a named point: `python crashing.py URL HOME SENT`. Sends each due letter by appending its id to the file SENT."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.delivery import Delivery, Patience, Step
from hub.fhir import definitions, index
from hub.store import Secrets, Store, Transaction
from hub.store.failpoint import reach


def main(url: str, home: Path, sent: Path) -> None:
    secrets = Secrets.open(home)
    store = Store.open(url, secrets, clock=lambda: datetime.now(UTC), entries=index.indexer(definitions.load(), secrets.hash_id))
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
