"""`make bench`: JSON lines on standard output, then a table. Numbers of the rows: facts/performance.md, section 6."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from bench import as4, bookings, flat, letters, memory, million, peers, searches, shop, writes
from bench.measure import Row


def main() -> None:
    """All rows but `million`, or those of the modules named (`letters`, `as4`, `memory`, `bookings`, `searches`, `shop`, `writes`, `flat`, `peers`)."""
    modules = {
        "letters": letters.rows, "as4": as4.rows, "memory": memory.rows, "bookings": bookings.rows, "searches": searches.rows, "shop": shop.rows,
        "writes": writes.rows, "flat": flat.rows, "peers": peers.rows, "million": million.rows,
    }
    table = Table("row", "what", "ratio", "against", "must", "goal", "detail")
    for name in sys.argv[1:] or [name for name in modules if name != "million"]:
        row: Row
        for row in modules[name]():
            print(row.line(), flush=True)
            table.add_row(row.number, row.what, f"{row.ratio:.2f}", row.against, row.must, row.goal, row.detail)
    Console(stderr=False, width=190).print(table)


if __name__ == "__main__":
    main()
