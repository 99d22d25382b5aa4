"""The console at /drift: what needs an operator now, every message, and the whole way of one appointment. Never shows a person by default."""

from hub.faces.console.routes import routes

__all__ = ["routes"]
