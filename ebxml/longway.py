"""Signatures whose transforms are allowed, but not in the profile's order or spelling: xmlsec judges whether they hold (facts/ebxml.md 4.2, 4.6).

xmlsec says that the signature is valid, never what it covers. So its word counts only beside the digest that `ebxml.signature` takes over
all that must be covered: were the transforms to select anything less, the two could not both be right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from threading import Lock

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from ebxml.header import DS
from ebxml.hop import LONGEST
from ebxml.xml import parse

_MOST = 8
"""Transforms in a list: far above what anybody signs with."""
_ONE_AT_A_TIME = Lock()  # callbacks are global to the process
Fetch = Callable[[str], "bytes | None"]


def legal(transforms: Sequence[etree._Element], enveloped: str, xpath: str, canonical: Sequence[str]) -> bool:
    """Whether only allowed transforms stand there, the enveloped signature once among them. Nothing of them is evaluated here."""
    names = [t.get("Algorithm", "") for t in transforms]
    short = all(len("".join(map(str, t.itertext()))) <= LONGEST for t in transforms)
    return short and len(names) <= _MOST and names.count(enveloped) == 1 and set(names) <= {enveloped, xpath, *canonical}


def holds(root: etree._Element, signer: x509.Certificate, fetch: Fetch) -> bool:
    """Whether xmlsec finds the document's one signature valid for this certificate's key. `root` stays as it is.

    Nothing but the parts that `fetch` knows is ever opened: xmlsec's own file and http readers are taken out first.
    """
    copy = parse(etree.tostring(root.getroottree()))
    node = next(copy.iter(f"{{{DS}}}Signature"))
    uris = {r.get("URI", "") for r in node.iterfind(f"{{{DS}}}SignedInfo/{{{DS}}}Reference")} - {""}
    served = {uri: fetch(uri) for uri in uris}
    if any(body is None for body in served.values()):  # a callback that finds nothing surfaces as SystemError
        return False
    with _ONE_AT_A_TIME:
        xmlsec.cleanup_callbacks()
        xmlsec.register_callbacks(
            lambda name: name.decode() in served, lambda name: BytesIO(served[name.decode()] or b""), lambda file, buffer: file.readinto(buffer),
            lambda file: file.close(),
        )
        try:
            context = xmlsec.SignatureContext()
            context.key = xmlsec.Key.from_memory(signer.public_bytes(Encoding.DER), xmlsec.constants.KeyDataFormatCertDer)
            context.verify(node)
        except Exception:  # whatever it was, xmlsec does not say that it holds
            return False
        finally:
            xmlsec.cleanup_callbacks()
    return True
