"""Carriers: they move bytes and are the only part of an adapter that does I/O."""
