"""The dev PKI of the tests: its keys are made once for each process and copied, since to make them is slow and no test is about them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from adapters.registries import pki

_folder = tempfile.TemporaryDirectory(prefix="dev-keys-")


def dev_pki(folder: Path, parties: Mapping[str, str], now: datetime) -> None:
    """What `pki.make_dev_pki` makes; its keys are made once, since no test is about them."""
    shutil.copytree(_pki(tuple(parties.items()), now), folder)


@cache
def _pki(parties: tuple[tuple[str, str], ...], now: datetime) -> Path:
    made = Path(tempfile.mkdtemp(dir=_folder.name))
    pki.make_dev_pki(made, dict(parties), now)
    return made
