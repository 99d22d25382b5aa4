"""Patches of a resource: JSON Patch (RFC 6902), merge patch (RFC 7396) and FHIRPath Patch (R4 3.1.0.8.2). Pure; the result is validated as an
update by whoever asks."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer

from hub.fhir import strict_json, validate
from hub.fhir.definitions import Definitions
from hub.fhir.path_patch import Patcher
from hub.message import Resource
from hub.problem import Problem, Refused

MOST_OPERATIONS = 500
LARGEST = 4 * 1024 * 1024


def apply(resource: Resource, body: bytes, media_type: str, definitions: Definitions) -> Resource:
    """The resource after the patch.

    Raises:
        Refused: UNREADABLE, BAD_PATCH (a path that is not there, a test that fails), WRONG_MEDIA_TYPE.
    """
    if media_type == "application/json-patch+json":
        return _json_patch(resource, body)
    if media_type in ("application/merge-patch+json", "application/json"):  # fhirpy sends a merge patch as application/json
        return _whole(_merged(resource, strict_json.load(body)))
    if media_type == "application/fhir+json":
        parameters = strict_json.load(body)
        if parameters.get("resourceType") != "Parameters":
            raise Refused(Problem.BAD_PATCH, "a FHIRPath Patch is a Parameters resource", "resourceType")
        validate.require(parameters, definitions)
        if len(parameters.get("parameter", ())) > MOST_OPERATIONS:
            raise Refused(Problem.BAD_PATCH, f"a FHIRPath Patch has at most {MOST_OPERATIONS} operations")
        return _whole(_pruned(Patcher(resource, definitions).apply(parameters)))
    raise Refused(Problem.WRONG_MEDIA_TYPE, "a patch is application/json-patch+json, application/merge-patch+json or Parameters")


def _json_patch(resource: Resource, body: bytes) -> Resource:
    operations, *more = strict_json.load(b'{"operations":' + body + b"}").values()
    if more or not isinstance(operations, list) or len(operations) > MOST_OPERATIONS:
        raise Refused(Problem.BAD_PATCH, f"a JSON Patch is a list of at most {MOST_OPERATIONS} operations")
    patched: Any = deepcopy(resource)
    try:
        for operation in operations:
            patched = jsonpatch.JsonPatch([operation]).apply(patched, in_place=True)
            if operation["op"] == "copy" and len(strict_json.dump(patched)) > LARGEST:  # forty copies of a copy would fill any memory
                raise Refused(Problem.TOO_LARGE, f"the patch makes a resource of more than {LARGEST} bytes")
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, AttributeError) as wrong:
        raise Refused(Problem.BAD_PATCH, f"the patch does not apply: {type(wrong).__name__}") from wrong
    return _whole(patched)


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made


def _pruned(node: Any) -> Any:
    """Without what a delete has emptied: FHIR's JSON has no empty lists and objects."""
    if isinstance(node, list):
        return [_pruned(item) for item in node]
    if not isinstance(node, dict):
        return node
    walked = {key: _pruned(value) for key, value in node.items()}
    return {key: value for key, value in walked.items() if value not in ([], {})}


def _whole(patched: Any) -> Resource:
    if not isinstance(patched, dict) or "resourceType" not in patched:
        raise Refused(Problem.BAD_PATCH, "what is left is no resource")
    return patched
