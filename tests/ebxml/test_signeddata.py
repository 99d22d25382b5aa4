"""CMS SignedData: OpenSSL verifies ours, we verify OpenSSL's; the signer is who the signer info says, and only the partner counts."""

from __future__ import annotations

import pytest
from asn1crypto import cms as asn1
from ebms_made import pair
from hypothesis import given
from hypothesis import strategies as st
from test_cms import PLAIN, OpenSsl, openssl

from ebxml import signeddata
from ebxml.errors import ErrorCode, Fault, Violation

US, OLD, OTHER = (pair(name) for name in ("us", "old", "other"))
__all__ = ["openssl"]


def signed(program: OpenSsl, *options: str, by: tuple[str, ...] = ("us",)) -> bytes:
    signers = [word for name in by for word in ("-signer", f"{name}.pem", "-inkey", f"{name}.key")]
    program.run("-sign", "-binary", "-nodetach", "-in", "plain", "-outform", "DER", "-out", "signed", *signers, *options)
    return (program.folder / "signed").read_bytes()


def fault(blob: bytes, *pinned: object, legacy: bool = False) -> Fault:
    with pytest.raises(Violation) as wrong:
        signeddata.verify(blob, pinned or [US.certificate], legacy=legacy)  # type: ignore[arg-type]
    assert wrong.value.code is ErrorCode.SECURITY_FAILURE
    return wrong.value.fault


@pytest.mark.spec("facts/ebxml", "4.4")
def test_openssl_verifies_ours(openssl: OpenSsl) -> None:
    (openssl.folder / "ours").write_bytes(signeddata.sign(PLAIN, US.key, US.certificate))
    openssl.run("-verify", "-binary", "-inform", "DER", "-in", "ours", "-CAfile", "us.pem", "-no_check_time", "-purpose", "any", "-out", "read")
    assert (openssl.folder / "read").read_bytes() == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4.signed")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize(
    "options",
    [
        (), ("-stream",), ("-md", "sha384"), ("-md", "sha512"), ("-noattr",), ("-keyid",), ("-nocerts",),
        ("-keyopt", "rsa_padding_mode:pss"), ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"), ("-certfile", "other.pem"),
    ],
)
def test_we_verify_every_way_openssl_signs(openssl: OpenSsl, options: tuple[str, ...]) -> None:
    blob = signed(openssl, *options)
    assert (blob[1] == 0x80) == ("-stream" in options)
    read = signeddata.verify(blob, [OTHER.certificate, US.certificate])
    assert (read.content, read.signer) == (PLAIN, US.certificate)
    assert (read.signed_at is None) == ("-noattr" in options)
    assert fault(blob, OLD.certificate) is Fault.WRONG_SIGNER


@pytest.mark.spec("facts/ebxml", "4.4")
def test_sha_1_is_accepted_only_by_argument(openssl: OpenSsl) -> None:
    blob = signed(openssl, "-md", "sha1")
    assert fault(blob) is Fault.BAD_SIGNATURE
    assert signeddata.verify(blob, [US.certificate], legacy=True).content == PLAIN


@pytest.mark.spec("facts/ebxml", "4.4.signed")
@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("by", [("us", "other"), ("other", "us")])
def test_of_two_signers_the_partner_is_found_wherever_it_stands(openssl: OpenSsl, by: tuple[str, ...]) -> None:
    assert signeddata.verify(signed(openssl, by=by), [US.certificate]).signer == US.certificate


@pytest.mark.spec("facts/ebxml", "4.4.signed")
@pytest.mark.spec("facts/ebxml", "4.4")
def test_the_partners_certificate_in_the_bundle_proves_nothing(openssl: OpenSsl) -> None:
    assert fault(signed(openssl, "-certfile", "us.pem", by=("other",))) is Fault.WRONG_SIGNER


def test_another_content_another_digest_and_another_value_are_refused() -> None:
    blob = signeddata.sign(PLAIN, US.key, US.certificate)
    assert fault(blob.replace(b"all bytes", b"ALL bytes", 1)) is Fault.BAD_SIGNATURE
    assert fault(blob[:-1] + bytes([blob[-1] ^ 1])) is Fault.BAD_SIGNATURE
    info = asn1.ContentInfo.load(blob)
    info["content"]["encap_content_info"]["content"] = b"something else"
    assert fault(info.dump(force=True)) is Fault.BAD_SIGNATURE


def test_signed_attributes_cannot_be_taken_away_to_make_them_the_content() -> None:
    """RFC 5652 security considerations: the signature over the attributes is also one over a content that is those attributes."""
    info = asn1.ContentInfo.load(signeddata.sign(PLAIN, US.key, US.certificate))
    signer = info["content"]["signer_infos"][0]
    attributes = b"\x31" + signer["signed_attrs"].untag().dump(force=True)[1:]
    bare = asn1.SignerInfo({name: signer[name].copy() for name in ("version", "sid", "digest_algorithm", "signature_algorithm", "signature")})
    info["content"]["encap_content_info"]["content"] = attributes
    info["content"]["signer_infos"] = asn1.SignerInfos([bare])
    assert fault(info.dump(force=True)) is Fault.BAD_SIGNATURE


@pytest.mark.parametrize("blob", [b"", b"<a/>", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff"])
def test_what_is_no_cms_is_refused(blob: bytes) -> None:
    assert fault(blob) in (Fault.BAD_SIGNATURE, Fault.UNSIGNED)


def test_a_content_kept_elsewhere_and_no_signer_are_unsigned(openssl: OpenSsl) -> None:
    openssl.run("-sign", "-binary", "-in", "plain", "-outform", "DER", "-out", "s", "-signer", "us.pem", "-inkey", "us.key")
    assert fault((openssl.folder / "s").read_bytes()) is Fault.UNSIGNED
    info = asn1.ContentInfo.load(signeddata.sign(PLAIN, US.key, US.certificate))
    info["content"]["signer_infos"] = asn1.SignerInfos([])
    assert fault(info.dump(force=True)) is Fault.UNSIGNED
    assert fault(asn1.ContentInfo({"content_type": "data", "content": b"x"}).dump()) is Fault.UNSIGNED


@given(st.integers(0, 3000), st.integers(1, 255))
def test_one_byte_changed_is_refused_or_changes_nothing(at: int, flip: int) -> None:
    blob = bytearray(signeddata.sign(b"<a/>", US.key, US.certificate))
    blob[at % len(blob)] ^= flip
    try:
        read = signeddata.verify(bytes(blob), [US.certificate])
    except Violation:
        return
    assert (read.content, read.signer) == (b"<a/>", US.certificate)


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_a_violation(blob: bytes) -> None:
    with pytest.raises(Violation):
        signeddata.verify(blob, [US.certificate])
