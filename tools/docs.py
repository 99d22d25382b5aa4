"""Pages that are printed, not kept by hand: docs/problems.md, docs/states.md and docs/conformance.md. `--check` says whether they are current."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

from adapters.carriers.amqp import CONDITION
from adapters.formats.msghead import APPREC
from adapters.seals.codes import EBMS
from hub.delivery import FINAL, NEXT
from hub.fhir.outcome import OUTCOME
from hub.problem import TEXT, Problem

ROOT = Path(__file__).parents[1]
PRINTED = "<!-- Printed by `make docs`; do not edit. -->"


def problems() -> str:
    """The problem table, with its translation at every border."""
    rows = [
        f"| {p.value} | `{p.name}` | {TEXT[p]} | {EBMS[p]} | {APPREC[p]} | {OUTCOME[p][0]} {OUTCOME[p][1]} | {CONDITION[p]} |" for p in Problem
    ]
    head = "| number | name | text (shown to people) | ebMS errorCode | AppRec (8221) | FHIR | AMQP 1.0 |\n|---|---|---|---|---|---|---|"
    about = (
        "Numbers never change; texts may. A shop gets the number, the name, the text and the field in its JSON verdict; an EPJ gets the number"
        " in the MessageError's Description or the AppRec's OT; a FHIR client in OperationOutcome.issue.details."
    )
    return f"# Problems\n\n{PRINTED}\n\n{about}\n\n{head}\n" + "\n".join(rows) + "\n"


def states() -> str:
    """A picture of the delivery's states, drawn from the table that the code runs on."""
    edges = defaultdict(list)
    for (before, step), after in NEXT.items():
        edges[before, after].append(step.value)
    lines = [f"    {before} --> {after}: {', '.join(steps)}" for (before, after), steps in edges.items()]
    lines += [f"    {state} --> [*]" for state in sorted(FINAL)]
    return f"# The states of a delivery\n\n{PRINTED}\n\n```mermaid\nstateDiagram-v2\n    [*] --> due\n" + "\n".join(lines) + "\n```\n"


def conformance() -> str:
    """Which test is for which rule: every rule of tools/rules.toml, tested or not, and whatever else a test cites."""
    found, rules = marked(), tomllib.loads((ROOT / "tools" / "rules.toml").read_text(encoding="utf-8"))
    texts = {(document, rule): text for document, named in rules.items() for rule, text in named.items()}
    missing = [f"{document} {rule}" for document, rule in texts if (document, rule) not in found]
    rows = [
        f"| {document} | {rule} | {texts.get((document, rule), '')} | {'<br>'.join(found[document, rule]) or '**no test**'} |"
        for document, rule in sorted({*texts, *found}, key=_by_number)
    ]
    about = (
        "Numbers are sections of the standard; `facts/…` and `portal.md` are this project's own requirement sheets, by section or number."
        f" Of the {len(texts)} rules in `tools/rules.toml`, {len(texts) - len(missing)} have a test; without: {', '.join(missing) or 'none'}."
    )
    head = "| document | rule | what it says | tests |\n|---|---|---|---|"
    return f"# Conformance: rule → test\n\n{PRINTED}\n\n{about}\n\n{head}\n" + "\n".join(rows) + "\n"


def marked() -> dict[tuple[str, str], list[str]]:
    """(document, rule) → the tests that are marked with it."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for document, rule in _marks(node.decorator_list):
                    found[document, rule].append(f"`{path.relative_to(ROOT / 'tests')}::{node.name}`")
    return found


def _by_number(row: tuple[str, str]) -> tuple[str, list[tuple[bool, int, str]]]:
    """2 before 10, and a number before a word."""
    return row[0], [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in row[1].split(".")]


def _marks(decorators: list[ast.expr]) -> list[tuple[str, str]]:
    return [
        (str(d.args[0].value), str(d.args[1].value)) for d in decorators
        if isinstance(d, ast.Call) and ast.unparse(d.func) == "pytest.mark.spec" and len(d.args) == 2
        and isinstance(d.args[0], ast.Constant) and isinstance(d.args[1], ast.Constant)
    ]


PAGES = {"problems.md": problems, "states.md": states, "conformance.md": conformance}


def main() -> None:
    """Writes the pages, or with `--check` exits 1 if one is not what it would be."""
    folder = ROOT / "docs"
    folder.mkdir(exist_ok=True)
    old = [name for name, page in PAGES.items() if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != page()]
    if "--check" in sys.argv:
        print(f"not current, run `make docs`: {', '.join(old)}" if old else "the printed pages are current")
        sys.exit(bool(old))
    for name in old:
        (folder / name).write_text(PAGES[name](), encoding="utf-8")


if __name__ == "__main__":
    main()
