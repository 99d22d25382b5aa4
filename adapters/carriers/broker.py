"""A connection to a broker that is let go of whatever the broker does: python-qpid-proton's own waits without end for one that says nothing.

Only imported where the extra is installed (`adapters.carriers.amqp`).
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from proton import Delivery, Endpoint
from proton.utils import BlockingConnection

GOODBYE = 1.0
"""Seconds that the broker is given to say goodbye, too."""


class Connection(BlockingConnection):
    """One direction to, or from, one address; for one thread at a time."""

    def close(self) -> None:
        """As proton's, but that it comes to its end also where the broker does not answer: it is blocked, or its machine is gone."""
        if self.closing:
            return
        self.closing = True
        connection, container, until = self.conn, self.container, time.monotonic() + 2 * GOODBYE
        container.errors = []
        if connection is not None:
            connection.close()
            with contextlib.suppress(Exception):
                self.wait(lambda: not (connection.state & Endpoint.REMOTE_ACTIVE), timeout=GOODBYE)
            if connection.transport is not None:
                connection.transport.close_head()
                connection.transport.close_tail()
            connection.free()
        container.timeout = GOODBYE / 10
        while container.process() and time.monotonic() < until:
            pass
        container.stop()
        container.process()
        if connection is not None:
            connection.handler = None  # they hold one another
        self.conn = None
        container.stop_events()


class Incoming:
    """What lies at an address, each answered for itself."""

    def __init__(self, connection: Connection, address: str) -> None:
        self._receiver: Any = connection.create_receiver(address, credit=1)
        self._kept: list[Any] = []
        """Deliveries that nobody has answered for."""

    def next(self, wait: float) -> tuple[Any, Any]:
        """A message and its delivery. Raises proton.Timeout, or whatever tells that the connection is broken."""
        message = self._receiver.receive(timeout=wait)
        delivery = self._receiver.fetcher.unsettled.pop()
        self._kept.append(delivery)
        return message, delivery

    def accept(self, delivery: Any) -> None:
        """The broker may forget this one."""
        self._kept.remove(delivery)
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()

    def give_back(self) -> None:
        """Whatever was taken and not accepted lies there again."""
        for delivery in self._kept:
            delivery.update(Delivery.RELEASED)
            delivery.settle()
        self._kept.clear()
