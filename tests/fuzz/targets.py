"""What is fuzzed: each reader of ebxml with real messages to begin from. A target returns or raises Violation; anything else is a finding."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ebxml import (
    agreed,
    apprec,
    certificate,
    cms,
    container,
    cpa,
    dialog,
    draft,
    envelope,
    mime,
    msghead,
    plo,
    relation,
    signature,
    signeddata,
    xcal,
    xml,
)
from ebxml import gzip as packed
from ebxml.cms import Own
from ebxml.envelope import EbError, EbParty, Header, MessageStatus, Order, PartyId, Reference, Status
from ebxml.errors import Violation
from ebxml.kith import Coded, Ident, Party, Person

AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
CID = "cid:p@x"
LARGEST = 1_000_000
"""Bytes that a packed payload may grow to here."""


@lru_cache
def own() -> Own:
    """A key of 2048 bits and its certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fuzz")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    return Own(builder.not_valid_before(AT).not_valid_after(AT + timedelta(days=365)).sign(key, hashes.SHA256()), key)


def _header(**changes: object) -> Header:
    values: dict[str, object] = {
        "sender": EbParty((PartyId("8094866"), PartyId("999999999", "ENH")), "Bestiller"), "receiver": EbParty((PartyId("8141705"),), "Yter"),
        "cpa_id": "c", "conversation_id": "k", "service": "S", "service_type": "string", "action": "A", "message_id": "m@x", "timestamp": AT,
        "time_to_live": AT, "duplicate_elimination": True, "description": "d", "ack_requested": "signed", "sync_reply": True, "manifest": (CID,),
        "described": (Reference(CID, "r", "i", (("l", "v"),), "t"),), "order": Order(1), "acknowledges": "o@x",
        "errors": (EbError("Unknown", "Error", "x", "//y"),), "status": Status(MessageStatus.RECEIVED, "o@x", AT), **changes,
    }
    return Header(**values)  # type: ignore[arg-type]


def _soap() -> bytes:
    pair = own()
    return signature.sign(envelope.write(_header()), [(CID, b"<a/>")], pair.key, certificate.b64(pair.certificate))


def _messages() -> list[bytes]:
    patient = Person("Etternavn", "Fornavn", "", "1940-01-01", (Ident("21814012345", "FNR"),))
    here = Party("Solbakken", (Ident("8094866", "HER"),), Party("Hjemmetjenesten", (Ident("1", "HER"),)))
    note = dialog.Entry("Notat", Coded("6", "x", "s"), "Tema", "tekst", "m", "id", "2026-12-01", roles=(dialog.Role(Coded("7"), patient),))
    ask = dialog.Entry("Foresporsel", Coded("1"), "e", "s", date="2026-12-01", until="2026-12-02")
    event = xcal.Event("u", AT, AT, "1", "CONFIRMED", 1, "s", "d", "r", "c", (("x-servicetype", "a:b"),))
    calendar = xcal.write(xcal.Calendar("p", (event,), AT))
    made = [dialog.write(dialog.Dialog((note, ask), version)) for version in dialog.NAMESPACES] + [calendar]
    documents = tuple(msghead.Document(content, issued="2026-12-01") for content in made)
    event_ = "<TidsfestetHendelse><Hendelsekode V='1'/><TidspunktForHendelse>2026-12-01T08:00:00</TidspunktForHendelse></TidsfestetHendelse>"
    made += [container.write(b"%PDF"), relation.write(relation.Relation(Coded("FO", "Foreldreansvar", relation.RELATIONS), patient)), f'<Pasientlogistikk xmlns="{plo.NAMESPACE}Pasientlogistikk/2012-04-01">{event_}</Pasientlogistikk>'.encode()]
    made.append(msghead.write(msghead.MsgHead(Coded("T"), "id", AT, here, here, documents, patient=patient, ack="J", conversation="c")))
    for version in apprec.NAMESPACES:
        made.append(apprec.write(apprec.AppRec("i", AT, here, here, "2", Coded("T"), "2026", "o", (Coded("E10", "x", "s", "o"),), version)))
    return made


def _agreements() -> list[bytes]:
    certs = (own().certificate, own().certificate)
    sides = (draft.Side("A", "1", "https://a.example", *certs), draft.Side("B", "2", "mailto:b@x.example", *certs))
    rows = (draft.Exchange("S", "A", "r", "q", 0), draft.Exchange("S", "B", "q", "r", 1))
    return [draft.make(draft.Draft("c", sides, rows, AT, AT + timedelta(days=99), packed=packed)) for packed in (True, False)]


def _read_mime(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    for headers, whole in (({}, data), ({"content-type": head.decode("latin-1")}, body)):
        try:
            package = mime.read(headers, whole)
        except Violation:
            continue
        for part in package.parts:
            assert package.part(f"cid:{part.content_id}") is not None


def _read_soap(data: bytes) -> None:
    header = envelope.read(xml.parse(data))
    try:
        signature.verify(xml.parse(data), {CID: b"<a/>"}.get, header.manifest, [own().certificate])
    except Violation:
        return
    said = envelope.read(xml.parse(_soap()))
    assert header == said or not header.manifest, "something else than was signed was taken for signed"


def _read_cpa(data: bytes) -> None:
    cpa.read(data)
    agreed.show(data)
    agreed.check(data, AT)


def _read_cms(data: bytes) -> None:
    for reader in (
        lambda: cms.open_(data, [own()], triple_des=True), lambda: cms.describe(data), lambda: signeddata.verify(data, [own().certificate]),
        lambda: packed.unpack(data, LARGEST),
    ):
        try:
            reader()
        except Violation:
            continue


def _read_msghead(data: bytes) -> None:
    for reader in (msghead.read, msghead.read_info, apprec.read, dialog.read, xcal.read, container.read, relation.read, lambda each: plo.read(each, "LOG_INNLAGT")):
        try:
            reader(data)
        except Violation:
            continue


@dataclass(frozen=True)
class Target:
    """A reader and where its fuzzing begins."""

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def _packages() -> list[bytes]:
    headers, body = mime.write(_soap(), [("p@x", "application/xml", b"<a/>")], "b", "r@x")
    with_headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n" + body
    return [headers["content-type"].encode() + b"\n" + body, with_headers, body, _soap()]


def _sealed() -> list[bytes]:
    return [
        cms.envelop(b"<a/>", own().certificate), signeddata.sign(b"<a/>", own().key, own().certificate), gzip.compress(b"<a/>" * 99, mtime=0),
    ]


TARGETS = {
    "mime": Target(_read_mime, _packages), "soap": Target(_read_soap, lambda: [_soap()]), "cpa": Target(_read_cpa, _agreements),
    "cms": Target(_read_cms, _sealed), "msghead": Target(_read_msghead, _messages),
}


def fuzz_one(target: Target, data: bytes) -> None:
    """Reads once; only a Violation is expected. Raises whatever else comes."""
    try:
        target.read(data)
    except Violation:
        return
