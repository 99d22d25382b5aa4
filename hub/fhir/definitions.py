"""The definitions the server runs on: R4's own, made compact at set-up, and what we wrote in fhir/."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from hub.fhir import compact, profiles, terminology

FOLDER = compact.ROOT / "fhir"


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type: how often, of which type, and what binds it."""

    type: str
    min: int
    many: bool
    choice: str = ""
    """`value` for valueString; at most one of a choice may stand."""
    need: int = 0
    """For a choice: at least one must."""
    codes: frozenset[str] | None = None
    """A required binding's codes, where they can be written out."""
    targets: frozenset[str] | None = None
    """The types a reference may point to; None: any."""
    summary: bool = False
    """It comes with `_summary=true`."""


@dataclass(frozen=True, slots=True)
class Type:
    """A resource, datatype or backbone element."""

    name: str
    kind: str
    elements: dict[str, Element]
    required: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    """Choices of which one must stand."""

    def near(self, name: str) -> str:
        """What a slip of the pen may have meant, in words: R4 has a spelling of its own of cancelationReason."""
        found = get_close_matches(name, self.elements, 1, 0.8)
        return f": is {found[0]} meant?" if found else ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of one type."""

    name: str
    type: str
    """`token`, `reference`, `date`, `string`, `uri`, `quantity` (of time) or `special` (a position)."""
    paths: tuple[dict[str, Any], ...]
    implied: frozenset[str] = frozenset()
    """Of a token: the systems that its bare codes are of by their binding; a client may name them."""


@dataclass(frozen=True, slots=True)
class Served:
    """How one resource type is served (fhir/served.json)."""

    main: str = ""
    """The search parameter of the main time."""
    begins: bool = False
    """The main time is a period and searched by its beginning alone, which is quick however many there are."""
    limit: str | None = None
    """The parameter that a vendor's departments limit."""
    write: str = ""
    """Whose rules a client's writing follows: `record` (kept as it is sent), `booking` (hub.booking), `answer` (an AppointmentResponse),
    `subscription` (hub.feeds); empty: only the hub itself writes."""
    delete: bool = False
    """It may be deleted; what belongs to a person's record may not."""
    part: str = ""
    """The search parameter by which one lies below another of its type."""
    view: bool = False
    """Made from other rows when it is asked for: no index has it, so that nothing includes it or chains through it."""


@dataclass(frozen=True, slots=True, eq=False)
class Definitions:
    """Everything, read once."""

    types: dict[str, Type]
    parameters: dict[str, dict[str, Parameter]]
    served: dict[str, Served]
    capability: dict[str, Any] = field(repr=False)
    profiles: profiles.Profiles = field(repr=False)
    terminology: terminology.Terminology = field(repr=False)

    def of_all(self) -> dict[str, Type]:
        """The types, and those of R4 that are not served: read when one is first met, contained in one that is."""
        return {**_others(), **self.types}


@lru_cache(maxsize=1)
def load(path: Path = compact.TARGET) -> Definitions:
    """Reads the compact file.

    Raises:
        FileNotFoundError: set-up was not run.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing: run make setup")
    raw = orjson.loads(path.read_bytes())
    served = json.loads(compact.SERVED.read_text(encoding="utf-8"))["types"]
    known = profiles.load()
    own = [(r["url"], r["id"], known.sets[r["url"]].systems) for r in known.resources if r["resourceType"] == "ValueSet"]
    return Definitions(
        types={name: _type(name, t) for name, t in raw["types"].items()},
        parameters={
            name: {
                code: Parameter(code, p["type"], tuple(p["paths"]), frozenset(p["implied"]))
                for code, p in parameters.items() if code in served.get(name, {}).get("only", parameters)
            }
            for name, parameters in raw["parameters"].items()
        },
        served={
            name: Served(
                row.get("main", ""), row.get("begins", False), row.get("limit"), row.get("write", ""),
                row.get("delete", False), row.get("part", ""), row.get("view", False),
            )
            for name, row in served.items()
        },
        capability=_capability(known), profiles=known, terminology=terminology.read(raw, own),
    )


@lru_cache(maxsize=1)
def _others() -> dict[str, Type]:
    return {name: _type(name, t) for name, t in orjson.loads(compact.OTHERS.read_bytes()).items()}


def _capability(known: profiles.Profiles) -> dict[str, Any]:
    """The statement with the profiles that a resource may declare."""
    statement: dict[str, Any] = json.loads((FOLDER / "capability-statement.json").read_text(encoding="utf-8"))
    for row in statement["rest"][0]["resource"]:
        if supported := known.of_type(row["type"]):
            row["supportedProfile"] = supported
    return statement


def _type(name: str, raw: dict[str, Any]) -> Type:
    elements = {key: _element(e) for key, e in raw["elements"].items()}
    return Type(
        name, raw["kind"], elements, tuple(key for key, e in elements.items() if e.min),
        tuple({e.choice for e in elements.values() if e.choice and e.need}),
    )


def _element(raw: dict[str, Any]) -> Element:
    return Element(
        raw["type"], raw["min"], raw["many"], raw.get("choice", ""), raw.get("need", 0),
        frozenset(raw["codes"]) if "codes" in raw else None, frozenset(raw["targets"]) if "targets" in raw else None,
        raw.get("summary", False),
    )
