"""Files one large letter and stops: `python storing.py URL HOME PIECE SIZE`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from made import envelope

from hub.fhir.query import Entries
from hub.message import Parcel, Verdict
from hub.store import Secrets, Store, pieces


def main(url: str, home: Path, piece: int, size: int) -> None:
    pieces.SIZE = piece
    store = Store.open(url, Secrets.open(home), clock=lambda: datetime.now(UTC), entries=lambda resource: Entries())
    store.write(lambda tx: tx.file(envelope("m1"), "epj", Verdict(), None, Parcel({"a": "b"}, bytes(range(256)) * (size // 256))))
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
