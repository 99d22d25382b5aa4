"""What `besoksbro cpa show | check | make` do: files in, words or a CPA out. The work itself is ebxml's."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from ebxml import agreed, draft
from ebxml.draft import Draft, Exchange, Side
from ebxml.errors import Violation


class BadFacts(ValueError):
    """The file cannot be used; the text says what to change."""


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as wrong:
        raise BadFacts(f"{file} kan ikke leses: {wrong.strerror}") from wrong


def show(file: Path) -> str:
    """In words. Raises BadFacts when it is no CPA."""
    try:
        return agreed.show(_bytes(file))
    except Violation as wrong:
        raise BadFacts(f"{file} er ingen CPA: {wrong.description}") from wrong


def check(file: Path, at: datetime | None = None) -> list[str]:
    """What is wrong. A time without a zone is UTC; none is now. Raises BadFacts when there is no file."""
    when = datetime.now(UTC) if at is None else at if at.tzinfo else at.replace(tzinfo=UTC)
    return agreed.check(_bytes(file), when)


def make(facts: Path) -> bytes:
    """A draft from a TOML file of facts (docs/cpa.md). Paths of certificates start at the file's folder.

    Raises:
        BadFacts: something is missing, or of the wrong kind.
    """
    try:
        told = tomllib.loads(_bytes(facts).decode())
        sides = [_side(facts.parent, party) for party in told["party"]]
        if len(sides) != 2:
            raise BadFacts("en avtale har to parter: [[party]] to ganger")
        hers = [side.her for side in sides]
        exchanges = [
            Exchange(str(e["service"]), str(e["action"]), str(e["from_role"]), str(e["to_role"]), hers.index(str(e["sender"])))
            for e in told["exchange"]
        ]
        more = {name: told[name] for name in ("sync", "retries", "retry_interval", "persist", "packed") if name in told}
        return draft.make(Draft(str(told["id"]), (sides[0], sides[1]), exchanges, _time(told["start"]), _time(told["end"]), **more))
    except KeyError as missing:
        raise BadFacts(f"{facts}: mangler {missing.args[0]}") from missing
    except BadFacts:
        raise
    except ValueError as wrong:
        raise BadFacts(f"{facts}: {wrong}") from wrong


def _side(folder: Path, party: dict[str, Any]) -> Side:
    certificates = [x509.load_pem_x509_certificate(_bytes(folder / str(party[kind]))) for kind in ("signing", "encryption")]
    return Side(str(party["name"]), str(party["her"]), str(party["endpoint"]), *certificates)


def _time(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadFacts("start og end skal være tidspunkter med sone, f.eks. 2027-01-01T00:00:00Z")
    return value
