"""Files with messages by letter, both ways and on both databases: portal, ebXML, an EPJ in a box, and back; and what is refused, with its AppRec."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from files import HOSTILE, JPEG, PDF, PNG, form, large
from hubs import World
from lxml import etree
from starlette.testclient import TestClient
from test_messages_flow import _format, document, hear, letter, refused, stated
from visiting import text
from writing import HELLO, NURSING, fields, log_in, messages, somebody

from adapters.epj import script
from adapters.formats import enclosed
from adapters.formats.msghead import APPREC
from ebxml import container, msghead
from ebxml.msghead import ATTACHMENT, Document, MsgHead
from hub.booking import attachments
from hub.booking.attachments import MOST_FILES, File
from hub.keeping import Speaker
from hub.message import Letter, Resources
from hub.problem import Problem, Refused

NEW = "/meldinger/ny"
LINK = re.compile(r'href="(/meldinger/[^"]+/vedlegg/[^"]+)"')
FILES = (File("Timeavtale æ.pdf", large(2_500_000)), File("b.jpg", JPEG), File("c.png", PNG))


def send(client: TestClient, *files: File) -> str:
    answer = client.post(NEW, data=fields(client.get(NEW).text, NEW) | {"tekst": HELLO}, files=form(*files))
    assert answer.status_code == 303, text(answer.text)
    return str(answer.headers["location"]).partition("?")[0]


def opened(world: World) -> tuple[MsgHead, bytes]:
    """The one letter that lies in the carrier, as the EPJ opens it."""
    (parcel,) = world.carrier.sent
    body = world.box.seal.open(parcel, world.clock.now).content.body
    return msghead.read(body), body


def test_files_go_to_the_epj_and_one_comes_back_into_the_thread(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client, *FILES)
    world.deliver()
    head, _ = opened(world)
    assert [d.kind for d in head.documents] == ["XML", ATTACHMENT, ATTACHMENT, ATTACHMENT]
    assert [(d.mime_type, d.description) for d in head.documents[1:]] == [
        ("application/pdf", "Timeavtale æ.pdf"), ("image/jpeg", "b.jpg"), ("image/png", "c.png")]
    assert [container.read(d.content) for d in head.documents[1:]] == [file.body for file in FILES]
    world.to_epj()
    assert world.box.records.report()["counters"]["files taken"] == 3
    world.epj_says()
    asked, answer = messages(world, kari.reference)
    assert [f.title for f in answer.files] == ["Kvittering.pdf"] and asked.status == "completed"
    shown = client.get(thread).text
    assert "Kvittering.pdf (PDF, 1 kB)" in text(shown) and client.get(LINK.findall(shown)[-1]).content == script.PDF
    kept = world.store.get("Communication", answer.id)
    assert kept is not None and '"data"' not in kept.text


def test_what_we_write_with_files_is_valid_by_the_official_schemas(world: World, client: TestClient, shared: Path) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    send(client, File('a & "b" <c>.pdf', PDF), File("x" * 300 + ".png", PNG))
    made = messages(world, kari.reference)[-1]
    stated_by = world.keeping.stated(world.store, f"Communication/{made.id}", 1)
    content = _format(world).write(stated_by, Letter(made.id, made.id, "message", world.clock.now, world.clock.now + timedelta(days=1)))
    kith = shared / "standards" / "kith"
    imports = "".join(f'<xs:import namespace="{space}" schemaLocation="{name}"/>' for space, name in (
        (msghead.NAMESPACE, "MsgHead-v1_2.xsd"), (container.NAMESPACE, "kith-base64.xsd"),
        ("http://www.kith.no/xmlstds/dialog/2013-01-23", "dialogmelding-v1.1.xsd")))
    driver = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>'
    schema = etree.XMLSchema(etree.fromstring(driver.encode(), etree.XMLParser(no_network=True), base_url=(kith / "driver.xsd").as_uri()))
    schema.assertValid(etree.fromstring(content.body))
    documents = msghead.read(content.body).documents
    assert [d.description for d in documents if d.kind == ATTACHMENT] == ["a & b c.pdf", "x" * 96 + ".png"]


@pytest.mark.parametrize("sample", ["dialogmelding/v1.1-helsefaglig-samsvar.xml", "dialogmelding/v1.0-foresporsel-samsvar.xml"])
def test_the_files_of_real_messages_are_read_as_they_were_sent(shared: Path, sample: str) -> None:
    body = (shared / "standards" / "samples" / sample).read_bytes()
    payloads = enclosed.stated(msghead.read(body, files=False), body)
    files = attachments.files_of({"payload": [{"contentString": "x"}, *payloads]})
    assert files and all(f.name and attachments.kind_of(f.body) is not None for f in files)
    packed = re.findall(rb"<Base64Container[^>]*>([^<]+)<", body)
    assert len(files) == len(packed)


def test_an_epjs_file_is_what_its_bytes_say_and_called_what_can_be_shown(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    more = [attachments.stated(File("../../brev\r\n\u202efdp.exe", PDF), "text/html"), attachments.stated(File("", PNG))]
    item = stated(kari.national_id, "e1")
    hear(world, {**item, "payload": [*item["payload"], *more]})
    (kept,) = messages(world, kari.reference)
    assert [(f.title, f.media_type) for f in kept.files] == [("brev fdp.exe.pdf", "application/pdf"), ("vedlegg.png", "image/png")]
    assert hear(world, {**item, "payload": [*item["payload"], *more]}) == (f"Communication/{kept.id}",)
    assert world.store.write(lambda tx: tx.connection.row("select count(*) from attachment"))[0] == 2
    log_in(client, kari.reference)
    shown = client.get(f"/meldinger/{kept.thread}").text
    assert [client.get(link).content for link in LINK.findall(shown)] == [PDF, PNG]


@pytest.mark.parametrize(("files", "problem", "code"), [
    *(((File("a.pdf", body),), Problem.ATTACHMENT_KIND, "T10") for body in HOSTILE.values()),
    ((File("a.pdf", large(10_000_001)),), Problem.ATTACHMENTS_TOO_LARGE, "T99"), ((File("a.png", PNG),) * 6, Problem.ATTACHMENTS_TOO_LARGE, "T99"),
], ids=[*HOSTILE, "too large", "too many"])
def test_another_kind_too_large_or_too_many_is_refused_whole_and_told_so(town: World, files: tuple[File, ...], problem: Problem, code: str) -> None:
    person = somebody(town, NURSING)
    documents = [Document(container.write(f.body), ATTACHMENT, mime_type="application/pdf", description=f.name) for f in files]
    envelope = letter("DIALOG_INNBYGGER_EKONTAKT", document(), *documents)
    envelope = replace(envelope, content=replace(envelope.content, body=envelope.content.body.replace(b"05916011158", person.national_id.encode())))
    message = _format(town).read(envelope)
    assert isinstance(message, Resources)
    before = messages(town, person.reference)
    with pytest.raises(Refused) as why:
        town.store.write(lambda tx: town.keeping.keep(tx, Speaker.of(town.adapters["visma-profil"]), message))
    assert (why.value.problem, APPREC[why.value.problem]) == (problem, code) and messages(town, person.reference) == before


def test_more_than_any_municipality_takes_is_refused_before_it_is_unpacked(town: World) -> None:
    for documents in ([Document(container.write(bytes(28_000_000)), ATTACHMENT)], [Document(container.write(b"x"), ATTACHMENT)] * (MOST_FILES + 20)):
        with pytest.raises(Refused) as why:
            _format(town).read(letter("DIALOG_INNBYGGER_EKONTAKT", document(), *documents))
        assert why.value.problem is Problem.ATTACHMENTS_TOO_LARGE


def test_a_file_that_only_says_where_it_is_is_not_fetched_and_not_lost(world: World) -> None:
    kari = somebody(world, NURSING)
    item = stated(kari.national_id, "e1")
    pointed = {**item, "payload": [*item["payload"], {"contentAttachment": {"url": "https://example.org/a.pdf"}}]}
    assert refused(world, pointed) is Problem.INVALID and messages(world, kari.reference) == []


def test_a_container_that_calls_itself_xml_is_a_file_all_the_same(town: World) -> None:
    read = _format(town).read(letter("DIALOG_INNBYGGER_EKONTAKT", document("Hei"), Document(container.write(PDF), "XML", description="a.pdf")))
    assert isinstance(read, Resources) and attachments.files_of(read.items[0]) == (File("a.pdf", PDF),)
    bare = _format(town).read(letter("DIALOG_INNBYGGER_EKONTAKT", document("Hei")))
    assert isinstance(bare, Resources) and bare.items[0]["payload"] == [{"contentString": "Hei"}]
