"""No seal: what TLS and a bearer token protect. The sender is whoever the inbox let in."""

from __future__ import annotations

from datetime import datetime

from hub.adapter import Agreed, Surroundings, Unopened
from hub.message import Content, Envelope, Letter, Parcel, Receipt
from hub.problem import Problem, Refused

ID = "x-message-id"


class PlainSeal:
    """hub.adapter.Seal. The message id is the header `x-message-id`; where there is none, the content's digest: the same twice is one."""

    acknowledges = False
    asks_first = False
    proves = False

    def __init__(self, surroundings: Surroundings) -> None:
        self._party, self._own = surroundings.party, surroundings.own_party

    def agreed(self, function: str, at: datetime) -> Agreed | None:
        return None

    def open(self, parcel: Parcel, at: datetime) -> Envelope:
        content = Content(parcel.body, parcel.headers.get("content-type", "").partition(";")[0].strip())
        id_ = parcel.headers.get(ID, "")[:200] or f"sha256:{content.digest}"
        return Envelope(id_, self._party, self._own, id_, content, sent_at=at, function=content.media_type)

    def close(self, content: Content, letter: Letter, at: datetime) -> Parcel:
        return Parcel({"content-type": content.media_type, ID: letter.id}, content.body)

    def receipt(self, envelope: Envelope, refused: Refused | None, at: datetime) -> Parcel | None:
        return None

    def enquire(self, at: datetime, of: str = "") -> Parcel:
        raise Refused(Problem.NOT_SUPPORTED, "nobody can be asked without an envelope to ask in")

    def confirms(self, receipt: Receipt, sent: Parcel) -> bool:
        return True

    def refusal(self, unopened: Unopened, at: datetime) -> Parcel | None:
        return None


def plain(surroundings: Surroundings) -> PlainSeal:
    """The entry point `plain`."""
    return PlainSeal(surroundings)
