"""Run by bench/as4.py in an environment of its own (as4 and its older cryptography): `python -m bench.as4_peer CONTENT`, a file with an XML document.

Prints JSON: CPU of sending (build, sign, encrypt, MIME) and of receiving (parse, verify, decrypt, signed receipt), in bare RSA-2048
signatures of this very process, and the seconds of one.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import as4
from as4 import peppol
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from bench.measure import bare_signature, ratios

ROUNDS = 5
KIND = {
    "sender": "9932:9999999999", "recipient": "9932:1111111111", "sender_country_id": "NO", "document_type_identifier_scheme": "busdox-docid-qns",
    "document_type_identifier_value": "urn:x:letter::Letter##urn:x::1.0", "process_identifier": "urn:x:process",
}


def pair(name: str) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """A key and its own certificate."""
    key, now = rsa.generate_private_key(public_exponent=65537, key_size=2048), datetime.now(UTC)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return key, made.sign(key, hashes.SHA256())


def main(content: bytes) -> None:
    (key, certificate), (their_key, their_certificate) = pair("POP000001"), pair("POP000002")
    policy = as4.SecurityPolicy(signer_resolver=as4.pinned_certificates(certificate))
    ours, theirs = (
        peppol.create_peppol_internal_party(party_id=name, certificate=of, private_key=as4.AS4LocalPrivateKey(with_))
        for name, of, with_ in (("POP000001", certificate, key), ("POP000002", their_certificate, their_key))
    )
    to = peppol.create_peppol_external_party(party_id="POP000002", certificate=their_certificate)

    def send() -> tuple[Any, Any]:
        message = peppol.build_peppol_message(payload=content, local_party=ours, remote_party=to, **KIND)
        body, boundary = message.get_request_data()
        return message.get_http_headers(boundary), body

    headers, body = send()

    def receive() -> object:
        read = peppol.parse_peppol_message(request_headers=headers, request_body=body, local_party=theirs, security_policy=policy)
        if not read.successful:
            raise RuntimeError("as4 did not take its own message")
        return read.build_signal()

    (sending, receiving), unit = ratios(bare_signature(), [send, receive], ROUNDS)
    print(json.dumps({"send": sending, "receive": receiving, "unit": unit}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_bytes())
