"""Keys, messages and a second opinion (xmlsec) for the tests of ebxml."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import BytesIO

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from ebxml import certificate as certs
from ebxml import signature
from ebxml.cms import Own
from ebxml.envelope import DS, EbParty, Header, PartyId, write

AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
CID = "cid:payload-1@example.no"
PAYLOAD = b"the sealed bytes \x00\x01\r\n of a part"
_SERVED: dict[str, bytes] = {}


@lru_cache
def pair(name: str, key_id: bytes = b"") -> Own:
    """A key and its self-signed certificate; the same one for the same name. `key_id` stands in it instead of the key's digest."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(AT - timedelta(days=1))
    builder = builder.not_valid_after(AT + timedelta(days=365))
    identifier = x509.SubjectKeyIdentifier(key_id) if key_id else x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return Own(builder.add_extension(identifier, False).sign(key, hashes.SHA256()), key)


def header(**changes: object) -> Header:
    """A user message from 8094866 to 8141705."""
    values: dict[str, object] = {
        "sender": EbParty((PartyId("8094866"),), "Bestiller"), "receiver": EbParty((PartyId("8141705"),), "Tjenesteyter"),
        "cpa_id": "cpa:1", "conversation_id": "conversation-1", "service": "HelsefagligDialog", "service_type": "string",
        "action": "Bestilling", "message_id": "message-1@example.no", "timestamp": AT, "time_to_live": AT + timedelta(days=2),
        "duplicate_elimination": True, "description": '{"MSH": "a & b <c>"}', "ack_requested": "signed",
        "sync_reply": True, "manifest": (CID,),
    }
    return Header(**{**values, **changes})  # type: ignore[arg-type]


def signed(parts: Mapping[str, bytes] | None = None, signer: str = "partner", **changes: object) -> bytes:
    """A signed envelope with one part, or the parts given."""
    own = pair(signer)
    have = {CID: PAYLOAD} if parts is None else dict(parts)
    return signature.sign(write(header(**changes)), have.items(), own.key, certs.b64(own.certificate))


def serve(parts: Mapping[str, bytes]) -> None:
    """xmlsec finds these parts by their `cid:` URI, and opens nothing else: no file, no network."""
    xmlsec.cleanup_callbacks()
    _SERVED.clear()
    _SERVED.update(parts)
    xmlsec.register_callbacks(
        lambda name: name.decode() in _SERVED, lambda name: BytesIO(_SERVED[name.decode()]), lambda file, buffer: file.readinto(buffer),
        lambda file: file.close(),
    )


def xmlsec_agrees(data: bytes, parts: Mapping[str, bytes]) -> bool:
    """What xmlsec says of the one signature: with the key its KeyInfo shows, and no URI but `cid:` served."""
    serve(parts)
    root = etree.fromstring(data.strip())
    node = next(root.iter(f"{{{DS}}}Signature"))
    shown = "".join((node.findtext(f".//{{{DS}}}X509Certificate") or "").split())
    context = xmlsec.SignatureContext()
    try:
        context.key = xmlsec.Key.from_memory(base64.b64decode(shown), xmlsec.constants.KeyDataFormatCertDer)
        context.verify(node)
    except (ValueError, xmlsec.Error, SystemError):  # no certificate; does not verify; a callback found no part
        return False
    return True
