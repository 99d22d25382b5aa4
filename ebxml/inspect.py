"""Opens any Norwegian ebXML, MsgHead, AppRec or CPA file and says what it is, what is signed and by whom, and what was tolerated.

Never tells who a patient is: only that there is one.
"""

from __future__ import annotations

import email
import email.policy
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lxml import etree

from ebxml import apprec, certificate, cms, container, cpa, dialog, envelope, mime, msghead, relation, signature, xcal, xml
from ebxml.errors import ErrorCode, Violation

MOST_UNPACKED = 50_000_000


@dataclass(slots=True)
class Signature:
    """One signature. `covers` are the URIs it refers to (`""` is the document itself)."""

    holds: bool
    signer: str
    covers: list[str]
    reason: str
    digests: dict[str, bool] = field(default_factory=dict)
    valid_at: str = ""
    """Whether the certificate was valid at the time asked for: `yes`, `no`, or empty when no time was given."""


@dataclass(slots=True)
class Report:
    """What a file is."""

    kind: str = "unknown"
    about: dict[str, Any] = field(default_factory=dict)
    signatures: list[Signature] = field(default_factory=list)
    encrypted: list[dict[str, Any]] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    schema: str = "not checked"
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        """For people."""
        lines = [self.kind] + [f"  {name}: {value}" for name, value in self.about.items() if value not in ("", None, [], ())]
        for s in self.signatures:
            lines.append(f"  signature {'HOLDS' if s.holds else 'DOES NOT HOLD'}: {s.signer or 'no certificate'}; covers {s.covers}; {s.reason}")
            lines += [f"    certificate valid at the given time: {s.valid_at}"] if s.valid_at else []
        lines += [f"  encrypted: {e['algorithm']} to {'; '.join(e['recipients'])}" for e in self.encrypted]
        lines += [f"  document: {d}" for d in self.documents]
        lines += [f"  schema: {self.schema}"] + [f"  tolerated: {r}" for r in self.remarks] + [f"  PROBLEM: {p}" for p in self.problems]
        return "\n".join(lines)


def inspect(data: bytes, at: datetime | None = None, schemas: Path | None = None) -> Report:
    """Looks at a file.

    Args:
        at: the time at which certificates must be valid; None: not asked.
        schemas: a folder that holds the official XSD files in `ebms/` and `kith/`; None: schema validity is not checked.
    """
    report = Report()
    try:
        _any(data, at, schemas, report)
    except Violation as wrong:
        report.problems.append(str(wrong))
    return report


def _any(data: bytes, at: datetime | None, schemas: Path | None, report: Report) -> None:
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if data[:2] == b"\x1f\x8b":
        report.remarks.append("gzip")
        _any(_gunzip(data), at, schemas, report)
    elif start[:1] == b"<":
        _xml(mime.Package(mime.Part({}, data, "text/xml", "")), at, schemas, report)
    elif data[:1] == b"\x30":
        report.kind = "CMS"
        _encrypted(data, report)
    else:
        _mime(data, at, schemas, report)


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(data, MOST_UNPACKED)
    except zlib.error as wrong:
        raise Violation(ErrorCode.MIME_PROBLEM, "broken gzip") from wrong
    if unpacker.unconsumed_tail:
        raise Violation(ErrorCode.MIME_PROBLEM, f"unpacks to more than {MOST_UNPACKED} bytes")
    return plain


def _mime(data: bytes, at: datetime | None, schemas: Path | None, report: Report) -> None:
    head = email.message_from_bytes(data[:20_000], policy=email.policy.compat32)
    if head["From"] and head["To"]:
        report.about["carrier"] = "SMTP"
    package = mime.read({}, data)
    report.remarks += package.remarks
    _xml(package, at, schemas, report)


def _xml(package: mime.Package, at: datetime | None, schemas: Path | None, report: Report) -> None:
    root = xml.parse(package.root.body, charset=package.root.charset)
    if schemas is not None:
        report.schema = schema_says(root, schemas)
    name = xml.name(root.tag)
    readers: dict[tuple[str | None, str], Callable[..., None]] = {
        (envelope.SOAP, "Envelope"): _envelope, (msghead.NAMESPACE, "MsgHead"): _msghead,
        (cpa.NAMESPACE, "CollaborationProtocolAgreement"): _cpa, (cpa.NAMESPACE, "CollaborationProtocolProfile"): _cpa,
    }
    readers |= {(namespace, "AppRec"): _apprec for namespace in apprec.NAMESPACES.values()}
    reader = readers.get((name.namespace, name.localname))
    if reader is None:
        report.kind = f"XML: {name.localname}"
        report.about["namespace"] = name.namespace
        return
    reader(package.root.body, root, package, at, report)


