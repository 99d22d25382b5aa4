"""npm's fhir-kit-client against a running hub, on both databases: what its users do works as they expect (facts/fhir.md 4.1)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines

LIBRARY = Path(__file__).parents[2] / ".assets/node/node_modules/fhir-kit-client/dist/index.js"


@pytest.mark.spec("facts/fhir", "4.1")
def test_its_users_read_search_page_write_patch_validate_and_post_bundles(hub: Machines, node: list[str]) -> None:
    assert LIBRARY.is_file(), "run make setup: it fetches the client"
    script, patient = Path(__file__).with_name("kit_client.mjs"), TOWN.persons[0].reference.partition("/")[2]
    done = subprocess.run(
        [*node, str(script), str(LIBRARY), f"{hub.url}/fhir", "simple-token", patient], capture_output=True, text=True, timeout=120, check=False,
    )
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr
