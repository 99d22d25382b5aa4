"""The ceilings of the house plan, section 8: modules of at most 300 lines, functions of at most 40, no module with a name that says nothing."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("hub", "ebxml", "adapters", "tools", "bench")
MODULE, FUNCTION, FLOW = 300, 40, 150
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
GENERATED = "migrations/versions"


def too_large(path: Path) -> list[str]:
    """What of one module is over a ceiling."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    name = path.relative_to(ROOT)
    limit = FLOW if name == Path("hub/flow.py") else MODULE
    found = [f"{name}: {lines} lines (at most {limit})"] if lines > limit else []
    found += [f"{name}: a name that says nothing"] if path.stem in EMPTY_NAMES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring(node)
            if length > FUNCTION:
                found.append(f"{name}:{node.lineno} {node.name}: {length} lines (at most {FUNCTION})")
    return found


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of its docstring: they do not count."""
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0


def main() -> None:
    """Exit code 1 if anything is over."""
    paths = [p for room in ROOMS for p in sorted((ROOT / room).rglob("*.py")) if GENERATED not in str(p)]
    found = [line for path in paths for line in too_large(path)]
    print("\n".join(found) or f"{len(paths)} modules are within the ceilings")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
