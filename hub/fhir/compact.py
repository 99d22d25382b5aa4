"""R4's own definitions, made small: what the served types need, in one file under the hashes of its sources. Run at set-up."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hub.fhir.terminology import Codes

ROOT = Path(__file__).parents[2]
SERVED = ROOT / "fhir" / "served.json"
OWN = ROOT / "fhir" / "search-parameters.json"
"""Search parameters that R4 lacks and our vendors ask for."""
CORRECTIONS = ROOT / "fhir" / "corrections.json"
"""Where the package says something else than R4."""
TARGET = ROOT / ".assets" / "fhir-r4.json"
OTHERS = ROOT / ".assets" / "fhir-r4-others.json"
"""The resource types that are not served: one may still be contained in one that is."""
SOURCES = ("profiles-resources.json", "profiles-types.json", "search-parameters.json", "valuesets.json", "v3-codesystems.json")
ALSO = ("Resource", "DomainResource", "CapabilityStatement")
"""Types that are never stored here, and whose shape is needed all the same: to inherit from, and to write /metadata as XML."""
Json = dict[str, Any]
_FHIRPATH_STRING = "http://hl7.org/fhirpath/System."
_WHERE_TYPE = re.compile(r"\.where\(resolve\(\) is (\w+)\)$")
_WHERE_SYSTEM = re.compile(r"\.where\(system='(\w+)'\)$")
_IS_SO = re.compile(r"^([\w.]+)\.exists\(\) and \1 != false$")
_KINDS = ("token", "reference", "date", "string", "uri", "quantity", "special")
_SIMPLE = "SimpleQuantity"
"""The type that R4 has as a profile alone: a Quantity without a comparator."""
_BOOLEANS = "http://terminology.hl7.org/CodeSystem/special-values"
"""The system that `true` and `false` may be said to be of (R4 3.1.1.4.10)."""
_AS = re.compile(r"^\(?([\w.]+) as (\w+)\)?$|^([\w.]+)\.(?:as|ofType)\((\w+)\)$")


def build(source: Path, target: Path, beside: Path) -> None:
    """Reads the five official files in `source` and writes `target`, and `beside` it the types that are not served."""
    served = json.loads(SERVED.read_text(encoding="utf-8"))["types"]
    files = {name: (source / name).read_bytes() for name in SOURCES}
    bundles = {name: json.loads(data) for name, data in files.items()}
    types: Json = {}
    others: Json = {}
    structures = [*_resources(bundles["profiles-types.json"]), *_resources(bundles["profiles-resources.json"])]
    for structure in structures:
        name = structure.get("type", "")
        if structure["resourceType"] != "StructureDefinition" or structure.get("derivation") == "constraint":
            continue
        if structure["kind"] in ("complex-type", "primitive-type") or name in served or name in ALSO:
            _elements(structure, types)
        elif structure["kind"] == "resource":
            _elements(structure, others)
    corrections = json.loads(CORRECTIONS.read_text(encoding="utf-8"))
    for each in (types, others):
        _correct(each, corrections)
    bare = {key: element for key, element in types["Quantity"]["elements"].items() if key != "comparator"}  # sqty-1
    types[_SIMPLE] = {**types["Quantity"], "elements": bare}
    codes = Codes([*_resources(bundles["valuesets.json"]), *_resources(bundles["v3-codesystems.json"])])
    _bind(types, codes)
    parameters = [*_resources(bundles["search-parameters.json"]), *_resources(json.loads(OWN.read_text(encoding="utf-8")))]
    parameters = [parameter for parameter in parameters if parameter.get("url") not in corrections["parameters"]]
    made = {
        "sources": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "types": types, "parameters": _parameters(parameters, served, types), **codes.told(),
    }
    _bind(others, codes)
    for path, content in ((target, made), (beside, others)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _resources(bundle: Json) -> list[Json]:
    return [entry["resource"] for entry in bundle["entry"]]


def _elements(structure: Json, types: Json) -> None:
    """Each path with children becomes a type of its own: `Appointment`, `Appointment.participant`."""
    name = structure["type"]
    types[name] = {"kind": structure["kind"], "elements": {}}
    for element in structure["snapshot"]["element"]:
        path = element["path"]
        if "." not in path:
            continue
        parent, _, key = path.rpartition(".")
        kinds = [t["code"] for t in element.get("type", ())]
        simple = any(profile.endswith("/SimpleQuantity") for t in element.get("type", ()) for profile in t.get("profile", ()))
        common: Json = {"min": element["min"], "many": element["max"] == "*" or (element["max"].isdigit() and int(element["max"]) > 1)}
        if element["max"] == "0":
            continue
        if "contentReference" in element:
            common["type"] = element["contentReference"].rpartition("#")[2]
        if element.get("isSummary"):
            common["summary"] = True
        targets = [p.rpartition("/")[2] for t in element.get("type", ()) for p in t.get("targetProfile", ())]
        if targets and "Resource" not in targets:
            common["targets"] = sorted(set(targets))
        binding = element.get("binding", {})
        if "valueSet" in binding:
            common["valueset"] = (binding["valueSet"], binding["strength"] == "required")
        home = types.setdefault(parent, {"kind": "backbone", "elements": {}})["elements"]
        if key.endswith("[x]"):
            for kind in kinds:
                exact = _SIMPLE if simple and kind == "Quantity" else kind
                home[f"{key[:-3]}{kind[0].upper()}{kind[1:]}"] = {**common, "min": 0, "type": exact, "choice": key[:-3], "need": element["min"]}
            continue
        if "type" not in common:
            kind = "string" if kinds and kinds[0].startswith(_FHIRPATH_STRING) else kinds[0] if kinds else "Element"
            common["type"] = path if kind in ("BackboneElement", "Element") else _SIMPLE if simple and kind == "Quantity" else kind
            if key == "id" and structure["kind"] == "resource" and path.count(".") == 1:
                common["type"] = "id"  # the definitions say string and mean this
        home[key] = common


def _correct(types: Json, corrections: Json) -> None:
    """What R4 itself says, where the package says something else."""
    for name, keys in corrections["without"].items():
        for key in keys if name in types else ():
            del types[name]["elements"][key]
    for what, key in (("types", "type"), ("targets", "targets")):
        for name, said in corrections[what].items():
            for element, value in said.items() if name in types else ():
                types[name]["elements"][element][key] = value


def _bind(types: Json, codes: Codes) -> None:
    for elements in types.values():
        for element in elements["elements"].values():
            if "valueset" in element:
                _bound(element, element.pop("valueset"), codes)


def _bound(element: Json, binding: tuple[str, bool], codes: Codes) -> None:
    """What a required binding leaves of codes, and the system that a bare code is of. Any binding makes its value set one to search by."""
    canonical, required = binding
    found = codes.of(canonical)
    if not required:
        return
    if found and None not in found.values():
        element["codes"] = sorted({code for each in found.values() for code in each or ()})
    if element["type"] == "code":
        element["system"] = codes.system(canonical)


def _parameters(parameters: Iterable[Json], served: Mapping[str, Any], types: Json) -> Json:
    made: Json = {name: {} for name in served}
    for parameter in parameters:
        if parameter["type"] not in _KINDS or "expression" not in parameter:
            continue
        for base in parameter["base"]:
            names = list(served) if base in ("Resource", "DomainResource") else [base] if base in served else []
            for name in names:
                paths = [p for p in (_path(part, base, name) for part in parameter["expression"].split("|")) if p]
                if paths:
                    made[name][parameter["code"]] = {
                        "type": parameter["type"], "paths": paths, "implied": sorted({_implied(types, name, p) for p in paths} - {""}),
                    }
    return made


def _implied(types: Json, name: str, path: Json) -> str:
    """The system of an element that holds a bare code or a boolean: its binding says it, the resource does not."""
    element: Json = {"type": name}
    for step in path["path"]:
        element = types.get(element["type"], {}).get("elements", {}).get(step, {"type": ""})
    return _BOOLEANS if element["type"] == "boolean" or "is_so" in path else str(element.get("system", ""))


def _path(expression: str, base: str, name: str) -> Json | None:
    """One alternative of an expression: `Type.a.b`, with `.where(resolve() is X)`, `.where(system='x')` or a type of a choice. None: not ours."""
    text = expression.strip()
    made: Json = {}
    if match := _IS_SO.match(text):
        made["is_so"], text = True, match[1]
    elif match := _WHERE_TYPE.search(text):
        made["target"], text = match[1], text[:match.start()]
    elif match := _WHERE_SYSTEM.search(text):
        made["system"], text = match[1], text[:match.start()]
    if match := _AS.match(text):
        text, kind = match[1] or match[3], match[2] or match[4]
        text += kind[0].upper() + kind[1:]
    text = text.strip("()")
    first, _, rest = text.partition(".")
    if text == name:
        return {"path": []}  # the resource itself: its start and end are a period
    if first not in (base, name) or not re.fullmatch(r"[\w.]+", rest):
        return None
    return {**made, "path": rest.split(".")}
