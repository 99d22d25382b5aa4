"""How strings are compared."""

from __future__ import annotations

import unicodedata


def plain(text: str) -> str:
    """Lower case without accents (R4 3.1.1.5.9). Norwegian ø and æ are letters, not accents, and stay."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
