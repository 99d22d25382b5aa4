"""An EPJ's settings: `epj.toml` in its home."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on purpose. Shares are of letters, 0 to 1, drawn from the letter's id: the same letter fails the same way."""

    slow: float = 0.0
    """Seconds before each answer."""
    duplicates: float = 0.0
    """Share of our letters that are sent twice."""
    lost_receipts: float = 0.0
    """Share of letters that are stored and then not answered, the first time."""
    rejected: float = 0.0
    """Share of bookings that get a negative AppRec (E35)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`epj.toml`, read."""

    home: Path
    name: str
    title: str
    party: str
    hub_party: str
    hub_url: str
    port: int
    seed: int = 1
    pace: float = 0.0
    """Seconds between what is told of one visit; 0: as quick as it goes."""
    dialog: str = "1.1"
    apprec: str = "1.1"
    agreement: str = ""
    """A CPA's file name in `certs/agreements/`; empty: the national defaults."""
    mail: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the carrier `smtp` (adapters/carriers/smtp.py): then everything goes by mail, and `hub_url` is not used."""
    edi: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the carrier `edi` (adapters/carriers/edi.py): then everything goes by a Meldingstjener, as it is in a box (meldingstjener.py)."""
    staff: int = 8
    """How many visits its calendar has room for at a time."""
    busy: float = 0.0
    """Share of its calendar's quarters that are taken by what the hub knows nothing of."""
    faults: Faults = field(default_factory=Faults)
    functions: Mapping[str, Any] = field(default_factory=dict)


def read(home: Path) -> Settings:
    """Reads `<home>/epj.toml` and the functions it shares with the hub (`<home>/mappings/functions.toml`)."""
    table = tomllib.loads((home / "epj.toml").read_text(encoding="utf-8"))
    functions = tomllib.loads((home / "mappings" / "functions.toml").read_text(encoding="utf-8"))
    faults = Faults(**table.pop("faults", {}))
    return Settings(home=home, faults=faults, functions=functions, **table)
