"""Notices to people: their content is written when they are owed, `{"to": …, "text": …}`, and nobody answers them."""

from __future__ import annotations

from hub.adapter import Surroundings
from hub.message import Content, Envelope, Letter, Message, Verdict
from hub.problem import Problem, Refused


class NoticeFormat:
    """hub.adapter.Format."""

    def read(self, envelope: Envelope) -> Message:
        """Raises Refused UNKNOWN_FUNCTION: nothing comes in this way."""
        raise Refused(Problem.UNKNOWN_FUNCTION, "notices are not answered")

    def write(self, message: Message, letter: Letter) -> Content:
        """Raises Refused NOT_SUPPORTED: a notice bears its own content."""
        raise Refused(Problem.NOT_SUPPORTED, "this format carries notices only")

    def answer(self, envelope: Envelope, verdict: Verdict, letter: Letter) -> Content | None:
        return None


def notice(surroundings: Surroundings) -> NoticeFormat:
    """The entry point `notice`."""
    return NoticeFormat()
