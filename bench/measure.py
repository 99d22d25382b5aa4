"""How things are timed: CPU where only the CPU counts, medians of rounds, everything against a limit of the same run."""

from __future__ import annotations

import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is in units of the limit named in `against`."""

    number: str
    what: str
    ratio: float
    against: str
    must: str
    goal: str
    detail: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def cpu(work: Callable[[], object], seconds: float = 0.4, rounds: int = 5) -> float:
    """Median CPU seconds of one call."""
    work()
    medians = []
    for _ in range(rounds):
        calls, began = 0, time.process_time()
        while time.process_time() - began < seconds / rounds or calls < 5:
            work()
            calls += 1
        medians.append((time.process_time() - began) / calls)
    return statistics.median(medians)


def ratios(unit: Callable[[], object], works: list[Callable[[], object]], rounds: int = 7) -> tuple[list[float], float]:
    """(CPU of each work in units, CPU seconds of the unit): medians of rounds in which all take turns."""
    found: list[list[float]] = [[] for _ in works]
    units = []
    for _ in range(rounds):
        units.append(cpu(unit, 0.1, 1))
        for each, work in zip(found, works, strict=True):
            each.append(cpu(work, 0.1, 1) / units[-1])
    return [statistics.median(each) for each in found], statistics.median(units)


def bare_signature(bits: int = 2048) -> Callable[[], object]:
    """One bare RSA PKCS#1 signature: the unit."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return lambda: key.sign(b"x" * 32, padding.PKCS1v15(), hashes.SHA256())


def signature_cost(bits: int = 2048) -> float:
    """CPU seconds of one bare signature, now."""
    return cpu(bare_signature(bits))


def process_cpu(pid: int) -> float:
    """CPU seconds a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu() -> float:
    """CPU seconds of all processes that this one started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fdatasync_rate(folder: Path, seconds: float = 0.5) -> float:
    """How many times a second the disk takes a small write for good."""
    file = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT)
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        os.pwrite(file, b"x" * 512, 0)
        os.fdatasync(file)
        calls += 1
    os.close(file)
    return calls / seconds
