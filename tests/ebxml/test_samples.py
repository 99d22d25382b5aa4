"""Every public sample is read, and exactly those that SOURCES.md says verify do; xmlsec, which does it the long way, agrees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from ebms_made import xmlsec_agrees
from lxml import etree

from ebxml import apprec, dialog, envelope, mime, msghead, signature, xml
from ebxml.envelope import DS
from ebxml.errors import Violation

FOLDERS = ("ebms-no", "ebms-generic", "msghead")
FULL, ENVELOPE, P7M = "oppgjorsmelding-full-smtp.msg", "oppgjorsmelding-envelope.xml", "oppgjorsmelding-payload.p7m"
MESSAGES = (
    f"ebms-no/{FULL}", f"ebms-no/{ENVELOPE}", "ebms-no/frikort-sync-response.mime", "ebms-no/acknowledgment-real.eml",
    "ebms-no/acknowledgment.xml", "ebms-no/messageerror.xml", "ebms-no/sykmelding-opus-visma.eml", "ebms-generic/hermes-test1.msg",
    "ebms-generic/hermes-test3.msg", "ebms-generic/nhs-ebxml_ack.xml", "ebms-generic/nhs-ebxml_error_multiple.xml",
    "ebms-generic/nhs-ebxml_no_reference.msg", "ebms-generic/nhs-ebxml_request.xml",
    "ebms-generic/nhs-ebxml_request_multiple_attachments.xml", "ebms-generic/nhs-ebxml_request_no_soap_actor.xml",
)
FAULT = "ebms-generic/nhs-soapfault_single_error.xml"
HEADS = ("msghead/signed-behandlerkrav.xml", "msghead/egenandelforesporsel.xml")
NO_XML = (f"ebms-no/{P7M}", "ebms-no/oppgjorsmelding-payload-decrypted.gz")
SIGNED = (*(m for m in MESSAGES[:5]), MESSAGES[6], HEADS[0])


@dataclass(frozen=True)
class Sample:
    """A sample's XML and its parts by `cid:` URI."""

    xml: bytes
    parts: dict[str, bytes]


@pytest.fixture
def samples(shared: Path) -> Path:
    return shared / "standards" / "samples"


def opened(samples: Path, name: str) -> Sample:
    data = (samples / name).read_bytes()
    if name.startswith("msghead/"):
        return Sample(data, {})
    if data.startswith(b"POST "):  # a whole HTTP request: the request line is not MIME's
        data = data.partition(b"\n")[2]
    package = mime.read({}, data)
    parts = {f"cid:{part.content_id}": part.body for part in package.parts}
    if name.endswith(ENVELOPE):
        (uri,) = envelope.read(xml.parse(data)).manifest
        parts[uri] = (samples / "ebms-no" / P7M).read_bytes()
    return Sample(package.root.body, parts)


def holds(sample: Sample) -> bool:
    return signature.examine(xml.parse(sample.xml), sample.parts.get).holds


def said_to_verify(samples: Path) -> set[str]:
    """The rows of SOURCES.md whose column Signature begins with `verifies`."""
    rows = re.findall(r"^\| (\S+) \|(.+)\|$", (samples.parent / "SOURCES.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {name for name, rest in rows if rest.split("|")[-2].strip().startswith("verifies")}


def test_no_sample_is_forgotten(samples: Path) -> None:
    there = {f"{folder}/{path.name}" for folder in FOLDERS for path in (samples / folder).iterdir()}
    assert there == {*MESSAGES, *HEADS, *NO_XML, FAULT}


@pytest.mark.spec("facts/ebxml", "11")
@pytest.mark.parametrize("name", MESSAGES)
def test_every_ebms_sample_is_read(samples: Path, name: str) -> None:
    header = envelope.read(xml.parse(opened(samples, name).xml))
    assert header.message_id
    assert header.sender.her
    assert header.receiver.her
    assert header.service
    assert header.action


@pytest.mark.spec("facts/ebxml", "11")
@pytest.mark.parametrize("name", MESSAGES)
def test_what_a_multipart_sample_carries_is_what_its_manifest_says(samples: Path, name: str) -> None:
    sample = opened(samples, name)
    manifest = envelope.read(xml.parse(sample.xml)).manifest
    if sample.parts:
        assert set(sample.parts) == {uri for uri in manifest if uri.startswith("cid:")}


@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("ebms-no/acknowledgment-real.eml", "mustUnderstand"), ("ebms-no/acknowledgment.xml", "mustUnderstand"),
        ("ebms-generic/hermes-test3.msg", "TimeToLive is no dateTime"),
    ],
)
def test_what_breaks_the_schema_in_a_sample_is_tolerated_and_listed(samples: Path, name: str, remark: str) -> None:
    assert any(remark in told for told in envelope.read(xml.parse(opened(samples, name).xml)).remarks)


