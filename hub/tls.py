"""What our server shows those who connect, and whose certificates it wants to see (`[tls]`), as the files say while it runs."""

from __future__ import annotations

import logging
import ssl

from hub.config import Misconfigured, Tls
from hub.stamp import stamp

log = logging.getLogger(__name__)


class Shown:
    """The server's own context, kept as the files are: connections that stand keep what they began with."""

    def __init__(self, tls: Tls) -> None:
        """Raises Misconfigured."""
        self._tls = tls
        self._files = [path for path in (tls.certificate, tls.key, tls.client_ca) if path is not None]
        self._seen = stamp(self._files)
        self.context = _context(tls)

    def look(self) -> None:
        """Takes up a changed pair, and issuers that came; those that went away are believed until the restart. Half a change is not taken."""
        seen = stamp(self._files)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            _context(self._tls)  # on one that nobody uses: half a pair in the server's own would stop every connection
            _load(self.context, self._tls)
        except Misconfigured as wrong:
            log.warning("%s. Endringen er ikke tatt i bruk; serveren viser det samme som før.", wrong)
        else:
            log.info("taken up: [tls]")


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED if tls.require else ssl.CERT_OPTIONAL
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    wrong = f"{tls.certificate} og {tls.key} er ikke et par i PEM, uten passord"
    try:
        context.load_cert_chain(tls.certificate, tls.key, _never_asked)
        if tls.client_ca is not None:
            wrong = f"{tls.client_ca} er ikke sertifikater i PEM"
            context.load_verify_locations(tls.client_ca)
    except (OSError, ValueError) as trouble:  # ssl.SSLError is an OSError
        raise Misconfigured(f"hub.toml [tls]: {wrong}") from trouble


def _never_asked() -> str:
    raise ValueError("the key has a password")  # else OpenSSL would ask for it on the terminal
