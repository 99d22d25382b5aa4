"""The algorithms that a signature may name, and no others (facts/ebxml.md 4.2)."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ebxml.header import DS

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
CANONICAL = {C14N: (False, False), f"{C14N}#WithComments": (False, True), EXCLUSIVE: (True, False), f"{EXCLUSIVE}WithComments": (True, True)}
"""Algorithm → (exclusive, with comments)."""
DIGESTS = {SHA256: hashlib.sha256, "http://www.w3.org/2001/04/xmldsig-more#sha384": hashlib.sha384,
           "http://www.w3.org/2001/04/xmlenc#sha512": hashlib.sha512, f"{DS}sha1": hashlib.sha1}
METHODS = {
    RSA_SHA256: (hashlib.sha256, Prehashed(hashes.SHA256())),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384": (hashlib.sha384, Prehashed(hashes.SHA384())),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": (hashlib.sha512, Prehashed(hashes.SHA512())),
    f"{DS}rsa-sha1": (hashlib.sha1, Prehashed(hashes.SHA1())),
}
"""Algorithm → (what takes the digest, how RSA is told of it)."""
LEGACY = {f"{DS}rsa-sha1", f"{DS}sha1"}
"""Accepted only from partners named for it."""
