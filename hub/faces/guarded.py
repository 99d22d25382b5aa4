"""Whatever happens, there is an answer in a format that was asked for, and a line in the access log for each person whose data leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime
from typing import Any

from hub.access import AuditLine
from hub.faces.formats import acceptable, with_format, worded
from hub.faces.interaction import JSON, Answer, Asked, allow, failed, largest
from hub.faces.packing import unpacked
from hub.fhir.definitions import Definitions
from hub.problem import Problem, Refused
from hub.store import Lacking, Store, Transaction

Work = Callable[[Transaction], Answer]
"""What is left to do in a transaction."""
Told = tuple[Answer, str]
"""An answer, and the format in which it is worded."""


class Guarded:
    """Called with what is asked, and whether its body was too large to be read."""

    def __init__(
        self, store: Store, definitions: Definitions, clock: Callable[[], datetime], answered: Callable[[Asked], Answer | Work],
        methods: Callable[[tuple[str, ...]], tuple[str, ...]], pool: Executor, elsewhen: Callable[[Exception], Exception] = lambda trouble: trouble,
    ) -> None:
        """`elsewhen` tells with a refusal what else is free, which takes longer than the refusal did: of many at once it runs in `pool`."""
        self._pool, self._elsewhen = pool, elsewhen
        self._store, self._definitions, self._clock, self._answered, self._methods = store, definitions, clock, answered, methods

    def __call__(self, asked: Asked, too_large: bool) -> Told:
        format_, found = self._begun(asked, too_large)
        return self._ended(asked, format_, _tried(self._store.write, found) if callable(found) else found)

    def together(self, many: Sequence[tuple[Asked, bool]]) -> list[Future[Told]]:
        """Many at once, in one commit, each for itself. One of which the future says `Lacking` is to be done alone; what is not told yet will be."""
        begun = [self._begun(*each) for each in many]
        kept = iter(self._store.write_all([found for _, found in begun if callable(found)]))
        every: list[Future[Told]] = []
        for (asked, _), (format_, found) in zip(many, begun, strict=True):
            outcome = _tried(next(kept).result) if callable(found) else found
            if isinstance(outcome, Refused) and outcome.asked is not None:
                every.append(self._pool.submit(self._ended, asked, format_, outcome))
                continue
            every.append(Future())
            if isinstance(outcome, Lacking):
                every[-1].set_exception(outcome)
            else:
                every[-1].set_result(self._ended(asked, format_, outcome))
        return every

    def _begun(self, asked: Asked, too_large: bool) -> tuple[str, Answer | Work | Exception]:
        """The format that is wanted, and what can be answered before any transaction."""
        format_ = JSON
        try:
            if b"content-encoding" in asked.headers:
                format_ = acceptable(asked)
                asked = unpacked(asked, largest(asked.path))
            format_ = acceptable(with_format(asked))
            if too_large:
                raise Refused(Problem.TOO_LARGE, "the body is too large: a search form has 64 KiB, a resource or Bundle 4 MiB, a message its files")
            return format_, self._answered(asked)
        except Exception as trouble:
            return format_, trouble

    def _ended(self, asked: Asked, format_: str, found: Answer | Exception) -> Told:
        try:
            answer = worded(found if isinstance(found, Answer) else self._failed(asked, found), format_, self._definitions, asked)
            if answer.persons and asked.reader is not None:
                now, reader = self._clock(), asked.reader
                self._store.audit_later(
                    AuditLine(now, person, reader.reference, reader.ground.value, answer.kind, reader.on_behalf_of, "fhir")
                    for person in answer.persons
                )
        except Exception as trouble:
            answer = worded(failed(trouble), format_, self._definitions)
        return answer, format_

    def _failed(self, asked: Asked, trouble: Exception) -> Answer:
        trouble = self._elsewhen(trouble)  # the transaction is over: what else is free can be looked for
        wrong_method = isinstance(trouble, Refused) and trouble.problem is Problem.NO_SUCH_INTERACTION
        return failed(trouble).with_headers(allow(self._methods(asked.path))) if wrong_method else failed(trouble)


def _tried(work: Callable[..., Answer], *given: Any) -> Answer | Exception:
    try:
        return work(*given)
    except Exception as trouble:
        return trouble
