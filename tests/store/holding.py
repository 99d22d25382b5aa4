"""A worker that claims and then waits for a line: `python holding.py URL HOME MANY`. Prints the ids of what it holds."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.fhir.query import Entries
from hub.store import Secrets, Store


def main(url: str, home: Path, many: int) -> None:
    store = Store.open(url, Secrets.open(home), clock=lambda: datetime.now(UTC), entries=lambda resource: Entries())
    present = store.attend(f"holding-{many}")
    claimed = store.claim({"epj": many}, datetime.now(UTC), timedelta(days=999), present.name)
    print(*(delivery.id for delivery in claimed), flush=True)
    sys.stdin.readline()
    present.end()
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
