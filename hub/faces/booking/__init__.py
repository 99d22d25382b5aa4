"""The booking API for shops: JSON at `/booking/v1`, a thin face of the hub's own shop. docs/booking-api.md says it to those who call."""

from hub.faces.booking.face import BookingFace, needed
from hub.faces.booking.problems import PROBLEM_JSON, problem

__all__ = ["PROBLEM_JSON", "BookingFace", "needed", "problem"]
