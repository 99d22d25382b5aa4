"""What a worker says again and again: that it runs. And what it puts right where a clock had been ahead."""

from __future__ import annotations

import logging

from hub.store import deliveries, resources
from hub.store.letters import HEARTBEAT
from hub.store.transaction import Transaction
from hub.store.values import micros

log = logging.getLogger(__name__)


def live(tx: Transaction) -> None:
    """The note by which others see that it runs. Letters that were owed while the clock was ahead are due now."""
    tx.remember(HEARTBEAT, "")
    if resources.newest(tx.connection) > micros(tx.now) and (late := deliveries.made_ahead(tx.connection, tx.now)):
        tx.owed = True
        log.warning("%d letters were owed by a clock that was ahead, and are due now", late)
