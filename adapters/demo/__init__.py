"""The demonstration: an invented municipality, and what plays it. Nothing here is used by a hub in production."""
