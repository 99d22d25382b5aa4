"""The OpenAPI 3.1 document of the FHIR face, made from the CapabilityStatement and the definitions, so that it says what they say."""

from __future__ import annotations

from typing import Any

from hub.booking.attachments import KINDS
from hub.fhir.definitions import Definitions, Element

Json = dict[str, Any]
JSON, XML = "application/fhir+json", "application/fhir+xml"
AT_TYPE, AT_INSTANCE = "/${}", "/{{id}}/${}"
OPERATIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "find": (("get", AT_TYPE), ("post", AT_TYPE)), "cancel": (("post", AT_TYPE), ("post", AT_INSTANCE)), "publish": (("get", AT_TYPE),),
    "everything": (("get", AT_INSTANCE), ("post", AT_INSTANCE)), "events": (("get", AT_INSTANCE), ("post", AT_INSTANCE)),
    "status": (("get", AT_TYPE), ("post", AT_TYPE), ("get", AT_INSTANCE), ("post", AT_INSTANCE)), "export": (("get", AT_TYPE), ("post", AT_TYPE)),
    "validate": (("post", AT_TYPE), ("get", AT_INSTANCE), ("post", AT_INSTANCE)),
}
"""How an operation is called; one that is not listed is posted to its type."""
AS_IT_IS = {"Binary": tuple(kind.media_type for kind in KINDS)}
"""What is read in its own media type, unless FHIR is asked for."""
RESULT = ("_count", "_sort", "_total", "_summary", "_elements", "_include", "_revinclude", "_format")
_TOLD = {"_sort": {"description": "Search parameters of this type, at most five; - before one turns it round. The access log: by its time alone"}}
_PRIMITIVES: dict[str, Json] = {
    "boolean": {"type": "boolean"}, "decimal": {"type": "number"}, "integer": {"type": "integer"}, "positiveInt": {"type": "integer", "minimum": 1},
    "unsignedInt": {"type": "integer", "minimum": 0}, "id": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": r"^[A-Za-z0-9.-]{1,64}$"}}
_VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "pattern": r"^[1-9][0-9]{0,9}$"}}
_HISTORY = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("_count", "_since", "_at")]
_IF_MATCH = {"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": "W/\"version\" that the client saw"}


def document(statement: Json, definitions: Definitions, base: str) -> Json:
    """The document; `statement` is the CapabilityStatement as it is served, `base` the FHIR base."""
    server = statement["rest"][0]
    paths: dict[str, Json] = {
        "/metadata": {"get": {**_operation("metadata", "What this server does", "CapabilityStatement"), "security": []}},
        "/openapi.json": {"get": {**_operation("openapi", "This document", ""), "security": [], "responses": {
            "200": {"description": "This document", "content": {"application/json": {"schema": {"type": "object"}}}}}}},
    }
    whole = {interaction["code"] for interaction in server["interaction"]}
    if "transaction" in whole:
        paths["/"] = {"post": _operation("transaction", "A batch or transaction", "Bundle", body="Bundle")}
    if "history-system" in whole:
        paths["/_history"] = {"get": _operation("history-system", "Everything that changed", "Bundle", _HISTORY)}
    for operation in server.get("operation", ()):
        summary = operation.get("documentation", operation["name"])
        asked = _operation(f"{operation['name']}Post", summary, "Parameters", body="Parameters")
        paths[f"/${operation['name']}"] = {"post": asked} | ({"get": _operation("export", summary, "")} if operation["name"] == "export" else {})
    for row in server["resource"]:
        for path, method, operation in (*_interactions(row), *_operations(row)):
            paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Besøksbro FHIR R4", "version": statement["software"]["version"], "description": server.get("documentation", "")},
        "servers": [{"url": base}], "security": [{"bearer": []}], "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: _schema(name, definitions) for name in (*definitions.served, "CapabilityStatement")} | {
                name: {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"const": name}}}
                for name in (row["type"] for row in server["resource"]) if name not in definitions.served
            },
        },
    }


