"""XML signatures of ebMS 2.0 and MsgHead (facts/ebxml.md 4.2, 4.3): what is signed, by whom, and whether it holds.

The XPath transform that ebMS prescribes only ever removes whole elements meant for the next hop, so the same octets come from removing those
elements (their tails stay) and one canonicalisation: twenty times quicker than evaluating it at every node. `tests/ebxml` has xmlsec, which
does it the long way, agree on every sample.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

from ebxml import certificate as certificates
from ebxml import hop, longway, reference
from ebxml.algorithms import C14N, CANONICAL, DIGESTS, ENVELOPED, EXCLUSIVE, LEGACY, METHODS, SHA256, XPATH
from ebxml.envelope import DS, SOAP
from ebxml.errors import ErrorCode, Fault, Violation
from ebxml.signing import sign
from ebxml.xml import canonical_part, inside

_PKCS1 = padding.PKCS1v15()
_SIGNATURE, _REFERENCE, _TRANSFORM = (f"{{{DS}}}{name}" for name in ("Signature", "Reference", "Transform"))
_PROFILE = [ENVELOPED, XPATH, C14N]
Fetch = Callable[[str], "bytes | None"]


@dataclass(frozen=True, slots=True)
class Examined:
    """What one signature says and whether it is true. Trust is the caller's: `signer` may be anybody."""

    digests: tuple[tuple[str, bool], ...]
    """(URI, whether the digest is right) of each reference."""
    signer: x509.Certificate | None
    """The certificate whose key made SignatureValue; None: it is wrong."""
    certificates: tuple[x509.Certificate, ...]
    """Everything KeyInfo shows. Anybody can show anything: only `signer` has proved something."""
    references: tuple[tuple[str, bytes], ...]
    """(URI, the ds:Reference element), for a receipt to repeat."""
    remarks: tuple[str, ...]

    @property
    def value_holds(self) -> bool:
        return self.signer is not None

    @property
    def holds(self) -> bool:
        """Every digest and the value; either alone proves nothing."""
        return self.value_holds and bool(self.digests) and all(right for _, right in self.digests)

    @property
    def covers(self) -> tuple[str, ...]:
        return tuple(uri for uri, _ in self.digests)


def _fail(text: str, fault: Fault = Fault.BAD_SIGNATURE) -> Violation:
    return Violation(ErrorCode.SECURITY_FAILURE, text, "//Header/Signature", fault)


def verify(
    root: etree._Element, fetch: Fetch, manifest: Iterable[str], pinned: Iterable[x509.Certificate], *, legacy: bool = False,
) -> Examined:
    """Checks the signature of an envelope against the partner's certificates. Takes elements out of `root`: read it before.

    Args:
        fetch: the bytes of a `cid:` part after transfer decoding; None: there is none.
        manifest: the hrefs of every part; each must be signed.
        legacy: SHA-1 is accepted.

    Raises:
        Violation: SecurityFailure with the Fault UNSIGNED, BAD_SIGNATURE, NOT_COVERED or WRONG_SIGNER.
    """
    trusted = list(pinned)
    examined = examine(root, fetch, trusted)
    if examined.signer not in trusted and (examined.signer or (examined.certificates and not set(examined.certificates) & set(trusted))):
        raise _fail("signed with another certificate than the partner's", Fault.WRONG_SIGNER)
    if examined.signer is None:
        raise _fail("SignatureValue does not hold")
    for uri, right in examined.digests:
        if not right:
            raise _fail(f"the digest of {uri or 'the envelope'} does not hold")
    missing = {"", *map(_same, manifest)} - {_same(uri) for uri in examined.covers}
    if missing:
        raise _fail("the signature does not cover " + ("the envelope" if "" in missing else "every part"), Fault.NOT_COVERED)
    if any("SHA-1" in remark for remark in examined.remarks) and not legacy:
        raise _fail("signed with SHA-1, which is not accepted from this partner")
    return examined


def _same(uri: str) -> str:
    """The one form of a URI that two parts of a message may write differently: the scheme's case, percent signs."""
    scheme, colon, rest = unquote(uri).partition(":")
    return scheme.lower() + colon + rest


