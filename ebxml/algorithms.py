"""The algorithms that a signature may name, and no others (facts/ebxml.md 4.2)."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

from ebxml.header import DS

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
CANONICAL = {C14N: (False, False), f"{C14N}#WithComments": (False, True), EXCLUSIVE: (True, False), f"{EXCLUSIVE}WithComments": (True, True)}
"""Algorithm → (exclusive, with comments)."""
DIGESTS = {SHA256: "sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384", "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
           f"{DS}sha1": "sha1"}
METHODS: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    RSA_SHA256: ("sha256", hashes.SHA256()), "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384": ("sha384", hashes.SHA384()),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": ("sha512", hashes.SHA512()), f"{DS}rsa-sha1": ("sha1", hashes.SHA1()),
}
LEGACY = {f"{DS}rsa-sha1", f"{DS}sha1"}
"""Accepted only from partners named for it."""
