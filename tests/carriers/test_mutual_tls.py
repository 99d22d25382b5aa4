"""Mutual TLS, both ways, over real sockets: our carrier against a server that wants to see a certificate, and our own server likewise."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

sys.path.insert(0, str(Path(__file__).parents[1] / "seals"))

from throwaway import DAY, HUB_TOML, YEAR, Ca, authority, leaf, write, write_key

from adapters.carriers import guarded
from adapters.carriers.http import HttpCarrier, http
from adapters.registries import rotating
from hub.adapter import Surroundings
from hub.commands import listening
from hub.config import Misconfigured, Tls, read_hub
from hub.endpoint import Allowed
from hub.message import Parcel
from hub.problem import Unavailable
from hub.tls import Shown

NOW = datetime.now(UTC)
TLS = {"digital_signature": True, "key_encipherment": True}
REACHED: list[str] = []
"""What came as far as the application."""
LETTER = Parcel({"content-type": "text/xml"}, b"<letter/>")
TOML = f"{HUB_TOML}port = 0\n"


class Pki:
    """One issuer of server certificates, one of client certificates, and everybody's files in one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.servers, self.clients, self.stranger = (authority(text, end=NOW + 9 * YEAR) for text in ("Tjenere", "Klienter", "Fremmed"))
        for ca, name in ((self.servers, "servers"), (self.clients, "clients"), (self.stranger, "stranger")):
            write(home / "certs" / f"{name}.pem", ca.certificate)
        self.pair("server", self.servers)
        self.pair("client", self.clients, server=False)

    def pair(self, name: str, above: Ca, host: str = "localhost", server: bool = True, end: datetime = NOW + YEAR) -> None:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        extensions = [x509.SubjectAlternativeName([x509.DNSName(host)]), x509.ExtendedKeyUsage([purpose])]
        write(self.home / "certs" / f"{name}.pem", leaf(above, name, start=NOW - 9 * DAY, end=end, uses=TLS, extensions=extensions))
        write_key(self.home / "certs" / f"{name}.key")

    def server(self, name: str = "server", client: str = "require") -> dict[str, Any]:
        """uvicorn's settings, by way of hub.toml."""
        text = f'{TOML}[tls]\ncertificate = "certs/{name}.pem"\nkey = "certs/{name}.key"\nclient_ca = "certs/clients.pem"\nclient = "{client}"\n'
        (self.home / "hub.toml").write_text(text, encoding="utf-8")
        hub = read_hub(self.home)
        assert hub.tls is not None
        self.shown = Shown(hub.tls)
        return listening(hub, self.shown)

    def send(self, port: int, host: str = "localhost", client: str | None = "client", ca: str = "servers") -> Parcel | None:
        """Our carrier, set up as an adapter's TOML would."""
        carrier = self.carrier(port, host, client, ca)
        try:
            return carrier.send(LETTER)
        finally:
            carrier.close()

    def carrier(self, port: int, host: str = "localhost", client: str | None = "client", ca: str = "servers") -> HttpCarrier:
        shown = {"certificate": f"certs/{client}.pem", "key": f"certs/{client}.key"} if client else {}
        return http(self.around(url=f"https://{host}:{port}/inn", ca=f"certs/{ca}.pem", **shown))

    def around(self, **settings: str) -> Surroundings:
        return Surroundings(self.home, "partner", "8100101", "8100000", "Solbakken", settings)


@contextmanager
def listens(settings: dict[str, Any]) -> Iterator[int]:
    """A real uvicorn with these settings; gives its port."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        REACHED.append(scope["path"])
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/xml")]})
        await send({"type": "http.response.body", "body": body})

    server = uvicorn.Server(uvicorn.Config(echo, **{**settings, "log_level": "critical", "lifespan": "off"}))
    started, plain = threading.Event(), server.startup

    async def startup(*args: Any, **kwargs: Any) -> None:
        await plain(*args, **kwargs)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(pki: Pki) -> Iterator[int]:
    with listens(pki.server()) as found:
        yield found


def test_who_shows_a_certificate_is_let_in(pki: Pki, port: int) -> None:
    assert pki.send(port) == Parcel({"content-type": "text/xml"}, LETTER.body, 200)


def test_a_new_client_certificate_is_shown_without_a_restart(pki: Pki, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotating, "LOOKED", 0.0)
    pki.pair("rotated", pki.clients, server=False, end=NOW - DAY)
    carrier = pki.carrier(port, client="rotated")
    with pytest.raises(Unavailable):
        carrier.send(LETTER)
    pki.pair("rotated", pki.clients, server=False)
    assert carrier.send(LETTER) == Parcel({"content-type": "text/xml"}, LETTER.body, 200)
    carrier.close()


@pytest.mark.parametrize("client", [None, "strange", "late", "server"])
def test_who_shows_none_or_a_wrong_one_is_not(pki: Pki, port: int, client: str | None) -> None:
    """None at all, a stranger's, an expired one, and a server's where a client's is due."""
    pki.pair("strange", pki.stranger, server=False)
    pki.pair("late", pki.clients, server=False, end=NOW - DAY)
    REACHED.clear()
    with pytest.raises(Unavailable) as later:
        pki.send(port, client=client)
    assert "localhost" not in later.value.detail
    assert REACHED == []


