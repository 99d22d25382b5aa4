"""R4's invariants of the datatypes and of Bundle, by hand as in hub.fhir.invariants: each gives the text of what a value breaks. What they look at is
judged for its form beside them, so that they say nothing of what has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Node = dict[str, Any]
Said = Iterator[str]
UCUM = "http://unitsofmeasure.org"
_ANSWERED = {"batch": "batch-response", "transaction": "transaction-response"}
_MEALS = frozenset({"C", "CM", "CD", "CV"})


def has(node: Node, name: str) -> bool:
    """As FHIRPath's exists(): by its value, or by an extension alone that says why there is none."""
    return name in node or f"_{name}" in node


def _number(node: Any, name: str = "value") -> float | None:
    value = node.get(name) if isinstance(node, dict) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _dicts(value: Any) -> list[Node]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def contact_point(c: Node) -> Said:
    if has(c, "value") and not has(c, "system"):
        yield "cpt-2: a value needs a system"


def attachment(a: Node) -> Said:
    if has(a, "data") and not has(a, "contentType"):
        yield "att-1: data needs a contentType"


def quantity(q: Node) -> Said:
    if has(q, "code") and not has(q, "system"):
        yield "qty-3: a code of a unit needs its system"


def _measure(key: str, what: str) -> Callable[[Node], Said]:
    def rule(q: Node) -> Said:
        yield from quantity(q)
        if (has(q, "value") and not has(q, "code")) or q.get("system", UCUM) != UCUM:
            yield f"{key}: a value is {what}, by a code of UCUM"
        value = _number(q)
        if (key == "age-1" and value is not None and value <= 0) or (key == "cnt-3" and (q.get("code", "1") != "1" or (value or 0) % 1)):
            yield f"{key}: a value is {what}, by a code of UCUM"

    return rule


def _duration(q: Node) -> Said:
    yield from quantity(q)
    if has(q, "code") and (q.get("system") != UCUM or not has(q, "value")):
        yield "drt-1: a code of a unit is UCUM's, and is of a value"


def _range(r: Node) -> Said:
    low, high = _number(r.get("low")), _number(r.get("high"))
    if low is not None and high is not None and low > high and all(r["low"].get(key) == r["high"].get(key) for key in ("system", "code", "unit")):
        yield "rng-2: low is no higher than high"


def _ratio(r: Node) -> Said:
    if ("numerator" in r) != ("denominator" in r) or ("numerator" not in r and "extension" not in r):
        yield "rat-1: numerator and denominator stand together; without both there is an extension"


def _repeat(r: Node) -> Said:
    for key, name, needed in (
        ("tim-1", "duration", "durationUnit"), ("tim-2", "period", "periodUnit"), ("tim-6", "periodMax", "period"),
        ("tim-7", "durationMax", "duration"), ("tim-8", "countMax", "count"), ("tim-9", "offset", "when"),
    ):
        if has(r, name) and not has(r, needed):
            yield f"{key}: {name} needs {needed}"
    for key, name in (("tim-4", "duration"), ("tim-5", "period")):
        if (_number(r, name) or 0) < 0:
            yield f"{key}: {name} is not negative"
    when = r.get("when")
    if has(r, "offset") and isinstance(when, list) and any(isinstance(each, str) and each in _MEALS for each in when):
        yield "tim-9: offset goes with a when that is not C, CM, CD or CV"
    if has(r, "timeOfDay") and has(r, "when"):
        yield "tim-10: timeOfDay or when, not both"


def _expression(e: Node) -> Said:
    if not has(e, "expression") and not has(e, "reference"):
        yield "exp-1: an expression or a reference"


def _filter(key: str) -> Callable[[Node], Said]:
    def rule(f: Node) -> Said:
        if has(f, "path") == has(f, "searchParam"):
            yield f"{key}: a path or a searchParam, not both"

    return rule


