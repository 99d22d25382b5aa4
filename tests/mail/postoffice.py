"""A post office for one test run: Dovecot for IMAP and POP3, aiosmtpd for SMTP, which puts what it takes into Dovecot's mailboxes.

Any user name is let in with the one password, so that each test has mailboxes of its own.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import imaplib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.demo.processes import free_ports, wait_for

HOST, PASSWORD = "127.0.0.1", "hemmelig-æøå-9"
SMTP_PASSWORD = "hemmelig-9"
DOMAIN = "edi.example"
CONF = """
protocols = imap pop3
listen = {host}
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:{home}/mail/%n
auth_failure_delay = 0
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{home}/cert.pem
ssl_key = <{home}/key.pem
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%n
}}
mail_fsync = never
service imap {{
  service_count = 1000
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


class Counter:
    """aiosmtpd's handler: what it refuses, and what it delivers. By the address it was for, `wire` holds what came and `ports` the far ends of the
    connections it came by; `last` is the server that took the last one."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.wire: dict[str, list[bytes]] = {}
        self.ports: dict[str, list[int]] = {}
        self.last: dict[str, Any] = {}

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        code = {"gone": "550 no such user", "full": "452 mailbox full"}.get(address.partition("@")[0])
        if code is None:
            envelope.rcpt_tos.append(address)
        return code or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if b"\r\nSubject: spam" in envelope.content:
            return "554 not taken"
        for address in envelope.rcpt_tos:
            self.wire.setdefault(address, []).append(envelope.content)
            self.ports.setdefault(address, []).append(session.peer[1])
            self.last[address] = server
            self.office.put(address.partition("@")[0], f"Return-Path: <{envelope.mail_from}>\r\n".encode() + envelope.content)
        return "250 OK"


@dataclass
class Office:
    """Where everything is. `put`, `lying` and `folder` are the postman's own hands, past the carriers."""

    home: Path
    imap: int
    imaps: int
    pop3: int
    pop3s: int
    smtp: int = 0
    smtps: int = 0
    counter: Any = field(default=None)
    owner: tuple[str, str] = ("", "")
    """User and group that the mail belongs to."""
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def ca(self) -> Path:
        return self.home / "cert.pem"

    def user(self) -> str:
        return f"u{uuid.uuid4().hex[:10]}"

    def _at(self, user: str) -> imaplib.IMAP4:
        at = imaplib.IMAP4(HOST, self.imap, timeout=10)
        at.authenticate("PLAIN", lambda _: f"\0{user}\0{PASSWORD}".encode())
        return at

    def put(self, user: str, message: bytes) -> None:
        """As a mail server on the same machine does: into the user's Maildir, whole or not at all."""
        box = self.home / "mail" / user
        for folder in (box, box / "tmp", box / "new", box / "cur"):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                shutil.chown(folder, *self.owner)
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        name = f"{seconds}.M{nanoseconds // 1000:06}P{os.getpid()}Q{next(self.numbers)}.office"
        (box / "tmp" / name).write_bytes(message)
        shutil.chown(box / "tmp" / name, *self.owner)
        (box / "tmp" / name).rename(box / "new" / name)

    def hang_up(self, address: str) -> None:
        """Ends the connection by which the last message for an address came."""
        server, gone = self.counter.last[address], threading.Event()
        server.loop.call_soon_threadsafe(lambda: (server.transport.abort(), gone.set()))
        assert gone.wait(10)

    def lying(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """What lies in a folder, whole."""
        at = self._at(user)
        found: list[bytes] = []
        if at.select(f'"{folder}"', readonly=True)[0] == "OK":
            _, lines = at.uid("FETCH", "1:*", "(BODY.PEEK[])")
            found = [line[1] for line in lines if isinstance(line, tuple)]
        at.logout()
        return found


def certificate(home: Path) -> None:
    """A certificate of its own for 127.0.0.1, trusted by nobody but who is told to."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post office of a test")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), False)
        .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    )
    (home / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (home / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


@contextlib.contextmanager
def open_office(binary: str, counter: Callable[[Office], Counter] = Counter) -> Iterator[Office]:
    """Dovecot runs as whoever runs the tests; as `nobody` where that is root, which Dovecot refuses. `counter`: who takes the mail in."""
    who = "nobody" if os.getuid() == 0 else getpass.getuser()
    account = pwd.getpwnam(who)
    home = Path(tempfile.mkdtemp(prefix="post-"))  # not in tmp_path: that is closed to others, and socket paths must be short
    ports = free_ports(6)
    group = grp.getgrgid(account.pw_gid).gr_name
    office = Office(home, *ports[:4], owner=(who, group))
    for folder in ("run", "mail"):
        (home / folder).mkdir()
    certificate(home)
    (home / "dovecot.conf").write_text(CONF.format(
        host=HOST, home=home, user=who, group=group, uid=account.pw_uid, gid=account.pw_gid, password=PASSWORD,
        imap=office.imap, imaps=office.imaps, pop3=office.pop3, pop3s=office.pop3s,
    ), encoding="utf-8")
    as_whom: dict[str, Any] = {}
    if os.getuid() == 0:
        as_whom = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        for path in (home, *home.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
    dovecot = subprocess.Popen([binary, "-F", "-c", str(home / "dovecot.conf")], stderr=subprocess.DEVNULL, **as_whom)
    try:
        wait_for(lambda: all(map(_answers, ports[:4])), "Dovecot answers", 20)
        with _smtp(office, ports[4:], counter(office)):
            yield office
    finally:
        dovecot.send_signal(signal.SIGTERM)
        dovecot.wait(10)
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _smtp(office: Office, ports: list[int], counter: Counter) -> Iterator[None]:
    office.counter = counter
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(office.home / "cert.pem", office.home / "key.pem")

    def let_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == SMTP_PASSWORD.encode(), handled=False)

    usual: dict[str, Any] = {"hostname": HOST, "authenticator": let_in, "auth_require_tls": False, "data_size_limit": 60_000_000}
    controllers = [
        Controller(office.counter, port=ports[0], tls_context=context, **usual), Controller(office.counter, port=ports[1], ssl_context=context, **usual),
    ]
    for controller in controllers:
        controller.start()
    office.smtp, office.smtps = ports
    try:
        yield
    finally:
        for controller in controllers:
            controller.stop()
