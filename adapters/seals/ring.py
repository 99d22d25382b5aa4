"""The keys and certificates of one partner's seal, as they lie in certs/ at one look."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters.registries import certificates, inventory, trust
from adapters.registries.agreements import Agreement
from adapters.registries.rotating import Rotating
from adapters.seals.payloads import Payloads
from ebxml import certificate
from hub.adapter import Surroundings


@dataclass(frozen=True, slots=True)
class Ring:
    """What belongs together: it is taken from the disk as a whole or not at all."""

    keys: certificates.OwnKeys
    partner: certificates.Partner
    trust: trust.Trust
    payloads: Payloads
    shown: str
    """Our signing certificate, as KeyInfo shows it."""


def ring_of(surroundings: Surroundings, agreed: Agreement, payloads: Payloads) -> Rotating[Ring]:
    """The ring, read anew when a file changes.

    Args:
        payloads: how they are read; our keys are put in here.

    Raises:
        MissingCertificate, Misconfigured: at the start; later the last whole ring stays.
    """
    folder = surroundings.home / "certs"

    def read() -> Ring:
        keys = certificates.own_keys(folder)
        partner = certificates.partner(folder, surroundings.party, agreed)
        trusted = trust.of_seal(surroundings.home, surroundings.settings)
        return Ring(keys, partner, trusted, replace(payloads, own=keys.decrypt), certificate.b64(keys.sign.certificate))

    own = [folder / f"{name}.{kind}" for name in inventory.OWN for kind in ("pem", "key")]
    anchors = trust.policy(folder, surroundings.settings.get("certificates", {})).trusted or folder / trust.TRUSTED
    return Rotating(read, [*own, folder / "partners" / surroundings.party, anchors])