def _trigger(t: Node) -> Said:
    timing, kind = any(name.lstrip("_").startswith("timing") for name in t), t.get("type")
    if "data" in t and timing:
        yield "trd-1: timing or data, not both"
    if "condition" in t and "data" not in t:
        yield "trd-2: a condition goes with data"
    wanted = {"named-event": has(t, "name"), "periodic": timing}.get(kind, True) if isinstance(kind, str) else True
    if not wanted or (isinstance(kind, str) and kind.startswith("data-") and "data" not in t):
        yield "trd-3: a named event has a name, a periodic one timing, one of data its data"


def _parameter(p: Node) -> Said:
    values = {name.lstrip("_") for name in p if name.lstrip("_").startswith("value")}
    if len(values) + ("resource" in p) + ("part" in p) != 1:
        yield "inv-1: one of value, resource and part, and no more"


def _activity(a: Node) -> Said:
    if "detail" in a and "reference" in a:
        yield "cpl-3: a detail or a reference, not both"


def _entry(e: Node) -> Said:
    if not {"resource", "request", "response"} & e.keys():
        yield "bdl-5: an entry has a resource, a request or a response"
    if "/_history/" in str(e.get("fullUrl", "")):
        yield "bdl-8: a fullUrl is of no version"


def _bundle(b: Node) -> Said:
    kind, entries = b.get("type"), _dicts(b.get("entry"))
    if has(b, "total") and kind not in ("searchset", "history"):
        yield "bdl-1: a total belongs to a searchset or a history"
    if kind != "searchset" and any("search" in e for e in entries):
        yield "bdl-2: entry.search belongs to a searchset"
    for key, name, kinds in (("bdl-3", "request", {*_ANSWERED, "history"}), ("bdl-4", "response", {*_ANSWERED.values(), "history"})):
        if any((name in e) != (str(kind) in kinds) for e in entries):
            yield f"{key}: every entry of {', '.join(sorted(kinds))} has a {name}, and none of another type"
    named = [(e["fullUrl"], _version(e)) for e in entries if isinstance(e.get("fullUrl"), str)]
    if kind != "history" and len(set(named)) < len(named):  # HL7's own example «dataelements» has seven that stand twice: that is its fault
        yield "bdl-7: a fullUrl stands once, or each time with another version"
    first = entries[0].get("resource") if entries else None
    begins = first.get("resourceType") if isinstance(first, dict) else None
    if kind == "document":
        named_by = b.get("identifier")
        if not isinstance(named_by, dict) or not has(named_by, "system") or not has(named_by, "value"):
            yield "bdl-9: a document has an identifier, by system and value"
        if "timestamp" not in b:
            yield "bdl-10: a document has a timestamp"
        if begins != "Composition":
            yield "bdl-11: a document begins with a Composition"
    if kind == "message" and begins != "MessageHeader":
        yield "bdl-12: a message begins with a MessageHeader"


def _version(entry: Node) -> str:
    resource = entry.get("resource")
    meta = resource.get("meta") if isinstance(resource, dict) else None
    return str(meta.get("versionId", "")) if isinstance(meta, dict) else ""


RULES: dict[str, Callable[[Node], Said]] = {
    "ContactPoint": contact_point, "Attachment": attachment, "Quantity": quantity, "SimpleQuantity": quantity, "Duration": _duration,
    "Age": _measure("age-1", "a time, more than nothing"), "Count": _measure("cnt-3", "a whole number, and its code is 1"),
    "Distance": _measure("dis-1", "a length"), "Range": _range, "Ratio": _ratio, "Timing.repeat": _repeat, "Expression": _expression,
    "DataRequirement.codeFilter": _filter("drq-1"), "DataRequirement.dateFilter": _filter("drq-2"), "TriggerDefinition": _trigger,
    "Parameters.parameter": _parameter, "CarePlan.activity": _activity, "Bundle.entry": _entry, "Bundle": _bundle,
}
