"""Small resources and deliveries for the store's tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hub.delivery import Delivery, State
from hub.message import Content, Envelope


def appointment(id_: str, patient: str = "p1", start: str = "2026-12-01T09:00:00Z", status: str = "booked") -> dict[str, Any]:
    end = (datetime.fromisoformat(start) + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    return {
        "resourceType": "Appointment", "id": id_, "status": status, "start": start, "end": end,
        "identifier": [{"system": "https://example.org/shop", "value": f"B-{id_}"}],
        "participant": [{"actor": {"reference": f"Patient/{patient}"}, "status": "accepted"}],
    }


def owed(id_: str, now: datetime, adapter: str = "visma-profil", key: str | None = "Appointment/a1", **more: Any) -> Delivery:
    return Delivery(
        id=id_, adapter=adapter, function="booking", subject=key or "Appointment/a1", state=State.DUE, due_at=now,
        expires=now + timedelta(hours=72), created=now, key=key, **more,
    )


def envelope(id_: str, body: bytes = b"<a/>") -> Envelope:
    return Envelope(id_, "8100101", "8100000", "a1", Content(body, "application/xml"), function="HelsefagligDialog/Besok")
