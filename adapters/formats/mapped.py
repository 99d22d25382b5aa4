"""A partner's own JSON, by a mapping in a TOML file: five operations, no code per partner. What needs a sixth is a Format of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from adapters.formats.forms import FORMS, usable
from hub.adapter import Surroundings
from hub.booking import clock
from hub.booking.clock import local
from hub.booking.conventions import SHOP_BOOKING, extension, identifier
from hub.booking.views import performer
from hub.fhir import strict_json
from hub.fhir.strict_json import at, keys
from hub.message import Content, Envelope, Letter, Message, Resource, Resources, Verdict
from hub.problem import Problem, Refused

ROOT = Path(__file__).parents[2]
KEYS = frozenset({
    "to", "path", "value", "join", "with", "codes", "unknown", "default", "form", "reads", "writes", "zone", "empty", "required", "when",
})
"""What a rule may say."""


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
        self.empty: list[Any] = list(table.get("empty", ()))
        for rules in (self.rules, self.out, self.free_busy["rules"], self.free_busy["each"]):
            for rule in rules:
                self._check(rule)
            for action in self.actions if rules is self.rules else ("",):
                _fits(rule for rule in rules if action in rule.get("when", (action,)))

    def _check(self, rule: dict[str, Any]) -> None:
        if "to" not in rule or sum(key in rule for key in ("path", "value", "join")) != 1:
            raise UnusableMapping("a rule needs `to` and one of `path`, `value`, `join`")
        if odd := sorted({*rule} - KEYS):
            raise UnusableMapping(f"{rule['to']}: a rule says nothing of {odd[0]!r}")
        if "codes" in rule and rule["codes"] not in self.codes:
            raise UnusableMapping(f"no code table {rule['codes']!r}")
        if unknown := sorted({*rule.get("when", ())} - {*self.actions}):
            raise UnusableMapping(f"{rule['to']}: no action {unknown[0]!r}")
        if wrong := usable(rule):
            raise UnusableMapping(f"{rule['to']}: {wrong}")

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
        told = at(source, self.action)
        action = _word(told)
        if told is None:
            raise Refused(Problem.INVALID, "a required field is missing", pointer(self.action))
        if action not in self.actions:
            raise Refused(Problem.UNKNOWN_CODE, f"must be one of {', '.join(self.actions)}", pointer(self.action))
        return action

    def _applied(self, source: dict[str, Any], action: str) -> Iterator[tuple[dict[str, Any], Any]]:
        for rule in self.rules:
            if "when" in rule and action not in rule["when"]:
                continue
            value = self._value(rule, source)
            if value is None and rule.get("required"):
                where = rule.get("path") or next(iter(rule.get("join", ())), rule["to"])
                raise Refused(Problem.INVALID, "a required field is missing", pointer(where))
            if value is not None:
                yield rule, value

    def _value(self, rule: dict[str, Any], source: dict[str, Any]) -> Any:
        if "value" in rule:
            return rule["value"]
        paths = rule["join"] if "join" in rule else [rule["path"]]
        found = [value for path in paths if (value := self._at(rule, source, path)) is not None]
        if len(found) < (len(paths) if "form" in rule else 1):  # half of a date is no date
            return rule.get("default")
        value, where = found[0] if "path" in rule else rule.get("with", " ").join(map(str, found)), pointer(paths[0])
        if "codes" in rule:
            table, word = self.codes[rule["codes"]], _word(value)
            if word in table:
                return table[word]
            if rule.get("unknown", "refuse") == "refuse":
                raise Refused(Problem.UNKNOWN_CODE, f"must be one of {', '.join(table)}", where)
            return value if rule["unknown"] == "keep" else rule["unknown"]
        return FORMS[rule["form"]](value, rule, where) if "form" in rule else value

    def _at(self, rule: dict[str, Any], source: dict[str, Any], path: str) -> Any:
        """What stands there; None where it is one of the partner's ways to say nothing (`empty`, of the rule or of all)."""
        value = at(source, path)
        return None if value in self.empty or value in rule.get("empty", ()) else value


def _fits(rules: Iterable[dict[str, Any]]) -> None:
    """Raises UnusableMapping where one rule would put something into what another makes a text of."""
    made: dict[str, Any] = {"resourceType": "", "status": ""}
    for rule in rules:
        try:
            _put(made, keys(rule["to"]), "")
        except (TypeError, AttributeError, ValueError, IndexError) as wrong:
            raise UnusableMapping(f"{rule['to']} lies within what another rule sets") from wrong


def _word(value: Any) -> str:
    """A code as the tables of a TOML file have it: `1`, `true`; empty for what can be none."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, (int, str)) else ""


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
        target.insert(int(way[-1]), value)
    else:
        target[way[-1]] = value


def _with_places(slot: Resource) -> Resource:
    """With how many more can be booked."""
    return {**slot, "places": max(int(extension(slot, "capacity") or 0) - int(extension(slot, "taken") or 0), 0)}


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
            "ledigeTider": [{"fra": local(first).isoformat(), "til": local(last).isoformat()} for first, last in verdict.instead],
            "bestilling": verdict.about[0] if verdict.about else None,
        }
        return Content(orjson.dumps(body), self._mapping.media_type)


def mapped_format(surroundings: Surroundings) -> MappedFormat:
    """The entry point `mapped`."""
    return MappedFormat(surroundings)
