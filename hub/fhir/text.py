"""How strings are compared, and how much of them an index keeps."""

from __future__ import annotations

import hashlib
import unicodedata

LONGEST = 200
"""Characters: a row of PostgreSQL's indexes holds 2,704 bytes, with a system and a value in it."""


CUT = LONGEST - 65
"""Characters that a longer value keeps before its hash."""


def plain(text: str) -> str:
    """Lower case without accents (R4 3.1.1.5.9). Norwegian ø and æ are letters, not accents, and stay."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def indexed(value: str) -> str:
    """A value that is looked up whole: of a longer one the beginning, and what all of it hashes to."""
    return value if len(value) <= LONGEST else f"{value[:CUT]}~{hashlib.sha256(value.encode()).hexdigest()}"


def below(address: str) -> str:
    """What every address below this one begins with."""
    return address if address.endswith("/") else f"{address}/"
