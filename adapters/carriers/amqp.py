"""AMQP 1.0 (Helsenorge's bus, RabbitMQ): python-qpid-proton, an extra that is compiled at install (`pip install besoksbro[amqp]`).

Properties and their names: facts/helsenorge.md 2 and 3. All application properties are strings; nothing of a person is ever among them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hub.adapter import Surroundings
from hub.config import Misconfigured, duration
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

CONDITION: dict[Problem, str] = dict.fromkeys(Problem, "transport:internal-error") | dict.fromkeys(
    (Problem.UNREADABLE, Problem.INVALID, Problem.UNKNOWN_CODE), "transport:not-well-formed-xml",
) | dict.fromkeys(
    (Problem.WRONG_PARTY, Problem.UNKNOWN_PARTNER, Problem.UNKNOWN_AGREEMENT, Problem.ALTERED_DUPLICATE), "transport:invalid-field-value",
) | dict.fromkeys((Problem.NOT_SUPPORTED, Problem.UNKNOWN_FUNCTION, Problem.TOO_LARGE), "transport:unsupported-message") | dict.fromkeys(
    (Problem.BAD_SIGNATURE, Problem.NOT_COVERED, Problem.UNSIGNED, Problem.NOT_DECRYPTABLE, Problem.WRONG_SIGNER), "transport:invalid-certificate",
) | {
    Problem.CERTIFICATE_EXPIRED: "transport:expired-certificate", Problem.CERTIFICATE_REVOKED: "transport:revoked-certificate",
    Problem.CERTIFICATE_UNTRUSTED: "transport:unverified-certificate",
}
"""Problem → errorCondition of an error report (facts/helsenorge.md 6)."""
TIMES = "%Y-%m-%dT%H:%M:%SZ"


HEARTBEAT = 30.0
"""Seconds after which either side takes the other for dead that has not said a word: we make a new connection, and the broker gives what it had
sent to us by the old one to whoever asks."""
KEPT = 30.0
"""Seconds that a connection is kept that nobody uses: firewalls forget idle ones without a word, and no heartbeat leaves meanwhile."""
RENEWED = 60.0
"""Seconds after which a connection by which nothing comes in is made anew: a broker may have forgotten who listens, and keep the connection."""


class AmqpCarrier:
    """hub.adapter.Carrier. Settings: `url` (amqp:// or amqps://), `to` and `from` (queue addresses), `wait`.

    Letters out and letters in have a connection each: a broker that is short of memory or disk stops reading from those who send, and only them.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        try:
            import proton

            from adapters.carriers import broker
        except ImportError as missing:
            raise Misconfigured("bæreren amqp trenger tillegget: pip install besoksbro[amqp]") from missing
        self._proton, self._broker = proton, broker
        settings = surroundings.settings
        self._url, self._to = str(settings["url"]), str(settings["to"])
        self._from = str(settings.get("from", ""))
        self._wait = duration(str(settings.get("wait", "10s"))).total_seconds()
        self._parties = {"fromHerId": surroundings.own_party, "toHerId": surroundings.party}
        if self._url.startswith("amqps:") and not proton.SSL.present():
            raise Misconfigured("python-qpid-proton er bygd uten TLS")
        self._sending, self._receiving = threading.Lock(), threading.RLock()
        """A connection is for one thread at a time; an adapter's batches are several, and who closes it is another one."""
        self._out: Any = None
        self._sender: Any = None
        self._in: Any = None
        self._incoming: Any = None
        self._used = 0.0
        """When the connection out was used last."""
        self._looked_at = self._came = 0.0
        """When it was looked for something by the connection in last; and when it was made, or brought something last."""

    def _open(self) -> Any:
        return self._broker.Connection(self._url, timeout=self._wait, heartbeat=HEARTBEAT, allowed_mechs="PLAIN ANONYMOUS")

    def send(self, parcel: Parcel) -> Parcel | None:
        """Handed over when the broker has accepted it. Raises Unavailable."""
        message = self._proton.Message(
            body=parcel.body, id=parcel.headers.get("x-message-id"), address=self._to, content_type=parcel.headers.get("content-type"),
            subject=parcel.headers.get("x-function", ""), durable=True, inferred=True,
            properties={**self._parties, "applicationTimeStamp": datetime.now(UTC).strftime(TIMES)},
        )
        with self._sending:
            if time.monotonic() > self._used + KEPT:
                self._drop_out()
            try:
                if self._sender is None:
                    self._out = self._open()
                    self._sender = self._out.create_sender(self._to)
                self._sender.send(message, timeout=self._wait)
            except Exception as trouble:  # proton raises many kinds; every one of them means: not accepted
                self._drop_out()
                raise Unavailable(f"{type(trouble).__name__} from the broker") from trouble
            self._used = time.monotonic()
        return None

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """What lies in the queue, one at a time; accepted only once it is stored, else it lies there again after the visit. Raises Unavailable."""
        try:
            while self._from and (found := self._next()) is not None:
                message, delivery = found
                yield _parcel(message), partial(self._accept, self._incoming, delivery)
        finally:
            with self._receiving:
                if self._incoming is not None:
                    self._incoming.give_back()

    def _accept(self, incoming: Any, delivery: Any) -> None:
        """Raises Unavailable: the connection that it came by is gone. The letter comes again, and gets the stored answer."""
        with self._receiving:
            if incoming is not self._incoming:
                raise Unavailable("the connection to the broker was closed meanwhile")
            incoming.accept(delivery)

    def _next(self) -> tuple[Any, Any] | None:
        with self._receiving:
            return self._looked()

    def _looked(self) -> tuple[Any, Any] | None:
        now = time.monotonic()
        if now > self._looked_at + KEPT or now > self._came + RENEWED:
            self._drop_in()
        try:
            if self._incoming is None:
                self._in, self._came = self._open(), now
                self._incoming = self._broker.Incoming(self._in, self._from)
            found: tuple[Any, Any] = self._incoming.next(1)
            self._came = now
        except self._proton.Timeout as nothing:
            if self._incoming is not None:
                return None
            raise self._failed(nothing) from nothing
        except Exception as trouble:
            raise self._failed(trouble) from trouble
        finally:
            self._looked_at = time.monotonic()
        return found

    def _failed(self, trouble: Exception) -> Unavailable:
        self._drop_in()
        return Unavailable(f"{type(trouble).__name__} from the broker")

    def _drop_out(self) -> None:
        connection, self._out, self._sender = self._out, None, None
        _let_go(connection)

    def _drop_in(self) -> None:
        connection, self._in, self._incoming = self._in, None, None
        _let_go(connection)

    def close(self) -> None:
        with self._sending:
            self._drop_out()
        with self._receiving:
            self._drop_in()


def _let_go(connection: Any) -> None:
    if connection is not None:
        with contextlib.suppress(Exception):  # it is broken already
            connection.close()


def _parcel(message: Any) -> Parcel:
    """A body that is no bytes makes it no letter: it is filed as that, and the next one is taken."""
    named = (("content-type", message.content_type), ("x-message-id", message.id), ("x-function", message.subject))
    headers = {name: str(value or "") for name, value in named}
    match message.body:
        case bytes() | memoryview() as body:
            return Parcel(headers, bytes(body))
        case str() as text:
            return Parcel(headers, text.encode())
        case None:
            return Parcel(headers, b"")
    return Parcel(headers, b"", trouble=Refused(Problem.UNREADABLE, "the message's body is neither bytes nor text"))


def amqp(surroundings: Surroundings) -> AmqpCarrier:
    """The entry point `amqp`. Raises Misconfigured where the extra is not installed."""
    return AmqpCarrier(surroundings)
