"""AMQP 1.0 (Helsenorge's bus, RabbitMQ): python-qpid-proton, an extra that is compiled at install (`pip install besoksbro[amqp]`).

Properties and their names: facts/helsenorge.md 2 and 3. All application properties are strings; nothing of a person is ever among them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from hub.adapter import Surroundings
from hub.config import Misconfigured, duration
from hub.message import Parcel
from hub.problem import Problem, Unavailable

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


class AmqpCarrier:
    """hub.adapter.Carrier. Settings: `url` (amqp:// or amqps://), `to` and `from` (queue addresses), `wait`."""

    def __init__(self, surroundings: Surroundings) -> None:
        try:
            import proton
            import proton.utils
        except ImportError as missing:
            raise Misconfigured("bæreren amqp trenger tillegget: pip install besoksbro[amqp]") from missing
        self._proton, self._utils = proton, proton.utils
        settings = surroundings.settings
        self._url, self._to = str(settings["url"]), str(settings["to"])
        self._from = str(settings.get("from", ""))
        self._wait = duration(str(settings.get("wait", "10s"))).total_seconds()
        self._parties = {"fromHerId": surroundings.own_party, "toHerId": surroundings.party}
        if self._url.startswith("amqps:") and not proton.SSL.present():
            raise Misconfigured("python-qpid-proton er bygd uten TLS")
        self._connection: Any = None
        self._sender: Any = None
        self._receiver: Any = None

    def _open(self) -> Any:
        if self._connection is None:
            self._connection = self._utils.BlockingConnection(self._url, timeout=self._wait, allowed_mechs="PLAIN ANONYMOUS")
        return self._connection

    def send(self, parcel: Parcel) -> Parcel | None:
        """Handed over when the broker has accepted it. Raises Unavailable."""
        message = self._proton.Message(
            body=parcel.body, id=parcel.headers.get("x-message-id"), address=self._to, content_type=parcel.headers.get("content-type"),
            subject=parcel.headers.get("x-function", ""), durable=True, inferred=True,
            properties={**self._parties, "applicationTimeStamp": datetime.now(UTC).strftime(TIMES)},
        )
        try:
            if self._sender is None:
                self._sender = self._open().create_sender(self._to)
            self._sender.send(message, timeout=self._wait)
        except Exception as trouble:  # proton raises many kinds; every one of them means: not accepted
            self._drop()
            raise Unavailable(f"{type(trouble).__name__} from the broker") from trouble
        return None

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """What lies in the queue, one at a time; accepted only once it is stored. Raises Unavailable."""
        while self._from:
            try:
                if self._receiver is None:
                    self._receiver = self._open().create_receiver(self._from, credit=1)
                message = self._receiver.receive(timeout=1)
            except self._proton.Timeout:
                return
            except Exception as trouble:
                self._drop()
                raise Unavailable(f"{type(trouble).__name__} from the broker") from trouble
            named = (("content-type", message.content_type), ("x-message-id", message.id), ("x-function", message.subject))
            headers = {name: str(value or "") for name, value in named}
            yield Parcel(headers, bytes(message.body)), self._receiver.accept

    def _drop(self) -> None:
        connection, self._connection, self._sender, self._receiver = self._connection, None, None, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is broken already
                connection.close()

    def close(self) -> None:
        self._drop()


def amqp(surroundings: Surroundings) -> AmqpCarrier:
    """The entry point `amqp`. Raises Misconfigured where the extra is not installed."""
    return AmqpCarrier(surroundings)
