"""Invented names, adjective and noun as in Skatteetaten's test data («Vakker Blomst»): nobody takes them for a living person's."""

from __future__ import annotations

from random import Random

ADJECTIVES = (
    "Vakker", "Glad", "Stille", "Rask", "Modig", "Lys", "Munter", "Klok", "Varm", "Rolig", "Blid", "Lett", "Sterk", "Lun", "Rund", "Sprek",
    "Trygg", "Våken", "Ærlig", "Fin", "Mild", "Frisk", "Kvikk", "Tålmodig", "Snill", "Lystig", "Nøysom", "Praktisk", "Redelig", "Sindig",
)
NOUNS = (
    "Blomst", "Fjord", "Vind", "Bekk", "Gran", "Stein", "Måke", "Elv", "Sky", "Tind", "Bjørk", "Ekorn", "Lyng", "Holme", "Kløver", "Nype",
    "Rype", "Skog", "Strand", "Svale", "Trost", "Ugle", "Vidde", "Ørret", "Ask", "Brygge", "Dugg", "Eng", "Furu", "Humle", "Kilde", "Lerke",
)


def names(rng: Random) -> list[tuple[str, str]]:
    """Every (given, family) pair in a shuffled order; no two persons get the same."""
    pairs = [(given, family) for given in ADJECTIVES for family in NOUNS]
    rng.shuffle(pairs)
    return pairs
