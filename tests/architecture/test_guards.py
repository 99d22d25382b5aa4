"""Guards of the house plan that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from adapters.carriers.amqp import CONDITION
from adapters.formats.msghead import APPREC
from adapters.seals.codes import EBMS, FAULTS
from ebxml.errors import Fault
from hub.fhir.outcome import OUTCOME
from hub.problem import TEXT, Problem

ROOT = Path(__file__).parents[2]
SOURCES = [p for room in ("hub", "ebxml", "adapters", "tools", "bench") for p in (ROOT / room).rglob("*.py") if "versions" not in p.parts]
VENDORS = re.compile(r"visma|acos|cosdoc|gerica|tieto|helsenorge|tjenesteshop", re.IGNORECASE)


@pytest.mark.parametrize("table", [TEXT, APPREC, EBMS, OUTCOME, CONDITION], ids=["text", "apprec", "ebms", "outcome", "amqp"])
def test_every_problem_has_a_row_at_every_border(table: dict[Problem, object]) -> None:
    assert set(table) == set(Problem)


def test_every_fault_of_ebxml_is_a_problem_and_no_number_is_used_twice() -> None:
    assert set(FAULTS) == set(Fault)
    assert len({p.value for p in Problem}) == len(Problem) and all(re.fullmatch(r"BB-\d{3}", p.value) for p in Problem)


def test_no_branch_asks_for_a_vendors_name() -> None:
    """Partners differ in rows, not in branches."""
    found = []
    for path in SOURCES:
        if path.is_relative_to(ROOT / "adapters" / "demo") or path.is_relative_to(ROOT / "bench"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare | ast.Match):
                found += [f"{path.name}: {c.value}" for c in ast.walk(node) if isinstance(c, ast.Constant) and VENDORS.search(str(c.value))]
    assert found == []


def test_modules_and_public_classes_say_what_they_are() -> None:
    silent = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path))
        silent += [f"{path}:{n.name}" for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")
                   and not ast.get_docstring(n) and not n.bases]
    assert silent == []


def test_importing_any_module_does_nothing() -> None:
    """No engine, environment, socket or file at import: what a fresh interpreter has open after importing everything."""
    code = (
        "import os, sys, importlib; before = len(os.listdir('/proc/self/fd'));"
        "import hub.app, hub.commands, adapters.demo.check, adapters.seals.ebms, ebxml.inspect;"
        "print(len(os.listdir('/proc/self/fd')) - before)"
    )
    import sys

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip() == "0"


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_machine() -> None:
    forbidden = re.compile("|".join(("registry" + r"\.npmjs", "pypi" + r"\.org", "files" + r"\.pythonhosted", "/wo" + "rk/", "deb" + r"\.debian")))
    found = [str(p) for p in tracked() if p.suffix not in (".png",) and forbidden.search(p.read_text(encoding="utf-8", errors="ignore"))]
    assert found == []


def test_no_national_id_that_could_be_somebodys_is_in_the_tree() -> None:
    """Eleven digits with right check digits must be a synthetic number: its month is 41 or more."""
    from hub.booking import national_id

    vectors = {"02013299997", "30108299920", "30108299939"}  # published by Skatteetaten for the rule of 2032
    found = []
    for path in tracked():
        if path.suffix in (".py", ".toml", ".json", ".md", ".html"):
            for number in re.findall(r"(?<!\d)\d{11}(?!\d)", path.read_text(encoding="utf-8", errors="ignore")):
                if number not in vectors and national_id.valid(number) and int(number[2:4]) <= 12:
                    found.append(f"{path}: {number}")
    assert found == []


def test_the_dockerfile_and_compose_are_plain_and_whole() -> None:
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    words = {line.split()[0] for line in docker.splitlines() if line and not line.startswith((" ", "#"))}
    assert words <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "VOLUME", "ENTRYPOINT", "CMD", "HEALTHCHECK"}
    assert "USER" in words and "latest" not in docker
    import yaml  # type: ignore[import-untyped]

    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert set(services) >= {"hub-1", "hub-2", "postgres", "rabbitmq"}
    assert all("latest" not in s.get("image", "") for s in services.values())
