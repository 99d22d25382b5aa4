"""`$validate` (R4 resource-operation-validate.html): of what is sent, or of what is kept, for itself or for a write that is tried and undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.faces.interaction import JSON, Answer, Asked
from hub.faces.parameters import parameters_of
from hub.faces.reading import Reading
from hub.fhir import strict_json, validate
from hub.fhir.definitions import Definitions
from hub.fhir.outcome import OUTCOME, validated
from hub.message import Resource
from hub.problem import Issue, Problem, Refused

WRITES = {"create": ("POST", "c"), "update": ("PUT", "u"), "delete": ("DELETE", "d")}
"""Mode → the method that it asks about, and the scope that this needs."""
_WHERE = "Parameters.parameter"


class Undone(Refused):
    """What was tried would have been done; raised so that nothing of it stays."""


def undo(_: Answer) -> None:
    """Ends a transaction that only asked. Raises Undone."""
    raise Undone(Problem.INVALID, "tried, and undone")


class Validating:
    """The operation, on a type and on one resource."""

    def __init__(self, definitions: Definitions, reading: Reading, tried: Callable[[Asked], None]) -> None:
        """`tried` raises Refused for what a write would be refused for, and Undone where it would not."""
        self._definitions, self._reading, self._tried = definitions, reading, tried

    def answer(self, asked: Asked) -> Answer:
        """200 with every issue, whatever is found; an error only where there is nothing that could be judged.

        Raises:
            Refused: INVALID: no resource, another mode than R4's, a profile that is not known here; UNKNOWN_RESOURCE.
        """
        type_, id_ = asked.path[0], asked.path[1] if len(asked.path) > 2 else ""
        given = [*asked.pairs, *(parameters_of(strict_json.load(asked.body)) if asked.body else ())]
        sent, mode = _last(given, "resource"), _last(given, "mode") or ""
        if mode not in ("", "profile", *WRITES):
            raise Refused(Problem.INVALID, "mode is create, update, delete or profile", _WHERE)
        if mode == "delete":
            if not id_:
                raise Refused(Problem.INVALID, "mode delete is asked of one resource: Type/id/$validate", _WHERE)
            return Answer(200, validated(self._would(asked, mode, id_, None)))
        if sent is None and id_ and mode in ("", "profile"):
            kept = self._reading.read(replace(asked, query="", headers={}), type_, id_)
            return replace(kept, body=validated(self._issues(asked, given, mode, strict_json.load(kept.body))), headers=())
        if not isinstance(sent, dict):
            raise Refused(Problem.INVALID, "the resource is missing", _WHERE, (Issue("required", _WHERE, "the resource is missing"),))
        issues = self._issues(asked, given, mode, sent)
        if mode in WRITES and not any(issue.severity == "error" for issue in issues):
            issues = [*issues, *self._would(asked, mode, id_ or str(sent.get("id", "")), sent)]
        return Answer(200, validated(issues))

    def _issues(self, asked: Asked, given: list[tuple[str, Any]], mode: str, resource: Resource) -> list[Issue]:
        """Raises Refused INVALID for a profile that cannot be judged by (R4: the server SHALL return an error)."""
        wanted = tuple(v for n, v in given if n == "profile" and isinstance(v, str) and v)
        unknown = [url for url in wanted if url.partition("|")[0] not in self._definitions.profiles.by_url]
        if unknown or (mode == "profile" and not wanted):
            text = "a profile that is not known here" if unknown else "mode profile needs a profile"
            raise Refused(Problem.INVALID, text, _WHERE, (Issue("not-supported" if unknown else "required", _WHERE, text),))
        if resource.get("resourceType") != asked.path[0]:
            return [Issue("invalid", "resourceType", f"not a {asked.path[0]}")]
        return validate.check(resource, self._definitions, wanted)

    def _would(self, asked: Asked, mode: str, id_: str, resource: Resource | None) -> list[Issue]:
        """What a write of this kind would be refused for: its rules, who may, what is there already."""
        type_, (method, scope) = asked.path[0], WRITES[mode]
        if asked.reader is not None and not asked.reader.may(type_, scope):
            return [Issue("forbidden", type_, f"this token does not give {type_}.{scope}", Problem.SCOPE_MISSING)]
        if mode == "update" and not id_:
            return [Issue("required", f"{type_}.id", "an update is of a resource with an id")]
        path = (type_,) if mode == "create" else (type_, id_)
        body = strict_json.dump(resource) if resource is not None else b""
        try:
            self._tried(replace(asked, method=method, path=path, query="", headers={b"content-type": JSON.encode()}, body=body))
        except Undone:
            return []
        except Refused as refused:
            return list(refused.issues) or [Issue(OUTCOME[refused.problem][1], refused.where or type_, refused.detail, refused.problem)]
        return []


def _last(given: list[tuple[str, Any]], name: str) -> Any:
    return next((value for each, value in reversed(given) if each == name), None)