def examine(root: etree._Element, fetch: Fetch, trusted: Sequence[x509.Certificate] | None = None) -> Examined:
    """Looks at the one signature of a document. Takes elements out of `root`.

    Args:
        trusted: whose unusual transforms are worth judging; None: anybody's, for an operator who looks at one file.

    Raises:
        Violation: when there is none or more than one, or it uses what no message may use (other URIs, other transforms).
    """
    signature = _the_one(root)
    said = inside(signature, DS)
    info = said.get("SignedInfo")
    if info is None:
        raise _fail("no SignedInfo")
    remarks: list[str] = []
    shown = _certificates(said.get("KeyInfo"))
    try:
        signer = _signer(info, _packed(said.get("SignatureValue")), shown or trusted or (), remarks)
        references = [_read(r) for r in info.iterchildren(_REFERENCE)]
        if len({r.uri for r in references}) != len(references):
            raise _fail("a part is referred to twice")
        kept = tuple((r.uri or "", r.repeated()) for r in references)
        judge = signer if trusted is None or signer in trusted else None  # nobody else's transforms are worth xmlsec's time
        digests = tuple((str(r.uri), _digest_holds(root, signature, r, fetch, remarks, judge)) for r in sorted(references, key=_envelope_last))
    except etree.C14NError as wrong:
        raise _fail("XML that has no canonical form, such as a relative namespace") from wrong
    return Examined(digests, signer, tuple(shown), kept, tuple(remarks))


def _the_one(root: etree._Element) -> etree._Element:
    """The document's signature, where it must stand: in the SOAP header, or right below another document's root."""
    found = list(root.iter(_SIGNATURE))
    if not found:
        raise _fail("not signed", Fault.UNSIGNED)
    if len(found) > 1:
        raise _fail("more than one signature")
    parent = found[0].getparent()
    if parent is None or parent is not (root if root.tag != f"{{{SOAP}}}Envelope" else next(root.iterchildren(f"{{{SOAP}}}Header"), None)):
        raise _fail("the signature stands where none may stand")
    return found[0]


class _Reference(NamedTuple):
    """What one ds:Reference says."""

    element: etree._Element
    uri: str | None
    transforms: list[etree._Element]
    algorithms: list[str]
    """Of the transforms."""
    filtered: bool
    """The prescribed filter is where the profile has it."""
    method: str
    digest: str

    def repeated(self) -> bytes:
        """What a receipt repeats: written anew where it is the profile's, else as it stands."""
        in_profile = self.filtered and self.algorithms == _PROFILE if self.uri == "" else not self.transforms
        if in_profile and self.method == SHA256 and self.element.keys() == ["URI"]:
            return reference.write(self.uri or "", self.digest, alone=True).encode()
        return etree.tostring(self.element, with_tail=False)


def _read(element: etree._Element) -> _Reference:
    said = inside(element, DS)
    transforms = list(said["Transforms"].iterchildren(_TRANSFORM)) if "Transforms" in said else []
    algorithms = [_algorithm(t) for t in transforms]
    filtered = algorithms[:2] == _PROFILE[:2] and hop.is_the_filter(transforms[1])
    method, digest = _algorithm(said.get("DigestMethod")), _packed(said.get("DigestValue"))
    return _Reference(element, element.get("URI"), transforms, algorithms, filtered, method, digest)


def _envelope_last(said: _Reference) -> bool:
    """The envelope's digest takes elements out of the tree, so it comes last."""
    return said.uri == ""


def _packed(element: etree._Element | None) -> str:
    """Base64 without the blanks that may stand in it."""
    return "".join((element.text or "").split()) if element is not None else ""


def _certificates(key_info: etree._Element | None) -> list[x509.Certificate]:
    """X509Certificate elements. KeyValue and names are no source of trust and are not looked at."""
    datas = key_info.iterchildren(f"{{{DS}}}X509Data") if key_info is not None else ()
    texts = [_packed(e) for data in datas for e in data.iterchildren(f"{{{DS}}}X509Certificate")]
    if len(texts) > 10 or any(len(text) > 20_000 for text in texts):
        raise _fail("more certificates, or larger ones, than a chain has")
    try:
        return [certificates.of_b64(text) for text in texts]
    except ValueError as wrong:
        raise _fail("a certificate that cannot be read") from wrong


