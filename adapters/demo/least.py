"""The least that a home's hub.toml says: for benches and tests, which add what they are about."""

from __future__ import annotations


def least(her_id: str = "8100000", base_url: str = "https://besok.example", database: str = "sqlite:///hub.db") -> str:
    """The `[hub]` table alone; more keys of it, and more tables, may stand behind."""
    return f'''[hub]
municipality = "Solbakken kommune"
environment = "test"
her_id = "{her_id}"
base_url = "{base_url}"
phone = "00 00 00 00"
opening_hours = "Hver dag"
database = "{database}"
'''
