"""Fuzzes every reader with atheris: `make fuzz MINUTES=10`, or `python tests/fuzz/run.py --minutes 2 --only mime`.

Each target runs in a process of its own that may take at most 2 GB and 10 seconds for one input. What it finds lies in
`.fuzz/<target>/`: keep it as a file in `tests/fuzz/corpus/<target>-…`, and the suite reads it from then on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOUND = HERE.parents[1] / ".fuzz"


def fuzz(name: str, seconds: int) -> None:
    """This process becomes the fuzzer of one target and ends with it."""
    import atheris

    with atheris.instrument_imports(include=["ebxml"]):
        from targets import TARGETS, fuzz_one
    target = TARGETS[name]
    folder = FOUND / name
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    for kept in (HERE / "corpus").glob(f"{name}-*"):
        (folder / "corpus" / kept.name).write_bytes(kept.read_bytes())
    atheris.Setup(
        [sys.argv[0], str(folder / "corpus"), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=40000",
         f"-artifact_prefix={folder}/", "-print_final_stats=1", "-verbosity=0"],
        lambda data: fuzz_one(target, data),
    )
    atheris.Fuzz()


def main() -> int:
    """All targets, one after the other; 0: nothing was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--only", choices=["mime", "soap", "cpa", "cms", "msghead"])
    options.add_argument("--child", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        fuzz(given.child, int(given.minutes * 60))
    bad = []
    for name in [given.only] if given.only else ["mime", "soap", "cpa", "cms", "msghead"]:
        print(f"{name}: {given.minutes:g} minutes", flush=True)
        ended = subprocess.run([sys.executable, __file__, "--child", name, "--minutes", str(given.minutes)], cwd=HERE, check=False)
        bad += [name] * (ended.returncode != 0)
    print(f"findings in {', '.join(bad)}: see {FOUND}" if bad else "no findings")
    return len(bad)


if __name__ == "__main__":
    sys.exit(main())
