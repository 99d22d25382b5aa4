"""A partner's own JSON, by a mapping in a TOML file: five operations, no code per partner. What needs a sixth is a Format of its own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from hub.adapter import Surroundings
from hub.booking import clock
from hub.booking.clock import begin, local
from hub.booking.conventions import SHOP_BOOKING, extension, identifier
from hub.booking.views import performer
from hub.fhir import strict_json
from hub.fhir.strict_json import at, keys
from hub.message import Content, Envelope, Letter, Message, Resource, Resources, Verdict
from hub.problem import Problem, Refused

ROOT = Path(__file__).parents[2]
_DIGITS = re.compile(r"\d{1,30}", re.ASCII)
LONGEST_TEXT = 4000


class UnusableMapping(ValueError):
    """The mapping itself is wrong: the operator must change the file. Raised when it is loaded, never for a message."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule at work on one sample, for `besoksbro adapter try`."""

    to: str
    source: str
    value: Any
    rule: str


class Mapping_:
    """A mapping file, checked."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        try:
            self.media_type: str = table["media_type"]
            self.id: str = table.get("id", "")
            self.action: str = table["action"]
            self.actions: dict[str, str] = dict(table["actions"])
            self.rules: list[dict[str, Any]] = list(table["rules"])
            self.out: list[dict[str, Any]] = list(table.get("out", ()))
            self.free_busy: dict[str, Any] = {"list": "", "rules": [], "each": [], **table.get("free_busy", {})}
        except KeyError as missing:
            raise UnusableMapping(f"the mapping lacks {missing}") from missing
        self.codes: dict[str, dict[str, str]] = dict(table.get("codes", {}))
        for rule in (*self.rules, *self.out, *self.free_busy["rules"], *self.free_busy["each"]):
            if "to" not in rule or sum(key in rule for key in ("path", "value", "join")) != 1:
                raise UnusableMapping("a rule needs `to` and one of `path`, `value`, `join`")
            if "codes" in rule and rule["codes"] not in self.codes:
                raise UnusableMapping(f"no code table {rule['codes']!r}")
            if "form" in rule and rule["form"] not in FORMS:
                raise UnusableMapping(f"no form {rule['form']!r}")

    @classmethod
    def load(cls, home: Path, name: str) -> Mapping_:
        """The home's own file, else the one we ship. Raises UnusableMapping, OSError, tomllib.TOMLDecodeError."""
        path = home / "mappings" / name if (home / "mappings" / name).exists() else ROOT / "mappings" / name
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    def stated(self, source: dict[str, Any]) -> Resource:
        """The stated Appointment. Raises Refused INVALID, UNKNOWN_CODE with a JSON pointer."""
        action = self._action(source)
        made: Resource = {"resourceType": "Appointment", "status": self.actions[action]}
        for rule, value in self._applied(source, action):
            _put(made, keys(rule["to"]), value)
        return made

    def told(self, source: dict[str, Any]) -> dict[str, Any]:
        """The partner's JSON about `{"letter": …, "appointment": …}`, by the rules under [[out]]. Raises Refused UNKNOWN_CODE."""
        return self._made(self.out, source)

    def free(self, source: dict[str, Any], slots: Iterable[Resource]) -> dict[str, Any]:
        """The partner's JSON about a department's times, by the rules under [free_busy]. Raises Refused UNKNOWN_CODE."""
        rules = self.free_busy
        made = self._made(rules["rules"], source)
        _put(made, keys(rules["list"]), [self._made(rules["each"], {"slot": slot}) for slot in slots])
        return made

    def _made(self, rules: Iterable[dict[str, Any]], source: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for rule in rules:
            value = self._value(rule, source)
            if value is not None:
                _put(made, keys(rule["to"]), value)
        return made

    def explain(self, source: dict[str, Any]) -> list[Explained]:
        """Every rule that gave something, with where it came from."""
        action = self._action(source)
        first = Explained("status", self.action, self.actions[action], "code table [actions]")
        return [first] + [
            Explained(rule["to"], rule.get("path") or " + ".join(rule.get("join", ())) or "constant", value, _operation(rule))
            for rule, value in self._applied(source, action)
        ]

    def _action(self, source: dict[str, Any]) -> str:
        action = at(source, self.action)
        if action is None:
            raise Refused(Problem.INVALID, "a required field is missing", pointer(self.action))
        if not isinstance(action, str) or action not in self.actions:
            raise Refused(Problem.UNKNOWN_CODE, f"must be one of {', '.join(self.actions)}", pointer(self.action))
        return action

    def _applied(self, source: dict[str, Any], action: str) -> Iterator[tuple[dict[str, Any], Any]]:
        for rule in self.rules:
            if "when" in rule and action not in rule["when"]:
                continue
            value = self._value(rule, source)
            if value is None and rule.get("required"):
                raise Refused(Problem.INVALID, "a required field is missing", pointer(rule.get("path", rule["to"])))
            if value is not None:
                yield rule, value

    def _value(self, rule: dict[str, Any], source: dict[str, Any]) -> Any:
        if "value" in rule:
            return rule["value"]
        if "join" in rule:
            found = [str(v) for v in (at(source, path) for path in rule["join"]) if v is not None]
            return rule.get("with", " ").join(found) or None
        value = at(source, rule["path"])
        if value is None:
            return rule.get("default")
        where = pointer(rule["path"])
        if "codes" in rule:
            table = self.codes[rule["codes"]]
            if isinstance(value, str) and value in table:
                return table[value]
            if rule.get("unknown", "refuse") == "refuse":
                raise Refused(Problem.UNKNOWN_CODE, f"must be one of {', '.join(table)}", where)
            return value if rule["unknown"] == "keep" else rule["unknown"]
        return FORMS[rule["form"]](value, where) if "form" in rule else value


def _operation(rule: dict[str, Any]) -> str:
    return next((key for key in ("codes", "form", "join", "value") if key in rule), "path")


@lru_cache(maxsize=1024)
def pointer(path: str) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    return "/" + path.replace(".", "/")


def _put(target: Any, way: tuple[str, ...], value: Any) -> None:
    for key, following in pairwise(way):
        empty: Any = [] if following.isdigit() else {}
        if isinstance(target, list):
            while len(target) <= int(key):
                target.append({} if not following.isdigit() else [])
            target = target[int(key)]
        else:
            target = target.setdefault(key, empty)
    if isinstance(target, list):
        target.append(value)
    else:
        target[way[-1]] = value


def _instant(value: Any, where: str) -> str:
    try:
        datetime.fromisoformat(value)
    except (ValueError, TypeError) as wrong:
        raise Refused(Problem.INVALID, "must be a time such as 2026-12-01T09:00:00+01:00", where) from wrong
    if "T" not in value:
        raise Refused(Problem.INVALID, "must have both a date and a time", where)
    return str(value)


def _digits(value: Any, where: str) -> str:
    text = str(value).replace(" ", "") if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not _DIGITS.fullmatch(text):
        raise Refused(Problem.INVALID, "must be digits only", where)
    return text


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Refused(Problem.INVALID, f"must be a text of at most {LONGEST_TEXT} characters", where)
    return value


def _number(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 100_000:
        raise Refused(Problem.INVALID, "must be a whole number above 0", where)
    return int(value)


def _with_places(slot: Resource) -> Resource:
    """With how many more can be booked."""
    return {**slot, "places": max(int(extension(slot, "capacity") or 0) - int(extension(slot, "taken") or 0), 0)}


def _local(value: Any, where: str) -> str:
    """A kept time in UTC as Norwegian wall time with its offset."""
    return local(begin(str(value))).isoformat()


FORMS = {"local": _local, "instant": _instant, "digits": _digits, "text": _text, "number": _number}


class MappedFormat:
    """hub.adapter.Format. Setting: `mapping`, a file in mappings/."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._mapping = Mapping_.load(surroundings.home, str(surroundings.settings["mapping"]))

    def read(self, envelope: Envelope) -> Message:
        """The stated Appointment. Raises Refused UNREADABLE, INVALID, UNKNOWN_CODE."""
        return Resources((self._mapping.stated(strict_json.load(envelope.content.body)),))

    def explain(self, body: bytes) -> list[Explained]:
        """What each rule makes of a sample, field by field. Raises Refused as `read` does."""
        return self._mapping.explain(strict_json.load(body))

    def write(self, message: Message, letter: Letter) -> Content:
        """Where a booking stands, by the mapping's [[out]] rules; a department's times, by [free_busy].

        Raises:
            Refused: NOT_SUPPORTED where it has none.
        """
        about = message.items[0] if isinstance(message, Resources) else {"resourceType": ""}
        source: dict[str, Any] = {"letter": {"id": letter.id, "made": clock.write(letter.made_at)}}
        match about["resourceType"]:
            case "Appointment" if self._mapping.out:
                employee, shop = performer(about), identifier(about, SHOP_BOOKING)
                told = self._mapping.told({**source, "appointment": {**about, "employee": employee, "shop": shop}})
            case "HealthcareService" if isinstance(message, Resources) and self._mapping.free_busy["list"]:
                told = self._mapping.free({**source, "department": about}, map(_with_places, message.items[1:]))
            case _:
                raise Refused(Problem.NOT_SUPPORTED, "the mapping has no [[out]] or no [free_busy] rules")
        return Content(orjson.dumps(told), self._mapping.media_type)

    def answer(self, envelope: Envelope, verdict: Verdict, letter: Letter) -> Content | None:
        """The verdict: what we think, what to change, and what it became."""
        problem = verdict.problem
        body = {
            "meldingsId": envelope.id,
            "status": "GODTATT" if problem is None else "AVVIST",
            "problem": {
                "nummer": problem.value, "navn": problem.name, "tekst": problem.text, "detalj": verdict.detail, "felt": verdict.where,
            } if problem else None,
            "bestilling": verdict.about[0] if verdict.about else None,
        }
        return Content(orjson.dumps(body), self._mapping.media_type)


def mapped_format(surroundings: Surroundings) -> MappedFormat:
    """The entry point `mapped`."""
    return MappedFormat(surroundings)
