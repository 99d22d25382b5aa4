"""A throw-away PKI that really revokes: roots, intermediates, leaves, CRLs, and a little HTTP server that gives out CRLs and OCSP answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from adapters.demo.least import least

AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
DAY, YEAR = timedelta(days=1), timedelta(days=365)
SIGN = {"digital_signature": True, "content_commitment": True}
ENCRYPT = {"key_encipherment": True}
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
    "encipher_only", "decipher_only",
)
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER


@cache
def leaf_key() -> rsa.RSAPrivateKey:
    """One for all leaves: making them is slow, and no test is about the key."""
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Ca:
    """An issuer. `revoked`: serial → when."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    revoked: dict[int, datetime] = field(default_factory=dict)

    def crl(self, at: datetime = AT, lasts: timedelta = DAY, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        made = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject).last_update(at).next_update(at + lasts)
        for serial, when in self.revoked.items():
            made = made.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build())
        return made.sign(key or self.key, hashes.SHA256()).public_bytes(DER)

    def ocsp(self, about: x509.Certificate, at: datetime = AT, lasts: timedelta = DAY, responder: tuple[x509.Certificate, object] | None = None) -> bytes:
        revoked = self.revoked.get(about.serial_number)
        signer, key = responder or (self.certificate, self.key)
        return ocsp.OCSPResponseBuilder().add_response(
            about, self.certificate, hashes.SHA1(), ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD, at, at + lasts, revoked,
            x509.ReasonFlags.key_compromise if revoked else None,
        ).responder_id(ocsp.OCSPResponderEncoding.HASH, signer).certificates([signer]).sign(key, hashes.SHA256()).public_bytes(DER)  # type: ignore[arg-type]


def usage(**on: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: on.get(name, False) for name in USAGES})


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "NO"), x509.NameAttribute(NameOID.COMMON_NAME, text)])


def builder(subject: x509.Name, issuer: x509.Name, key: object, start: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())  # type: ignore[arg-type]
        .not_valid_before(start).not_valid_after(end).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)  # type: ignore[arg-type]
    )


def places(url: str, crl: str, by_ocsp: bool = True) -> list[x509.ExtensionType]:
    """Where one can ask."""
    found: list[x509.ExtensionType] = [x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(f"{url}/{crl}")], None, None, None)])]
    if by_ocsp:
        found.append(x509.AuthorityInformationAccess([
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{url}/ocsp")),
        ]))
    return found


def authority(text: str, above: Ca | None = None, *, url: str = "", key: ec.EllipticCurvePrivateKey | None = None, end: datetime = AT + 9 * YEAR) -> Ca:
    """A root, or an intermediate below one."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    made = builder(name(text), above.certificate.subject if above else name(text), own.public_key(), AT - YEAR, end)
    made = made.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage(key_cert_sign=True, crl_sign=True), True)
    for extension in places(url, "root.crl", False) if url else ():
        made = made.add_extension(extension, False)
    return Ca(made.sign((above.key if above else own), hashes.SHA256()), own)


def leaf(
    above: Ca, text: str = "Visma Profil", *, start: datetime = AT - DAY, end: datetime = AT + YEAR, uses: dict[str, bool] | None = None,
    extensions: tuple[x509.ExtensionType, ...] | list[x509.ExtensionType] = (),
) -> x509.Certificate:
    made = builder(name(text), above.certificate.subject, leaf_key().public_key(), start, end).add_extension(usage(**(uses or SIGN)), True)
    for extension in (x509.AuthorityKeyIdentifier.from_issuer_public_key(above.key.public_key()), *extensions):
        made = made.add_extension(extension, False)
    return made.sign(above.key, hashes.SHA256())


def responder(above: Ca) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """Somebody who may answer on an issuer's behalf (RFC 6960 4.2.2.2)."""
    return leaf(above, "svarer", extensions=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), x509.OCSPNoCheck()]), leaf_key()


def write(path: Path, *certificates: x509.Certificate) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(one.public_bytes(PEM) for one in certificates))
    return path


def write_key(path: Path) -> None:
    path.write_bytes(leaf_key().private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Issuer:
    """The issuers' web server: `files` by path, `ocsp` for POST; `down`: 503 to all. Counts what is asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[int, bytes] = {}
        """OCSP, by the serial number that is asked about."""
        self.down = False
        self.asked: list[str] = []
        self.url = ""

    def answer(self, method: str, path: str, body: bytes) -> bytes | None:
        self.asked.append(f"{method} {path}")
        if self.down:
            return None
        return self.answers.get(ocsp.load_der_ocsp_request(body).serial_number) if method == "POST" else self.files.get(path)


@contextmanager
def issuer_server() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", b"")

        def do_POST(self) -> None:
            self._answer("POST", self.rfile.read(int(self.headers["content-length"])))

        def _answer(self, method: str, body: bytes) -> None:
            found = issuer.answer(method, self.path, body)
            self.send_response(200 if found is not None else 503)
            self.send_header("content-length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

HUB_TOML = least()
"""The least that a home's hub.toml says."""
