"""The OpenAPI document is true: everything the CapabilityStatement claims stands in it, everything in it is there, and no call of it is a fault of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on

TOKEN = {"authorization": "Bearer simple-token"}
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    home = tmp_path_factory.mktemp("openapi")
    with hub_on(home / "home", f"sqlite:///{home / 'hub.db'}", per_minute=1_000_000) as made:
        yield made


@pytest.fixture(scope="module")
def document(hub: Machines) -> dict:
    answer = httpx.get(f"{hub.url}/fhir/openapi.json", trust_env=False)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/json")
    found: dict = answer.json()
    return found


def test_it_says_what_the_capability_statement_says(hub: Machines, document: dict) -> None:
    statement = httpx.get(f"{hub.url}/fhir/metadata", trust_env=False).json()
    places = {
        "read": ("/{}/{{id}}", "get"), "vread": ("/{}/{{id}}/_history/{{version}}", "get"), "history-instance": ("/{}/{{id}}/_history", "get"),
        "history-type": ("/{}/_history", "get"), "search-type": ("/{}", "get"), "create": ("/{}", "post"), "update": ("/{}/{{id}}", "put"),
        "patch": ("/{}/{{id}}", "patch"), "delete": ("/{}/{{id}}", "delete"),
    }
    assert {f"/${operation['name']}" for operation in statement["rest"][0]["operation"]} == {path for path in document["paths"] if path.startswith("/$")}
    for row in statement["rest"][0]["resource"]:
        claimed = {i["code"] for i in row["interaction"]}
        for code, (path, method) in places.items():
            assert (method in document["paths"].get(path.format(row["type"]), {})) is (code in claimed), (row["type"], code)
        named = {p["name"] for p in document["paths"][f"/{row['type']}"]["get"]["parameters"]} if "search-type" in claimed else set()
        assert {p["name"] for p in row["searchParam"]} <= named
        for operation in row["operation"]:
            assert any(path.startswith(f"/{row['type']}/") and path.endswith(f"${operation['name']}") for path in document["paths"]), operation


def test_every_call_in_it_has_its_address(hub: Machines, document: dict) -> None:
    assert document["openapi"].startswith("3.") and document["servers"] == [{"url": f"{hub.url}/fhir"}]
    names = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(names) == len(set(names)) > 200
    with httpx.Client(base_url=f"{hub.url}/fhir", headers=TOKEN, trust_env=False, timeout=30) as client:
        for path, methods in document["paths"].items():
            for method in methods:
                content = {"content": b"{}", "headers": {"content-type": "application/fhir+json"}} if method in ("post", "put", "patch") else {}
                content = {"data": {}} if path.endswith("_search") else content
                answer = client.request(method, path.format(id="none", version="1"), **content)
                assert answer.status_code not in (405, 501) and answer.status_code < 500, (method, path, answer.text)
                if answer.status_code == 404 and "{id}" not in path:
                    pytest.fail(f"{method} {path} has no address")


def test_every_way_to_call_an_operation_stands_in_it(hub: Machines, document: dict) -> None:
    """What OPTIONS tells of an operation's address is what the document has: `GET Type/id/$validate`, `Subscription/$status` and others were missing."""
    with httpx.Client(base_url=f"{hub.url}/fhir", trust_env=False) as client:
        for path, methods in document["paths"].items():
            if "$" in path:
                allowed = set(client.options(path.format(id="none")).headers["allow"].lower().split(", ")) - {"head", "options"}
                assert allowed == set(methods), path
        for row in {path.split("/")[1] for path in document["paths"] if path.endswith("$validate")}:
            assert f"/{row}/{{id}}/$validate" in document["paths"]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_schemathesis_finds_no_fault(hub: Machines, document: dict, mode: GenerationMode) -> None:
    """Generated calls, right and wrong ones: never a 5xx, and answers are of the kind that is told. The seed is fixed (derandomize)."""
    calls: list[int] = []
    session = requests.Session()
    session.trust_env = False

    def attempt(operation: APIOperation) -> None:
        @settings(max_examples=1, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None)
        @given(operation.as_strategy(generation_mode=mode))
        def once(case: schemathesis.Case) -> None:
            answer = case.call(base_url=f"{hub.url}/fhir", headers=TOKEN, session=session)
            calls.append(answer.status_code)
            case.validate_response(answer, checks=CHECKS)

        once()

    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        with suppress(Unsatisfiable):  # a call that takes nothing has nothing to be wrong
            attempt(found.ok())
    assert len(calls) > 100 and any(status < 300 for status in calls) and any(400 <= status < 500 for status in calls)
