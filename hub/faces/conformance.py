"""The profiles and value sets that are checked here (fhir/profiles.json), for whoever wants to read them: no token is needed."""

from __future__ import annotations

from urllib.parse import urlencode

import orjson

from hub.faces.interaction import READS, Answer, Asked
from hub.fhir import bundle, paging
from hub.fhir.outcome import ignored
from hub.fhir.profiles import Profiles
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Stored

TYPES = ("StructureDefinition", "ValueSet")
OPERATIONS = [{"name": "message", "definition": "https://besoksbro.example/fhir/OperationDefinition/message", "documentation":
               "What became of a message of the caller's own, by its id."}]
"""What is asked of the whole server."""
PUBLIC = (("metadata",), ("openapi.json",), (".well-known", "smart-configuration"))
"""What else anybody may read."""
UNDERSTOOD = ("url", "_id")
_HEADERS = ((b"cache-control", b"public, max-age=300"), (b"vary", b"accept"))


def open_to_all(path: tuple[str, ...]) -> bool:
    """Anybody may read this address below the FHIR base, without a token."""
    return path in PUBLIC or path[:1] in [(type_,) for type_ in TYPES]


def rows() -> list[Resource]:
    """What the CapabilityStatement says of them."""
    parameters = [
        {"name": "url", "type": "uri", "documentation": "The canonical of the profile, or of the Norwegian one that it imposes."},
        {"name": "_id", "type": "token"},
    ]
    return [{
        "type": type_, "interaction": [{"code": "read"}, {"code": "search-type"}], "versioning": "no-version", "searchParam": parameters,
        "operation": [], "documentation": "Part of the hub, the same for everybody; without a token.",
    } for type_ in TYPES]


def answer(asked: Asked, pairs: list[tuple[str, str]], profiles: Profiles, base: str) -> Answer:
    """Read, or search by `url` and `_id`; `pairs` is what is searched by.

    Raises:
        Refused: UNKNOWN_RESOURCE, BAD_SEARCH.
    """
    type_, below = asked.path[0], asked.path[1:]
    of_type = [r for r in profiles.resources if r["resourceType"] == type_]
    if len(below) > 1 or below == ("_history",) or (asked.method not in READS and below != ("_search",)):
        raise Refused(Problem.UNKNOWN_RESOURCE, f"{type_} is read and searched, and nothing more")
    if below and below != ("_search",):
        found = next((r for r in of_type if r["id"] == below[0]), None)
        if found is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, f"no {type_} with that id")
        return _given(orjson.dumps(found))
    wanted = {name: value.split(",") for name, value in pairs if name in UNDERSTOOD and value}
    others = sorted({name[:40] for name, _ in pairs if name not in UNDERSTOOD and name not in ("_count", "_format", "_pretty", "_summary", "_after")})
    if others and asked.strict:
        raise Refused(Problem.BAD_SEARCH, f"{type_} is searched by {' and '.join(UNDERSTOOD)}")
    matches = sorted([r for r in of_type if _matches(r, wanted, profiles)], key=lambda r: str(r["id"]))
    note = ignored(["what this type is not searched by"] if others else [])
    return _given(_page(matches, dict(pairs), f"{base}/{type_}", [(name, ",".join(values)) for name, values in wanted.items()], base, note))


def _page(matches: list[Resource], asked: dict[str, str], where: str, used: list[tuple[str, str]], base: str, note: bytes | None) -> bytes:
    count = 0 if asked.get("_summary") == "count" else paging.count_of(asked.get("_count", str(paging.USUAL)))
    used += [(name, asked[name]) for name in ("_count", "_summary", "_format", "_pretty") if name in asked]
    rest = [r for r in matches if r["id"] > asked.get("_after", "")]
    shown = [Stored(r["resourceType"], r["id"], 1, 0, 0, orjson.dumps(r).decode()) for r in rest[:count]]
    links = [("self", f"{where}?{urlencode(used)}".rstrip("?"))]
    if len(rest) > count > 0:
        links.append(("next", f"{where}?{urlencode([*used, ('_after', shown[-1].id)])}"))
    return bundle.searchset(base, shown, (), len(matches), links, note)


def _matches(resource: Resource, wanted: dict[str, list[str]], profiles: Profiles) -> bool:
    if "_id" in wanted and resource["id"] not in wanted["_id"]:
        return False
    urls = {resource["url"]} | {url for url, profile in profiles.by_url.items() if profile.url == resource["url"]}
    return "url" not in wanted or bool(urls & set(wanted["url"]))


def _given(body: bytes) -> Answer:
    return Answer(200, body, _HEADERS)
