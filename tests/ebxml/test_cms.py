"""CMS: OpenSSL opens ours, we open OpenSSL's, and whatever is wrong, the sender is told the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from asn1crypto import cms as asn1
from asn1crypto.x509 import Name
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from ebms_made import pair
from hypothesis import given
from hypothesis import strategies as st

from ebxml import cms
from ebxml.errors import ErrorCode, Fault, Violation

PLAIN = b"<MsgHead>\r\n\x00 all bytes \xff are kept</MsgHead>\n" * 50


class OpenSsl:
    """The program, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plain").write_bytes(PLAIN)
        pairs = {name: pair(name) for name in ("us", "old", "other")} | {"odd": pair("odd", b"an id of its own")}
        for name, own in pairs.items():
            (folder / f"{name}.pem").write_bytes(own.certificate.public_bytes(serialization.Encoding.PEM))
            private = own.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            (folder / f"{name}.key").write_bytes(private)

    def run(self, *arguments: str) -> None:
        subprocess.run(["openssl", "cms", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def encrypted(self, *options: str, to: tuple[str, ...] = ("us",)) -> bytes:
        recipients = [f"{name}.pem" for name in to]
        self.run("-encrypt", "-binary", "-in", "plain", "-outform", "DER", "-out", "sealed", *options, *recipients)
        return (self.folder / "sealed").read_bytes()


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSsl:
    if shutil.which("openssl") is None:
        pytest.skip("openssl not found: apt-get install openssl")
    return OpenSsl(tmp_path)


@pytest.mark.spec("facts/ebxml", "4.4")
def test_what_we_send_to_two_each_of_them_opens_and_nobody_else() -> None:
    blob = cms.envelop(PLAIN, pair("us").certificate, pair("other").certificate)
    for name in ("us", "other"):
        assert cms.open_(blob, [pair(name)]) == PLAIN
    assert refused(blob, pair("old")) == UNIFORM
    with pytest.raises(ValueError, match="recipient"):
        cms.envelop(PLAIN)


def refused(blob: bytes, *own: cms.Own, triple_des: bool = False) -> tuple[object, ...]:
    """All that a sender can see of a refusal."""
    with pytest.raises(Violation) as wrong:
        cms.open_(blob, own, triple_des=triple_des)
    return (wrong.value.code, wrong.value.description, wrong.value.location, wrong.value.fault, str(wrong.value))


UNIFORM = (
    ErrorCode.SECURITY_FAILURE, "the content could not be decrypted with our key", "", Fault.NOT_DECRYPTABLE,
    "SecurityFailure: the content could not be decrypted with our key",
)


@pytest.mark.spec("facts/ebxml", "4.4")
def test_openssl_opens_ours(openssl: OpenSsl) -> None:
    (openssl.folder / "ours").write_bytes(cms.envelop(PLAIN, pair("us").certificate))
    openssl.run("-decrypt", "-binary", "-inform", "DER", "-in", "ours", "-recip", "us.pem", "-inkey", "us.key", "-out", "opened")
    assert (openssl.folder / "opened").read_bytes() == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4")
def test_ours_is_aes_256_cbc_by_issuer_and_serial_with_rsa_pkcs_1() -> None:
    told = cms.describe(cms.envelop(PLAIN, pair("us").certificate))
    assert told.algorithm == "aes256_cbc"
    assert told.transport in (("rsaes_pkcs1v15",), ("rsa",))
    assert told.recipients == (f"Common Name: us, serial {pair('us').certificate.serial_number:x}",)


@pytest.mark.spec("facts/ebxml", "4.4.read")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("stream", [(), ("-stream",)])
@pytest.mark.parametrize("bits", ["128", "192", "256"])
def test_we_open_aes_of_every_length_from_openssl_in_der_and_in_streamed_ber(openssl: OpenSsl, bits: str, stream: tuple[str, ...]) -> None:
    blob = openssl.encrypted(f"-aes-{bits}-cbc", *stream)
    assert (blob[1] == 0x80) == bool(stream)
    assert cms.open_(blob, [pair("us")]) == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4.keys")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_we_open_oaep(openssl: OpenSsl, digest: str) -> None:
    options = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", f"rsa_oaep_md:{digest}", "-keyopt", f"rsa_mgf1_md:{digest}")
    openssl.run("-encrypt", "-binary", "-in", "plain", "-outform", "DER", "-out", "s", "-aes-256-cbc", "-recip", "us.pem", *options)
    blob = (openssl.folder / "s").read_bytes()
    assert cms.describe(blob).transport == ("rsaes_oaep",)
    assert cms.open_(blob, [pair("us")]) == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4.keys")
@pytest.mark.spec("facts/ebxml", "4.4")
def test_we_are_found_by_key_identifier(openssl: OpenSsl) -> None:
    blob = openssl.encrypted("-aes-256-cbc", "-keyid")
    assert cms.describe(blob).recipients[0].startswith("key ")
    assert cms.open_(blob, [pair("other"), pair("us")]) == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4.keys")
def test_we_are_found_by_our_issuers_name_however_its_letters_are_encoded() -> None:
    """Some libraries write a name anew: BMPString for UTF8String, capitals, two blanks. By RFC 5280 (7.1) it is the same name."""
    info = asn1.ContentInfo.load(cms.envelop(PLAIN, pair("us Åse").certificate))
    named = info["content"]["recipient_infos"][0].chosen["rid"].chosen
    for other, ours in (("US  Åse", True), ("us Ase", False)):
        named["issuer"] = Name.load(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, other, _ASN1Type.BMPString)]).public_bytes())
        blob = info.dump(force=True)
        assert cms.open_(blob, [pair("us Åse")]) == PLAIN if ours else refused(blob, pair("us Åse")) == UNIFORM