def test_a_server_that_says_what_it_does_not_like_is_quoted(pki: Pki) -> None:
    """uvicorn hangs up without a word; most others send the alert."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki.home / "certs" / "clients.pem")
    context.load_cert_chain(pki.home / "certs" / "server.pem", pki.home / "certs" / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    listening_socket = socket.create_server(("127.0.0.1", 0))

    def one() -> None:
        plain, _ = listening_socket.accept()
        with suppress(OSError):
            context.wrap_socket(plain, server_side=True)
        plain.close()

    thread = threading.Thread(target=one, daemon=True)
    thread.start()
    with pytest.raises(Unavailable, match="does not accept our TLS certificate"):
        pki.send(listening_socket.getsockname()[1], client=None)
    thread.join(10)
    listening_socket.close()


@pytest.mark.parametrize(("host", "ca", "why"), [
    ("127.0.0.1", "servers", "mismatch"), ("localhost", "stranger", "unable to get local issuer certificate"),
])
def test_a_server_of_another_name_or_issuer_gets_nothing(pki: Pki, port: int, host: str, ca: str, why: str) -> None:
    with pytest.raises(Unavailable, match=f"TLS certificate is not accepted.*{why}"):
        pki.send(port, host, ca=ca)


def test_a_server_whose_certificate_has_expired_gets_nothing(pki: Pki) -> None:
    pki.pair("old", pki.servers, end=NOW - DAY)
    with listens(pki.server("old")) as port, pytest.raises(Unavailable, match="expired"):
        pki.send(port)


def test_the_systems_issuers_do_not_know_ours(pki: Pki, port: int) -> None:
    with pytest.raises(Unavailable, match="TLS certificate is not accepted"):
        http(pki.around(url=f"https://localhost:{port}/inn")).send(LETTER)


def test_optional_lets_in_without_but_never_with_a_wrong_one(pki: Pki) -> None:
    pki.pair("strange", pki.stranger, server=False)
    with listens(pki.server(client="optional")) as port:
        assert pki.send(port, client=None) is not None
        assert pki.send(port) is not None
        with pytest.raises(Unavailable):
            pki.send(port, client="strange")


def test_what_cannot_work_stops_the_start(pki: Pki) -> None:
    pki.pair("other", pki.servers)
    (pki.home / "certs" / "broken.pem").write_text("not a certificate")
    for settings in (
        {"url": "http://localhost/", "ca": "certs/servers.pem"}, {"url": "https://localhost/", "certificate": "certs/client.pem"},
        {"url": "https://localhost/", "ca": "certs/missing.pem"}, {"url": "https://localhost/", "ca": "certs/broken.pem"},
        {"url": "https://localhost/", "certificate": "certs/broken.pem", "key": "certs/client.key"},
    ):
        with pytest.raises(Misconfigured):
            http(pki.around(**settings))


def test_the_hubs_own_tls_is_read_from_hub_toml(pki: Pki) -> None:
    pki.server()
    assert pki.shown.context.verify_mode is ssl.CERT_REQUIRED
    certs = pki.home / "certs"
    assert read_hub(pki.home).tls == Tls(certs / "server.pem", certs / "server.key", certs / "clients.pem", True)
    (pki.home / "hub.toml").write_text(TOML, encoding="utf-8")
    assert read_hub(pki.home).tls is None
    pair = 'certificate = "certs/server.pem"\nkey = "certs/server.key"\n'
    for table in ('certificate = "certs/server.pem"\n', 'certificate = "certs/none.pem"\nkey = "certs/server.key"\n', f'{pair}client = "perhaps"\n'):
        (pki.home / "hub.toml").write_text(f"{TOML}[tls]\n{table}", encoding="utf-8")
        with pytest.raises(Misconfigured, match="tls"):
            read_hub(pki.home)
    (pki.home / "hub.toml").write_text(f"{TOML}[tls]\n{pair}", encoding="utf-8")
    tls = read_hub(pki.home).tls
    assert tls is not None and Shown(tls).context.verify_mode is ssl.CERT_NONE
    with pytest.raises(Misconfigured, match=r"\[tls\].* ikke et par"):
        Shown(replace(tls, key=certs / "server.pem"))


def test_a_new_pair_of_the_hubs_own_is_shown_without_a_restart_and_half_of_one_is_not(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    certs = pki.home / "certs"
    for name in ("rotated", "next"):
        pki.pair(name, pki.servers)
    with listens(pki.server("rotated", client="optional")) as port:

        def shown() -> str:
            with socket.create_connection(("localhost", port)) as raw:
                context = ssl.create_default_context(cafile=certs / "servers.pem")
                with context.wrap_socket(raw, server_hostname="localhost") as secure:
                    return str(dict(part[0] for part in secure.getpeercert()["subject"])["commonName"])  # type: ignore[index]

        first = shown()
        (certs / "rotated.key").write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        pki.shown.look()
        assert shown() == first and "Endringen er ikke tatt i bruk" in caplog.text
        for kind in ("pem", "key"):
            (certs / f"next.{kind}").replace(certs / f"rotated.{kind}")
        pki.shown.look()
        assert shown() != first


def test_behind_the_guard_the_certificate_is_still_the_names(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guarded carrier calls the address that it judged; whose certificate it wants to see there is the name's, and no other's."""
    monkeypatch.setattr(guarded, "look_up", lambda *_: [ip_address("127.0.0.1")])
    pki.pair("epj", pki.servers, host="epj.kommunen.no")
    allowed = Allowed.of(["epj.kommunen.no", "other.kommunen.no"])
    with listens({**pki.server("epj", client="optional")}) as port:
        for host, right in (("epj.kommunen.no", True), ("other.kommunen.no", False)):
            around = replace(pki.around(url=f"https://{host}:{port}/inn"), settings={
                "url": f"https://{host}:{port}/inn", "ca": "certs/servers.pem", "allowed": allowed})
            carrier = http(around)
            if right:
                assert carrier.send(LETTER) is not None
            else:
                with pytest.raises(Unavailable, match="certificate is not accepted"):
                    carrier.send(LETTER)
            carrier.close()
