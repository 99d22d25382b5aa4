"""Value sets and code hierarchies: written out of R4's definitions at set-up (`Codes`), and asked when somebody searches (`Terminology`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Systems = dict[str, set[str] | None]
"""System → codes; None: every code of that system."""
Written = Mapping[str, tuple[str, ...] | None]
"""The same, to be read."""

EVERY_CODE = "?fhir_vs"
"""Behind a code system's URL: the value set of all that it has (R4 snomedct.html#implicit)."""


class Codes:
    """R4's own value sets and code systems, as set-up reads them."""

    def __init__(self, resources: Iterable[Json]) -> None:
        known = list(resources)
        self._sets = {r["url"]: r for r in known if r["resourceType"] == "ValueSet"}
        self._systems = {r["url"]: r for r in known if r["resourceType"] == "CodeSystem" and r.get("content") == "complete"}
        self._asked: dict[str, Systems] = {}
        self._unheld: dict[str, set[str]] = {}

    def of(self, canonical: str) -> Systems | None:
        """What a value set holds; None where it cannot be written out (it is not here, or filters a system that is not)."""
        url = canonical.partition("|")[0]
        value_set = self._sets.get(url)
        if value_set is None:
            return None
        self._unheld[url] = {include["system"] for include in value_set.get("compose", {}).get("include", ()) if "system" in include}
        found: Systems = {}
        for include in value_set.get("compose", {}).get("include", ()):
            part = self._part(include)
            if part is None:
                return None
            for system, codes in part.items():
                earlier = found.get(system, set())
                found[system] = None if codes is None or earlier is None else earlier | codes
        for exclude in value_set.get("compose", {}).get("exclude", ()):
            part = self._part(exclude)
            if part is None:
                return None
            for system, codes in part.items():
                earlier = found.get(system, set())
                if earlier is None or codes is None:
                    return None
                found[system] = earlier - codes
        found = {system: codes for system, codes in found.items() if codes is None or codes}
        if found:
            self._asked[url] = found
            del self._unheld[url]
        return found or None

    def system(self, canonical: str) -> str:
        """The system that its codes are of; empty: several, or not told here."""
        included = self._sets.get(canonical.partition("|")[0], {}).get("compose", {}).get("include", ())
        found = {include.get("system", "") for include in included}
        return found.pop() if len(found) == 1 else ""

    def told(self) -> Json:
        """Every value set that was asked for and can be written out, and the hierarchies of the systems in them."""
        sets = {url: {"version": self._sets[url].get("version", ""), "systems": {s: c if c is None else sorted(c) for s, c in held.items()}}
                for url, held in sorted(self._asked.items())}
        systems = sorted({system for held in self._asked.values() for system in held} & set(self._systems))
        parents = {system: _parents(self._systems[system].get("concept", ())) for system in systems}
        unheld = {url: sorted(systems) for url, systems in sorted(self._unheld.items()) if systems}
        return {"valuesets": sets, "unheld": unheld, "parents": {system: found for system, found in parents.items() if any(found.values())}}

    def _part(self, include: Json) -> Systems | None:
        """An include or exclude; several value sets in one are what they have in common, which R4's own never say."""
        if "valueSet" in include:
            parts = [self.of(canonical) for canonical in include["valueSet"]]
            return parts[0] if len(parts) == 1 and "system" not in include else None
        system = include.get("system", "")
        if "concept" in include:
            return {system: {concept["code"] for concept in include["concept"]}}
        held = self._systems.get(system)
        if "filter" not in include:
            return {system: None if held is None else set(_parents(held.get("concept", ())))}
        if held is None:
            return None
        found = set(_parents(held.get("concept", ())))
        for each in include["filter"]:
            if (each["property"], each["op"]) != ("concept", "is-a"):
                return None
            found &= set(descendants(each["value"], _parents(held["concept"])))
        return {system: found}


def _parents(concepts: Iterable[Json], above: str = "") -> dict[str, list[str]]:
    """Every code below these concepts → the codes that it stands directly under."""
    found: dict[str, list[str]] = {}
    for concept in concepts:
        found.setdefault(concept["code"], []).extend([above] if above else [])
        for code, parents in _parents(concept.get("concept", ()), concept["code"]).items():
            found.setdefault(code, []).extend(parent for parent in parents if parent not in found[code])
    return found


def ancestors(code: str, parents: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The code itself, and all that stands above it."""
    found, fresh = {code: None}, [code]
    while fresh:
        fresh = [parent for each in fresh for parent in parents.get(each, ()) if parent not in found]
        found |= dict.fromkeys(fresh)
    return tuple(found)


def descendants(code: str, parents: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The code itself, and all that stands below it."""
    return tuple(dict.fromkeys([code, *(each for each in parents if code in ancestors(each, parents))]))


@dataclass(frozen=True, slots=True, eq=False)
class Terminology:
    """The value sets and hierarchies that this hub holds."""

    versions: Mapping[str, str]
    """Canonical → version; empty: it has none."""
    sets: Mapping[str, Written]
    """Canonical → what it holds."""
    parents: Mapping[str, Mapping[str, Iterable[str]]]
    """System → code → the codes it stands directly under."""
    unheld: Mapping[str, Iterable[str]]
    """Canonical → the systems that tell what it holds, of a value set of R4 that cannot be written out without them."""

    def within(self, canonical: str) -> Written | None:
        """What a value set holds, by its canonical with or without a version; None: not one that is held here."""
        url, _, version = canonical.partition("|")
        if url.endswith(EVERY_CODE):
            return {url.removesuffix(EVERY_CODE): None}
        return self.sets.get(url) if not version or self.versions.get(url) == version else None


def read(raw: Json, own: Iterable[tuple[str, str, Mapping[str, frozenset[str] | None]]]) -> Terminology:
    """From the compact file, with our `own` value sets (canonical, id, content), which are also known as `ValueSet/id`."""
    sets: dict[str, Written] = {
        url: {system: None if codes is None else tuple(codes) for system, codes in held["systems"].items()} for url, held in raw["valuesets"].items()
    }
    for url, id_, content in own:
        sets[url] = sets[f"ValueSet/{id_}"] = {system: None if codes is None else tuple(sorted(codes)) for system, codes in content.items()}
    return Terminology({url: held["version"] for url, held in raw["valuesets"].items()}, sets, raw["parents"], raw["unheld"])