def test_a_soap_fault_is_xml_but_no_ebms_message(samples: Path) -> None:
    root = xml.parse((samples / FAULT).read_bytes())
    assert root.find(f"{{{envelope.SOAP}}}Body/{{{envelope.SOAP}}}Fault") is not None


@pytest.mark.parametrize("name", HEADS)
def test_every_msghead_sample_is_read(samples: Path, name: str) -> None:
    message = msghead.read((samples / name).read_bytes())
    assert message.type.v
    assert message.id
    assert message.generated
    assert message.documents[0].content


@pytest.mark.spec("facts/ebxml", "11")
@pytest.mark.parametrize("name", SIGNED)
def test_exactly_the_samples_said_to_verify_do(samples: Path, name: str) -> None:
    sample = opened(samples, name)
    try:
        right = holds(sample)
    except Violation:
        right = False
    assert right == (name in said_to_verify(samples))


def test_every_sample_said_to_verify_is_tried(samples: Path) -> None:
    assert said_to_verify(samples) == set(SIGNED) - {"ebms-no/acknowledgment.xml"}


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("name", SIGNED)
def test_xmlsec_agrees_on_every_signed_sample(samples: Path, name: str) -> None:
    sample = opened(samples, name)
    assert xmlsec_agrees(sample.xml, sample.parts) == (name in said_to_verify(samples))


def changed(sample: Sample) -> list[Sample]:
    """The sample with one thing changed at a time: a text, a digest, the value, each part."""
    made = []
    for path in (f".//{{{envelope.EB}}}MessageId", ".//{*}MsgId", f".//{{{DS}}}DigestValue", f".//{{{DS}}}SignatureValue"):
        root = etree.fromstring(sample.xml)
        for element in root.iterfind(path):
            element.text = "AAAA" + (element.text or "").strip()[4:]
            made.append(Sample(etree.tostring(root), sample.parts))
            break
    return made + [Sample(sample.xml, {**sample.parts, uri: body + b"."}) for uri, body in sample.parts.items()]


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("name", [n for n in SIGNED if n != "ebms-no/acknowledgment.xml"])
def test_a_sample_with_anything_changed_does_not_verify_and_xmlsec_agrees(samples: Path, name: str) -> None:
    versions = changed(opened(samples, name))
    assert len(versions) >= 3
    for version in versions:
        assert not holds(version)
        assert not xmlsec_agrees(version.xml, version.parts)


@pytest.mark.parametrize("path", ["v1.0-all-data", "v1.0-ok", "v1.0-ok-feil-i-delmelding", "v1.1-avvist", "v1.1-ok", "helsenorge-apprec11"])
def test_every_apprec_sample_is_read(samples: Path, path: str) -> None:
    receipt = apprec.read((samples / "apprec" / f"{path}.xml").read_bytes())
    assert receipt.status in (apprec.OK, apprec.REJECTED, apprec.PARTLY)
    assert receipt.original_id
    assert receipt.sender.idents
    assert (receipt.status == apprec.REJECTED) == ("avvist" in path)
    assert receipt.version == ("1.0" if "v1.0" in path else "1.1")


def test_every_dialogmelding_sample_is_read(samples: Path) -> None:
    files = sorted((samples / "dialogmelding").iterdir())
    assert len(files) == 5
    for file in files:
        message = msghead.read(file.read_bytes())
        found = [dialog.read(d.content) for d in message.documents if d.namespace in dialog.NAMESPACES.values()]
        assert found
        assert found[0].entries