def _envelope(data: bytes, root: etree._Element, package: mime.Package, at: datetime | None, report: Report) -> None:
    fault = root.find(f"{{{envelope.SOAP}}}Body/{{{envelope.SOAP}}}Fault")
    if fault is not None:
        report.kind = "SOAP Fault"
        report.about["faultcode"] = (fault.findtext("faultcode") or "").strip()
        return
    h = envelope.read(root)
    report.kind = f"ebMS 2.0 {h.action}" if h.signal or h.service == envelope.SIGNAL_SERVICE else "ebMS 2.0 user message"
    report.about |= {
        "from": [f"{p.type} {p.id}" for p in h.sender.ids], "to": [f"{p.type} {p.id}" for p in h.receiver.ids], 
        "roles": [h.sender.role, h.receiver.role],
        "service": h.service, "action": h.action, "cpa": h.cpa_id, "conversation": h.conversation_id, "message": h.message_id,
        "refers to": h.ref_to_message_id or h.acknowledges, "time": h.timestamp.isoformat() if h.timestamp else "",
        "time to live": h.time_to_live.isoformat() if h.time_to_live else "", "receipt asked for": h.ack_requested,
        "errors": [f"{e.code} ({e.severity})" for e in h.errors], "parts": list(h.manifest),
    }
    report.remarks += h.remarks
    for href in h.manifest:
        if package.part(href) is None:
            report.problems.append(f"the part {href} is missing")
    _signature(root, package, at, report)
    for part in package.parts:
        _part(part, at, report)


def _part(part: mime.Part, at: datetime | None, report: Report) -> None:
    if part.media_type == "application/pkcs7-mime" and part.body[:1] == b"\x30":
        _encrypted(part.body, report)
        return
    inner = inspect(part.body, at)
    report.documents.append({"content id": part.content_id, "media type": part.media_type, "kind": inner.kind, **inner.about})
    report.signatures += inner.signatures


def _encrypted(blob: bytes, report: Report) -> None:
    found = cms.describe(blob)
    report.encrypted.append({"algorithm": found.algorithm, "recipients": list(found.recipients), "key transport": list(found.transport)})
    if found.algorithm.startswith("tripledes"):
        report.remarks.append("encrypted with 3DES, which is read only from partners switched on by name")


def _signature(root: etree._Element, package: mime.Package, at: datetime | None, report: Report) -> None:
    """What the signature says. None at all is no problem of the file's."""
    if root.find(f".//{{{envelope.DS}}}Signature") is None:
        return

    def fetch(uri: str) -> bytes | None:
        part = package.part(uri)
        return part.body if part else None

    try:
        seen = signature.examine(root, fetch)
    except Violation as wrong:
        report.signatures.append(Signature(False, "", [], f"{wrong.description} ({wrong.fault})"))
        return
    signer = seen.certificates[0] if seen.certificates else None
    bad = [uri or "the document" for uri, right in seen.digests if not right]
    reason = "digests and value hold" if seen.holds else "; ".join(
        ([] if seen.value_holds else ["SignatureValue does not hold"]) + ([f"the digest of {', '.join(bad)} does not hold"] if bad else []),
    )
    report.remarks += seen.remarks
    valid = "" if at is None or signer is None else "yes" if certificate.valid_at(signer, at) else "no"
    whose = f"{certificate.holder(signer)} {certificate.organisation(signer)}".strip() if signer else ""
    report.signatures.append(Signature(seen.holds and valid != "no", whose, list(seen.covers), reason, dict(seen.digests), valid))


def _msghead(data: bytes, root: etree._Element, package: mime.Package, at: datetime | None, report: Report) -> None:
    m = msghead.read(data)
    report.kind = "MsgHead 1.2"
    report.about |= {
        "type": m.type.v, "message": m.id, "time": m.generated.isoformat() if m.generated else "", "from": _levels(m.sender),
        "to": _levels(m.receiver), "receipt asked for": m.ack, "conversation": m.conversation, "processing": m.processing,
        "patient": "one (not shown)" if m.patient else "",
    }
    report.remarks += m.remarks
    for document in (*m.documents, *(d for patient in m.reports for d in patient.documents)):
        report.documents.append({"kind": document.kind, "mime type": document.mime_type, "bytes": len(document.content), **_inside(document, report)})
    _signature(root, package, at, report)


