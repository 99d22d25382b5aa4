"""Looks at what is owed to subscribers, two deliveries in a write, and stops: `python reconsidering.py HOME`."""

from __future__ import annotations

import sys
from pathlib import Path

from hub import app
from hub.feeds import feeds


def main(home: Path) -> None:
    feeds.A_PART = 2
    parts = app.put_together(home)
    parts.feeds.reconsider(parts.store)
    parts.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
