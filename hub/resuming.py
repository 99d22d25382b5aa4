"""Before a letter is sent again: what became of it? Its connection may have broken after the bytes left, or the hub that sent it was killed."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from hub.adapter import Adapter
from hub.delivery import Delivery, State
from hub.message import Answer, Parcel
from hub.problem import Refused, Unavailable
from hub.store import Store


class Receiving(Protocol):
    """What is needed of the flow."""

    @property
    def store(self) -> Store: ...

    def receive(self, adapter: Adapter, parcel: Parcel) -> Answer: ...


def known(adapter: Adapter, delivery: Delivery, now: datetime, flow: Receiving) -> Delivery:
    """The delivery after its partner was asked, where it is due, was sealed for a try before, and the partner is one to ask.

    Asks the partner's message handler (ebMS StatusRequest), and takes its answer as any other receipt.

    Received, Processed or Forwarded: the letter has arrived, and is not sent again. Anything else, an unknown id, a partner that knows no such
    question and one that does not answer alike: the delivery as it is, to be sent again under the same id.
    """
    if delivery.state is not State.DUE or delivery.parcel is None or not adapter.seal.asks_first:
        return delivery
    try:
        answer = adapter.carrier.send(adapter.seal.enquire(now, delivery.id))
    except (Refused, Unavailable):
        return delivery
    if answer is not None:
        flow.receive(adapter, answer)
    return flow.store.delivery(delivery.id) or delivery
