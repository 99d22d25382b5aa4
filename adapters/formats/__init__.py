"""Formats: what a partner's content says, and how ours says it. Pure."""
