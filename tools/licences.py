"""Every installed dependency has a licence that we may use, by its own metadata. A new one is looked at by a person before it is listed here."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions
from typing import Any

ALLOWED = ("MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla Public License", "Unlicense", "0BSD", "Zlib", "CNRI")
LOOKED_AT = {
    "psycopg": "LGPL-3.0: used as a library, unchanged", "psycopg-binary": "LGPL-3.0: used as a library, unchanged",
    "besoksbro": "ours", "pip": "MIT", "setuptools": "MIT", "certifi": "MPL-2.0",
    "fhirpathpy": "MIT, by the licence file it brings; tests only",
    "fhirpy": "MIT, by the licence file it brings; tests only",
    "atheris": "Apache-2.0, by its repository; fuzzing only (make fuzz), installed on demand",
    "axe-playwright-python": "MIT, by its repository; brings axe-core (MPL-2.0); tests only",
}
OURS_NOT = ("GPL", "AGPL", "SSPL", "Commons Clause")


def licence(distribution: Distribution) -> str:
    """What its metadata says: expression, classifiers, then the free text's first line."""
    meta: Any = distribution.metadata
    expression = meta.get("License-Expression") or ""
    classifiers = [c.rpartition("::")[2].strip() for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
    free = (meta.get("License") or "").strip().splitlines()
    return expression or "; ".join(classifiers) or (free[0] if free else "")


def main() -> None:
    """Exit code 1 if one has no licence, or one that is not listed."""
    wrong = []
    for distribution in distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-")
        told = licence(distribution)
        if name not in LOOKED_AT and (not any(a.lower() in told.lower() for a in ALLOWED) or any(o in told for o in OURS_NOT)):
            wrong.append(f"{name} {distribution.version}: {told or 'no licence told'}")
    print("\n".join(wrong) or "every dependency has a licence that may be used")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
