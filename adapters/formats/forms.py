"""The forms of a mapping: how a partner writes times, numbers and identifiers, and what that is here. Pure.

A form is given the value, the rule that names it (for its options) and where the value stood, for the refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hub.booking.clock import begin, local
from hub.problem import Problem, Refused

LONGEST_TEXT = 4000
Rule = Mapping[str, Any]
Form = Callable[[Any, Rule, str], Any]
OPTIONS: Mapping[str, frozenset[str]] = {"instant": frozenset({"reads", "zone"}), "local": frozenset({"writes"})}
"""Form → what a rule may say of it: `reads` and `writes` are patterns as Python's strptime has them (`%d.%m.%Y %H:%M`), `zone` is where a time
without an offset belongs (`UTC`; none: Norway)."""
_DIGITS = re.compile(r"\d{1,30}", re.ASCII)
_MILLISECONDS = 100_000_000_000
"""Above it seconds since 1970 would lie in the year 5138: they are milliseconds."""


def _instant(value: Any, rule: Rule, where: str) -> str:
    """A date and time; without an offset it stays so, and is Norwegian wall time, unless the rule says another zone."""
    pattern, zone = rule.get("reads"), rule.get("zone")
    try:
        read = datetime.strptime(value, pattern) if pattern else datetime.fromisoformat(value)
    except (ValueError, TypeError) as wrong:
        raise Refused(Problem.INVALID, f"must be a time such as {_sample(pattern)}", where) from wrong
    if not pattern and "T" not in value and " " not in value:
        raise Refused(Problem.INVALID, "must have both a date and a time", where)
    return (read.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) if zone and read.tzinfo is None else read).isoformat()


def _sample(pattern: str | None) -> str:
    return datetime(2026, 12, 1, 9).strftime(pattern) if pattern else "2026-12-01T09:00:00+01:00"


def _epoch(value: Any, _: Rule, where: str) -> str:
    """Seconds, or milliseconds, since 1970 began in UTC; as a number or as digits."""
    text = str(value) if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"\d{9,13}(?:\.\d{1,9})?", text, re.ASCII):
        raise Refused(Problem.INVALID, "must be seconds or milliseconds since 1970", where)
    told = float(text)
    return datetime.fromtimestamp(told / 1000 if told > _MILLISECONDS else told, UTC).isoformat()


def _digits(value: Any, _: Rule, where: str) -> str:
    text = re.sub(r"[ \u00a0-]", "", str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not _DIGITS.fullmatch(text):
        raise Refused(Problem.INVALID, "must be digits only", where)
    return text


def _text(value: Any, _: Rule, where: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Refused(Problem.INVALID, f"must be a text of at most {LONGEST_TEXT} characters", where)
    return value


def _number(value: Any, _: Rule, where: str) -> int:
    told = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,5}", value, re.ASCII) else value
    if isinstance(told, bool) or not isinstance(told, int) or not 0 < told < 100_000:
        raise Refused(Problem.INVALID, "must be a whole number above 0", where)
    return int(told)


def _local(value: Any, rule: Rule, _: str) -> str:
    """A kept time in UTC as Norwegian wall time with its offset, or as the rule writes it."""
    shown, pattern = local(begin(str(value))), rule.get("writes")
    return shown.strftime(pattern) if pattern else shown.isoformat()


FORMS: Mapping[str, Form] = {"local": _local, "instant": _instant, "epoch": _epoch, "digits": _digits, "text": _text, "number": _number}


def usable(rule: Rule) -> str:
    """What is wrong with how a rule names its form and its options; empty: nothing."""
    form = rule.get("form")
    if form is not None and form not in FORMS:
        return f"no form {form!r}"
    odd = sorted({"reads", "writes", "zone"} & set(rule) - OPTIONS.get(str(form), frozenset()))
    if odd:
        return f"{odd[0]} does not go with the form {form!r}"
    try:
        sample = _sample(rule.get("reads"))
        datetime.strptime(sample, rule["reads"]) if "reads" in rule else None
        ZoneInfo(rule.get("zone", "UTC"))
    except (ValueError, KeyError, OSError, TypeError) as wrong:
        return f"{type(wrong).__name__}: {wrong}"
    return ""
