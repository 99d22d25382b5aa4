"""Checks requests and answers against an OpenAPI 3.0 file: path, parameters, headers, body, status."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs

from adapters.epj.meldingstjener import Request
from adapters.epj.sts import Answer


class Api:
    """One file. `check` raises AssertionError."""

    def __init__(self, text: dict[str, Any]) -> None:
        self._text = _modern(text)
        self._paths = [(re.compile(re.sub(r"\{[^}]+\}", "([^/]+)", path)), path, text) for path, text in self._text["paths"].items()]

    def check(self, request: Request, answer: Answer | None) -> str:
        """The name of the operation, when the request and its answer are as the file says."""
        for pattern, path, operations in self._paths:
            found = pattern.fullmatch(request.path)
            if found and request.method.lower() in operations:
                operation = operations[request.method.lower()]
                named = dict(zip(re.findall(r"\{([^}]+)\}", path), found.groups(), strict=True))
                self._parameters(operation, request, named)
                self._body(operation, request)
                if answer is not None:
                    self._answer(operation, answer)
                return str(operation["operationId"])
        raise AssertionError(f"{request.method} {request.path} is no operation of the API")

    def _parameters(self, operation: dict[str, Any], request: Request, named: dict[str, str]) -> None:
        known = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
        assert {name for name, _ in request.query} <= known, "a parameter that the API does not have"
        for parameter in operation["parameters"]:
            name, schema = parameter["name"], parameter["schema"]
            values = {"path": [named[name]] if name in named else [], "query": [v for k, v in request.query if k == name],
                      "header": [request.headers[name.lower()]] if name.lower() in request.headers else []}[parameter["in"]]
            assert values or not parameter.get("required"), f"{name} is missing"
            if values:
                self._valid(schema, [_typed(v) for v in values] if schema.get("type") == "array" else _typed(values[0], schema))

    def _body(self, operation: dict[str, Any], request: Request) -> None:
        if "requestBody" not in operation:
            assert not request.body and "content-type" not in request.headers
            return
        self._valid(operation["requestBody"]["content"][request.headers["content-type"]]["schema"], json.loads(request.body))

    def _answer(self, operation: dict[str, Any], answer: Answer) -> None:
        """Statuses that the file does not name (401, 423, 429, 503) are what stands before the API."""
        status, _, body = answer
        told = operation["responses"].get(str(status))
        if told is not None and "content" in told:
            self._valid(told["content"]["application/json"]["schema"], json.loads(body))
        elif told is not None:
            assert body == b""

    def _valid(self, schema: dict[str, Any], value: Any) -> None:
        whole = {**schema, "components": self._text["components"]}
        jsonschema_rs.validator_for(whole, validate_formats=True).validate(value)


def _typed(text: str, schema: dict[str, Any] | None = None) -> Any:
    if text in ("true", "false"):
        return text == "true"
    kind = (schema or {}).get("type")
    return int(text) if text.isdigit() and kind in (None, "integer") else text


def _modern(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable`, JSON Schema says null; and its formats of numbers are none of JSON Schema's."""
    if isinstance(schema, list):
        return [_modern(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _modern(value) for name, value in schema.items() if name not in ("nullable", "example")}
    if made.get("format") in ("int32", "date-time"):  # the API's own times have no zone
        del made["format"]
    if schema.get("nullable"):
        return {"anyOf": [{"type": "null"}, made]}
    return made