def _interactions(row: Json) -> list[tuple[str, str, Json]]:
    """(path, method, operation) of each interaction that the row claims."""
    type_, codes = row["type"], {interaction["code"] for interaction in row["interaction"]}
    one, criteria = f"/{type_}/{{id}}", _searched(row)
    tag = {"tags": [type_]}
    every = {
        "read": [(one, "get", _operation(f"read{type_}", f"One {type_}", type_, [_ID]))],
        "vread": [(f"{one}/_history/{{version}}", "get", _operation(f"vread{type_}", f"An older {type_}", type_, [_ID, _VERSION]))],
        "history-instance": [(f"{one}/_history", "get", _operation(f"history{type_}", f"What one {type_} was", "Bundle", [_ID, *_HISTORY]))],
        "history-type": [(f"/{type_}/_history", "get", _operation(f"historyOf{type_}", f"What every {type_} was", "Bundle", _HISTORY))],
        "search-type": [(f"/{type_}", "get", _operation(f"search{type_}", f"{type_} that match", "Bundle", criteria))],
        "create": [(f"/{type_}", "post", _operation(f"create{type_}", f"A new {type_}", type_, body=type_))],
        "update": [(one, "put", _operation(f"update{type_}", f"A {type_} as it is now", type_, [_ID, _IF_MATCH], body=type_))],
        "patch": [(one, "patch", {**_operation(f"patch{type_}", f"Parts of a {type_}", type_, [_ID, _IF_MATCH]), "requestBody": _patch()})],
        "delete": [(one, "delete", _operation(f"delete{type_}", f"A {type_} is gone", "", [_ID, _IF_MATCH]))],
    }
    if "create" in codes or "update" in codes or row["versioning"] != "no-version":
        form = _operation(f"searchForm{type_}", f"{type_} that match, with nothing in the address", "Bundle")
        properties = {parameter["name"]: parameter["schema"] for parameter in criteria}
        content = {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": properties}}}
        every["search-type"].append((f"/{type_}/_search", "post", {**form, "requestBody": {"content": content}}))
    return [(path, method, {**operation, **tag}) for code, found in every.items() if code in codes for path, method, operation in found]


def _operations(row: Json) -> list[tuple[str, str, Json]]:
    found = []
    for operation in row.get("operation", ()):
        code = operation["name"]
        for method, where in OPERATIONS.get(code, (("post", AT_TYPE),)):
            name = f"{code}{row['type']}{'One' if where is AT_INSTANCE else ''}{method.capitalize()}"
            parameters, body = [_ID] if where is AT_INSTANCE else [], "Parameters" if method == "post" else ""
            made = _operation(name, operation.get("definition", code), "", parameters, body)
            found.append((f"/{row['type']}{where.format(code)}", method, {**made, "tags": [row["type"]]}))
    return found


def _operation(name: str, summary: str, gives: str, parameters: list[Json] | None = None, body: str = "") -> Json:
    """One operation. `gives`: the resource type of a good answer; empty: told elsewhere, or none."""
    good: Json = {"description": summary}
    if gives:
        good["content"] = {JSON: {"schema": _ref(gives)}, XML: {}, **{kind: {} for kind in AS_IT_IS.get(gives, ())}}
    error = {"description": "An OperationOutcome says what is wrong", "content": {JSON: {"schema": _ref("OperationOutcome")}, XML: {}}}
    made: Json = {
        "operationId": name, "summary": summary, "parameters": parameters or [],
        "responses": {"2XX": good, "304": {"description": "As it was"}, "4XX": error, "5XX": error},
    }
    if body:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(body)}}}
    return made


def _searched(row: Json) -> list[Json]:
    own = [
        {"name": parameter["name"], "in": "query", "description": parameter.get("documentation", parameter["type"]), "schema": {"type": "string"}}
        for parameter in row.get("searchParam", ())
    ]
    return [*own, *({"name": name, "in": "query", "schema": {"type": "string"}, **_TOLD.get(name, {})} for name in RESULT)]


def _patch() -> Json:
    """The three kinds of patch."""
    step = {"type": "object", "required": ["op", "path"], "properties": {"op": {"type": "string"}, "path": {"type": "string"}}}
    return {"required": True, "content": {
        "application/json-patch+json": {"schema": {"type": "array", "items": step}}, "application/merge-patch+json": {"schema": {"type": "object"}},
        JSON: {"schema": _ref("Parameters")},
    }}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(name: str, definitions: Definitions) -> Json:
    """The elements of a resource type by name. What lies within a datatype is R4's own: it is validated, and not written out here."""
    type_ = definitions.types[name]
    return {
        "type": "object", "required": ["resourceType", *(e for e in type_.required if e != "resourceType")],
        "properties": {"resourceType": {"const": name}, **{key: _element(element) for key, element in type_.elements.items()}},
    }


def _element(element: Element) -> Json:
    one = _PRIMITIVES.get(element.type) or ({"type": "string"} if element.type[:1].islower() else {"type": "object", "description": element.type})
    if element.codes is not None and one == {"type": "string"}:
        one = {"type": "string", "enum": sorted(element.codes)}
    return {"type": "array", "items": one, "minItems": 1} if element.many else one
