"""The municipality's two keys: one encrypts stored letters, one makes keyed hashes of national ids and seals the audit log.

They live as hex text in `<home>/secrets/`, readable by the owner only, and are made on first use. They are not part of the database or its
backup: without `content.key` stored letters cannot be read again, without `index.key` persons cannot be found by national id.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.fhir.text import indexed

NATIONAL_IDS = frozenset({"urn:oid:2.16.578.1.12.4.1.4.1", "urn:oid:2.16.578.1.12.4.1.4.2"})
"""Identifier systems that are indexed by keyed hash only: fødselsnummer and D-nummer."""
_KEY = 32
_NONCE = 12


class Secrets:
    """The keys, ready for use."""

    def __init__(self, content_key: bytes, index_key: bytes, home: Path, admits: Callable[[str], None] | None = None) -> None:
        self._admits = admits
        self.home = home
        """The municipality's folder."""
        self.content_key_id = hashlib.sha256(content_key).hexdigest()[:8]
        """Stored beside each content, so that a key can be changed one day."""
        self._aead = AESGCM(content_key)
        self._index_key = index_key
        self.seal_key = hmac.digest(index_key, b"audit seal", "sha256")
        """Signs the audit log's chain; derived, so that it says nothing of the index key."""

    @classmethod
    def open(cls, home: Path, admits: Callable[[str], None] | None = None) -> Secrets:
        """The keys in `home`, made if they are not there yet. `admits` raises Refused for a national id that this hub must not have."""
        folder = home / "secrets"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(_key(folder / "content.key"), _key(folder / "index.key"), home, admits)

    def hash_id(self, system: str, value: str) -> str:
        """What is indexed instead of an identifier: 128 bits of HMAC-SHA256, in hex."""
        if self._admits is not None and system in NATIONAL_IDS:
            self._admits(value)
        return hmac.digest(self._index_key, f"{system}|{value}".encode(), "sha256")[:16].hex()

    def index_value(self, system: str | None, value: str) -> str:
        """The value to look for in the index: hashed if the system is one of NATIONAL_IDS."""
        return self.hash_id(system, value) if system in NATIONAL_IDS else indexed(value)

    def encrypt(self, plain: bytes | memoryview, about: str) -> bytes:
        """AES-256-GCM with a random nonce in front. `about` must be the same to decrypt, so that rows cannot be swapped."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, about.encode())

    def decrypt(self, sealed: bytes, about: str) -> bytes:
        """Raises ValueError if the bytes, the key or `about` are not those of `encrypt`."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except (InvalidTag, ValueError) as wrong:  # or too short to be any
            raise ValueError("stored content does not open with this key") from wrong


def _key(path: Path) -> bytes:
    """The key in a file; the first process to come makes it, whoever comes at the same time reads that one."""
    if not path.exists():
        fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(_KEY).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # never replaces: the second of two loses
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    path.chmod(0o600)
    key = bytes.fromhex(path.read_text().strip())
    if len(key) != _KEY:
        raise ValueError(f"{path.name} is not a key of {_KEY * 8} bits")
    return key
