"""Row 3: sealing and opening against `as4` from PyPI (ebMS 3, Peppol profile), the nearest library in Python that does the same work.

Both get the same document. Each side counts in bare RSA-2048 signatures of its own process, because as4 needs an older `cryptography` and so an
environment of its own, which is made here (in a folder named by BENCH_PEERS); sides take turns. Both sign, encrypt, verify, decrypt and sign the
receipt; ours also judges the chain and revocation, the CPA's terms and duplicates; as4 packs, models every element and trusts a pinned
certificate.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench import letters
from bench.measure import Row, bare_signature, ratios
from bench.peers import INSTALLED

WANTED = ("as4==0.2.0", "cryptography<47")
ENVIRONMENT = INSTALLED / "as4"
TURNS = 3


def rows() -> Iterator[Row]:
    """Two rows, or none with a line that says why."""
    python = ENVIRONMENT / "bin" / "python"
    try:
        _make(python)
    except (OSError, subprocess.CalledProcessError) as lacking:
        print(f"no as4: {' and '.join(WANTED)} cannot be had here ({type(lacking).__name__})", file=sys.stderr)
        return
    theirs: dict[str, list[float]] = {"send": [], "receive": []}
    ours: dict[str, list[float]] = {"send": [], "receive": []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        both = letters.both(home, letters.CPA, datetime.now(UTC))
        (home / "content").write_bytes(both.content)
        for _ in range(TURNS):
            said = subprocess.run([python, "-m", "bench.as4_peer", home / "content"], cwd=letters.ROOT, check=True, capture_output=True)
            costs, _ = ratios(bare_signature(), [both.seal, both.open])
            for what, cost in zip(("send", "receive"), costs, strict=True):
                ours[what].append(cost)
                theirs[what].append(json.loads(said.stdout)[what])
    for what, times in ours.items():
        us, them = statistics.median(times), statistics.median(theirs[what])
        detail = f"ours {us:.2f}, as4 {them:.2f}, each in signatures of its own process"
        yield Row("3", f"{what}, against as4", them / us, "× our CPU", "≥ 5", "≥ 7", detail)


def _make(python: Path) -> None:
    """The environment, unless it is there. Raises OSError, CalledProcessError."""
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True, capture_output=True)
    if subprocess.run([python, "-c", "import as4"], check=False, capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", *WANTED], check=True, capture_output=True)
