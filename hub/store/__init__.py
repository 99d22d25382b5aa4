"""What is kept: resources with every version, envelopes, deliveries, seats, sessions and the access log. Nobody else sees rows."""

from hub.store.attachments import Attachments
from hub.store.exporting import Export, Part
from hub.store.letters import HEARTBEAT
from hub.store.living import live
from hub.store.presence import Presence
from hub.store.secrets import Secrets
from hub.store.store import Store
from hub.store.transaction import Transaction
from hub.store.values import (
    AdapterVersion,
    AuditCheck,
    Change,
    Earlier,
    Filed,
    Lacking,
    Page,
    Standing,
    Stored,
    TimelineEntry,
    micros,
    moment,
)

__all__ = [
    "AdapterVersion", "Attachments", "AuditCheck", "Change", "Earlier", "Export", "Filed", "HEARTBEAT", "Lacking", "Page", "Part", "Presence",
    "Secrets", "Standing", "Store", "Stored", "TimelineEntry", "Transaction", "live", "micros", "moment",
]
