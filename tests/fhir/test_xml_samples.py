"""XML both ways: other people's resources go through XML and come back the same; any bytes are a resource or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.fhir import definitions, strict_json, validate, xml
from hub.problem import Problem, Refused

D = definitions.load()
STANDARDS = Path(__file__).parents[3] / "shared/standards/fhir-no"
SERVED = set(D.served)
pytestmark = pytest.mark.skipif(not STANDARDS.exists(), reason="the folder of standards (../shared/standards) is not there")


def resources() -> list[Path]:
    found = []
    for path in sorted(STANDARDS.rglob("*.json")):
        try:
            loaded = json.loads(path.read_bytes())
        except ValueError:
            continue
        if isinstance(loaded, dict) and loaded.get("resourceType") in SERVED and not any(
            issue.severity == "error" for issue in validate.check(loaded, D)
        ):
            found.append(path)
    return found


def test_every_valid_sample_survives_the_way_through_xml() -> None:
    samples = resources()
    assert len(samples) > 10
    for path in samples:
        sent = strict_json.load(path.read_bytes())
        back = xml.from_xml(xml.to_xml(sent, D), D)
        assert strict_json.dump(_sorted(back)) == strict_json.dump(_sorted(_narrative(sent, back))), path.name


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda t: f'<Device xmlns="http://hl7.org/fhir">{t}</Device>'.encode()))
def test_any_bytes_are_a_resource_or_refused(body: bytes) -> None:
    try:
        assert xml.from_xml(body, D)["resourceType"] in SERVED
    except Refused as refused:
        assert refused.problem in (Problem.UNREADABLE, Problem.INVALID)


def _sorted(node: Any) -> Any:
    """XML has the definitions' order, JSON the sender's."""
    if isinstance(node, list):
        return [_sorted(item) for item in node]
    return {key: _sorted(node[key]) for key in sorted(node)} if isinstance(node, dict) else node


def _narrative(sent: Any, back: Any) -> Any:
    """A div is compared as XML elsewhere: quotes and entities may be spelled otherwise."""
    if isinstance(sent, list):
        return [_narrative(a, b) for a, b in zip(sent, back, strict=True)]
    if isinstance(sent, dict):
        return {k: back[k] if k == "div" else _narrative(v, back[k]) for k, v in sent.items()}
    return sent