@pytest.mark.spec("facts/ebxml", "4.4")
def test_we_are_found_by_a_key_identifier_that_only_our_certificate_knows(openssl: OpenSsl) -> None:
    blob = openssl.encrypted("-aes-256-cbc", "-keyid", to=("odd",))
    assert cms.describe(blob).recipients == (f"key {b'an id of its own'.hex()}",)
    assert cms.open_(blob, [pair("us"), pair("odd", b"an id of its own")]) == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4.keys")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("to", [("us", "other"), ("other", "us")])
def test_with_two_recipients_ours_is_chosen_by_its_id_not_by_its_place(openssl: OpenSsl, to: tuple[str, ...]) -> None:
    assert cms.open_(openssl.encrypted("-aes-256-cbc", to=to), [pair("us")]) == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4.keys")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("option", ["-aes-256-cbc", "-aes-128-cbc"])
def test_a_letter_to_the_old_key_is_opened_while_it_is_kept(openssl: OpenSsl, option: str) -> None:
    blob = openssl.encrypted(option, to=("old",))
    assert cms.open_(blob, [pair("us"), pair("old")]) == PLAIN
    assert refused(blob, pair("us")) == UNIFORM


@pytest.mark.spec("facts/ebxml", "4.4.read")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("stream", [(), ("-stream",)])
def test_3des_is_opened_only_by_argument(openssl: OpenSsl, stream: tuple[str, ...]) -> None:
    blob = openssl.encrypted("-des3", *stream)
    assert refused(blob, pair("us")) == UNIFORM
    assert cms.open_(blob, [pair("us")], triple_des=True) == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("option", ["-camellia-256-cbc", "-aes-256-gcm"])
def test_another_cipher_is_refused_in_the_same_words(openssl: OpenSsl, option: str) -> None:
    assert refused(openssl.encrypted(option), pair("us"), triple_des=True) == UNIFORM


def spoiled() -> dict[str, bytes]:
    """One envelope, wrong in each way that must look the same."""
    blob = cms.envelop(PLAIN, pair("us").certificate)
    padding = bytearray(blob)
    padding[-17] ^= 0xFF  # the last byte of the block before: the padding byte itself, so that it is wrong every time
    return {
        "padding": bytes(padding), "cut short": blob[:-16], "half a block short": blob[:-7], "nothing": b"", "no asn.1": b"<MsgHead/>",
        "another content type": blob.replace(bytes.fromhex("06092a864886f70d010703"), bytes.fromhex("06092a864886f70d010702"), 1),
        "to another": cms.envelop(PLAIN, pair("other").certificate), "base64": b"MIIB", "endless length": b"\x30\x84\xff\xff\xff\xff",
    }


@pytest.mark.spec("facts/ebxml", "4.4.uniform")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("what", list(spoiled()))
def test_every_failure_is_the_same_violation(what: str) -> None:
    assert refused(spoiled()[what], pair("us"), pair("old")) == UNIFORM


@pytest.mark.spec("facts/ebxml", "4.4")
def test_a_spoiled_session_key_is_the_same_violation_or_noise_and_never_tells_which() -> None:
    """A wrong RSA padding is answered with a random key (implicit rejection): once in some hundred times its padding looks right."""
    blob = cms.envelop(PLAIN, pair("us").certificate)
    sealed_key = asn1.ContentInfo.load(blob)["content"]["recipient_infos"][0].chosen["encrypted_key"].native
    for wrong in (sealed_key[::-1], bytes(len(sealed_key)), sealed_key[1:] + sealed_key[:1]):
        try:
            assert b"MsgHead" not in cms.open_(blob.replace(sealed_key, wrong), [pair("us"), pair("old")])
        except Violation as violation:
            assert (violation.code, violation.description, violation.location, violation.fault, str(violation)) == UNIFORM


@pytest.mark.spec("facts/ebxml", "4.4")
def test_without_a_key_of_ours_it_is_the_same_violation() -> None:
    assert refused(cms.envelop(PLAIN, pair("us").certificate)) == UNIFORM


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_opened_or_refused_in_the_same_words(blob: bytes) -> None:
    assert refused(blob, pair("us"), triple_des=True) == UNIFORM


@given(st.integers(0, 500), st.integers(1, 255))
def test_one_byte_changed_in_a_real_envelope_never_raises_anything_else(at: int, flip: int) -> None:
    blob = bytearray(cms.envelop(b"<a/>", pair("us").certificate))
    blob[at % len(blob)] ^= flip
    try:
        cms.open_(bytes(blob), [pair("us")], triple_des=True)
    except Violation as wrong:
        assert wrong.fault == Fault.NOT_DECRYPTABLE
        assert wrong.description == UNIFORM[1]


@given(st.binary(max_size=300))
def test_describing_any_bytes_raises_only_a_violation(blob: bytes) -> None:
    with pytest.raises(Violation):
        cms.describe(blob)


@given(st.binary(max_size=2000))
def test_what_is_sealed_is_what_is_opened(plain: bytes) -> None:
    assert cms.open_(cms.envelop(plain, pair("us").certificate), [pair("us")]) == plain