def _signer(info: etree._Element, value: str, candidates: Iterable[x509.Certificate], remarks: list[str]) -> x509.Certificate | None:
    """The candidate whose key made SignatureValue."""
    said = inside(info, DS)
    canonical, method = (_algorithm(said.get(name)) for name in ("CanonicalizationMethod", "SignatureMethod"))
    if canonical not in CANONICAL or method not in METHODS:
        raise _fail("an algorithm that is not accepted")
    if method in LEGACY:
        remarks.append("signed with SHA-1")
    hasher, algorithm = METHODS[method]
    digest = hasher(canonical_part(info, *CANONICAL[canonical], prefixes=_prefixes(said.get("CanonicalizationMethod")))).digest()
    try:
        made = base64.b64decode(value, validate=True)
    except ValueError:
        return None
    for certificate in candidates:
        try:
            certificates.rsa_key(certificate).verify(made, digest, _PKCS1, algorithm)
            return certificate
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            continue
    return None


def _algorithm(element: etree._Element | None) -> str:
    return element.get("Algorithm", "") if element is not None else ""


def _digest_holds(
    root: etree._Element, signature: etree._Element, said: _Reference, fetch: Fetch, remarks: list[str], judge: x509.Certificate | None,
) -> bool:
    if said.method not in DIGESTS:
        raise _fail("a digest algorithm that is not accepted")
    if said.method in LEGACY:
        remarks.append("a digest with SHA-1")
    if said.uri == "":
        versions = _octets(root, signature, said, remarks, lambda: judge is not None and longway.holds(root, judge, fetch))
    elif said.uri is not None and said.uri.startswith("cid:") and not said.transforms:
        part = fetch(said.uri)
        if part is None:
            raise Violation(ErrorCode.MIME_PROBLEM, "a signed part is missing", said.uri, Fault.MISSING_PART)
        versions = iter([part])
    else:
        raise _fail("a reference that is neither the envelope nor a part as it is")
    made = (DIGESTS[said.method](octets).digest() for octets in versions)
    return any(hmac.compare_digest(said.digest.encode(), binascii.b2a_base64(digest, newline=False)) for digest in made)


def _octets(root: etree._Element, signature: etree._Element, said: _Reference, remarks: list[str], judged: Callable[[], bool]) -> Iterator[bytes]:
    """What must be covered: the envelope without its signature, and without what is for the next hop where the actor filter says so.

    The profile has enveloped-signature, the filter (seen missing in receipts), a canonicalisation (1.0 without comments when missing).
    Another order or spelling is `longway`'s to judge; then both versions are tried, since an unknown XPath is never evaluated here.
    """
    names, transforms = said.algorithms, said.transforms
    filtered = XPATH in names
    last = transforms[-1] if names and names[-1] in CANONICAL else None
    expected = [ENVELOPED] + [XPATH] * filtered + ([names[-1]] if last is not None else [])
    unusual = names != expected or (filtered and not said.filtered)
    if unusual and not longway.legal(transforms, ENVELOPED, XPATH, list(CANONICAL)):
        raise _fail("a transform that is not accepted")
    if unusual and not judged():
        raise _fail("transforms that are not the profile's, and do not hold")
    if unusual:
        remarks.append("transforms in another order or spelling than the profile's")
    elif not filtered and root.tag == f"{{{SOAP}}}Envelope":
        remarks.append("signed without the XPath transform")
    hop.take_out(signature)
    if unusual or not filtered:
        yield _canonical(root, last)
    if filtered:
        hop.strip(root)
        yield _canonical(root, last)


def _canonical(root: etree._Element, transform: etree._Element | None) -> bytes:
    exclusive, _ = CANONICAL[_algorithm(transform)] if transform is not None else (False, False)
    return etree.tostring(  # a same-document URI never includes comments
        root.getroottree(), method="c14n", exclusive=exclusive, with_comments=False, inclusive_ns_prefixes=_prefixes(transform),
    )


def _prefixes(how: etree._Element | None) -> list[str] | None:
    """The prefixes that an exclusive canonicalisation treats as an inclusive one would; None: of none it is said."""
    told = how.find(f"{{{EXCLUSIVE}}}InclusiveNamespaces") if how is not None else None
    return told.get("PrefixList", "").split() if told is not None else None


__all__ = ["Examined", "examine", "sign", "verify"]
