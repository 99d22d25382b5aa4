"""Seals: how a partner's letters are protected and opened. Pure but for their keys."""