def _inside(document: msghead.Document, report: Report) -> dict[str, Any]:
    if not document.content:
        return {}
    namespace = document.namespace
    try:
        if namespace in dialog.NAMESPACES.values():
            read = dialog.read(document.content)
            return {"is": f"Dialogmelding {read.version}", "entries": [f"{e.kind} {e.code.v}" for e in read.entries]}
        if namespace == xcal.NAMESPACE:
            calendar = xcal.read(document.content)
            return {"is": "calendar (RFC 6321)", "events": len(calendar.events)}
        if namespace == relation.NAMESPACE:
            return {"is": "Pasientrelasjon", "relation": relation.read(document.content).relation.v, "person": "one (not shown)"}
        if namespace == container.NAMESPACE:
            return {"is": "file (Base64Container)", "bytes inside": len(container.read(document.content))}
    except Violation as wrong:
        report.problems.append(str(wrong))
    return {"is": namespace}


def _levels(party: msghead.Party) -> list[str]:
    below = party.inner
    names = [party.name] if below is None or not below.person else [party.name, "a person (not shown)"]
    if below is not None and not below.person:
        names.append(below.name)
    her = [party.ident("HER"), below.ident("HER") if below else ""]
    return [f"{name} (HER {id_})" if id_ else name for name, id_ in zip(names, her, strict=False)]


def _apprec(data: bytes, root: etree._Element, package: mime.Package, at: datetime | None, report: Report) -> None:
    a = apprec.read(data)
    report.kind = f"AppRec {a.version}"
    report.about |= {
        "status": a.status, "of": f"{a.original_type.v} {a.original_id}", "errors": [f"{e.v} {e.dn}" for e in a.errors], "message": a.id,
        "from": a.sender.name, "to": a.receiver.name,
    }
    report.remarks += a.remarks
    _signature(root, package, at, report)


def _cpa(data: bytes, root: etree._Element, package: mime.Package, at: datetime | None, report: Report) -> None:
    found = cpa.read(data)
    report.kind = f"{found.kind} 2.0"
    report.about |= {"id": found.id, "status": found.status, "in force": f"{found.start} – {found.end}", "encrypted": found.encrypted}
    for party in found.parties:
        sends = sorted({f"{b.service}/{b.action}" for b in party.bindings if b.sends})
        takes = sorted({f"{b.service}/{b.action}" for b in party.bindings if not b.sends})
        report.documents.append({
            "party": party.name, "ids": [f"{kind} {id_}" for kind, id_ in party.ids], "sends": sends, "receives": takes,
            "channels": [asdict(c) for c in party.channels], "certificates": dict(party.certificates),
        })
    report.remarks += found.remarks
    if root.find(f".//{{{envelope.DS}}}SignatureValue") is not None:
        report.remarks.append("the CPA's own signature is not relied upon")


def schema_says(root: etree._Element, schemas: Path) -> str:
    """`valid`, or what the official schema says first; `not checked` where there is none for this document."""
    names = {
        envelope.SOAP: "ebms/envelope.xsd", msghead.NAMESPACE: "kith/MsgHead-v1_2.xsd", cpa.NAMESPACE: "ebms/cpp-cpa-2_0.xsd",
        apprec.NAMESPACES["1.0"]: "kith/apprec-v1.0.xsd", apprec.NAMESPACES["1.1"]: "kith/apprec-v1.1.xsd",
    }
    name = names.get(xml.name(root.tag).namespace)
    if name is None or not (schemas / name).exists():
        return "not checked"
    folders = {"ebms/envelope.xsd": [(envelope.EB, "ebms/msg-header-2_0.xsd")]}.get(name, [])
    folders += [(dialog.NAMESPACES[v], f"kith/dialogmelding-v{v}.xsd") for v in dialog.NAMESPACES] if name.startswith("kith/MsgHead") else []
    folders += [("http://www.kith.no/xmlstds/base64container", "kith/kith-base64.xsd")] if name.startswith("kith/MsgHead") else []
    imports = "".join(
        f'<xs:import namespace="{namespace}" schemaLocation="{(schemas / path).resolve().as_uri()}"/>'
        for namespace, path in [(xml.name(root.tag).namespace, name), *folders]
    )
    driver = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>'
    schema = etree.XMLSchema(etree.fromstring(driver, etree.XMLParser(no_network=True)))
    if schema.validate(root):
        return "valid"
    first = next(entry for entry in schema.error_log)  # type: ignore[attr-defined]
    if first.type_name == "SCHEMAV_CVC_ELT_1":
        return f"no schema at hand for what stands in line {first.line}"
    return f"INVALID: line {first.line}: {first.type_name}"
