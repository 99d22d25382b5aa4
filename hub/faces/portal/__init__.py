"""The portal: a person's, or their relative's, view of visits to come and visits done. Norwegian bokmål, no JavaScript needed."""

from hub.faces.portal.routes import missing, routes

__all__ = ["missing", "routes"]
