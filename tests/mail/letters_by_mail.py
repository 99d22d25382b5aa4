"""Carriers that talk to the post office, and letters for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from postoffice import DOMAIN, HOST, PASSWORD, Office

from adapters.carriers.mailbox import Mailbox
from adapters.carriers.smtp import SmtpCarrier, smtp
from hub.adapter import Surroundings
from hub.message import Parcel

BOUNDARY = "=_a.b'c"
MULTIPART = f'multipart/related; type="text/xml"; boundary="{BOUNDARY}"; start="<soap@hub.example>"'


def around(home: Path, **settings: Any) -> Surroundings:
    return Surroundings(home, "partner", "8100101", "8100000", "Solbakken", settings)


def secret(home: Path, name: str, password: str) -> str:
    (home / name).write_text(f"{password}\n", encoding="utf-8")
    return name


def box_settings(office: Office, home: Path, user: str, kind: str = "imap", tls: str = "none", **more: Any) -> dict[str, Any]:
    plain, wrapped = (office.imap, office.imaps) if kind == "imap" else (office.pop3, office.pop3s)
    trust = {} if tls == "none" else {"ca_file": str(office.ca)}
    return {"kind": kind, "host": HOST, "port": wrapped if tls == "tls" else plain, "tls": tls, "user": user,
            "password_file": secret(home, "box.txt", PASSWORD), "every": "0s", **trust, **more}


def box(office: Office, home: Path, user: str, kind: str = "imap", tls: str = "none", **more: Any) -> Mailbox:
    return Mailbox(box_settings(office, home, user, kind, tls, **more), around(home))


def sender(office: Office, home: Path, to: str, tls: str = "none", **more: Any) -> SmtpCarrier:
    trust = {} if tls == "none" else {"ca_file": str(office.ca)}
    return smtp(around(home, **{"host": HOST, "port": office.smtps if tls == "tls" else office.smtp, "tls": tls, "sender": f"hub@{DOMAIN}",
                                "to": f"{to}@{DOMAIN}", **trust, **more}))


def letter(soap: bytes = b"<SOAP>bl\xc3\xa5b\xc3\xa6r\n.\nFrom x</SOAP>", payload: bytes = b"UGF5bG9hZA==") -> Parcel:
    """As the ebMS seal writes it: the SOAP part binary, the payload in base64."""
    line = f"--{BOUNDARY}\r\n".encode()
    body = (
        line + b"Content-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <soap@hub.example>\r\n\r\n" + soap + b"\r\n" + line
        + b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <payload@hub.example>\r\n\r\n" + payload + b"\r\n"
        + f"--{BOUNDARY}--\r\n".encode()
    )
    return Parcel({"content-type": MULTIPART, "soapaction": '"ebXML"'}, body)


def everything(mailbox: Any) -> list[Parcel]:
    """What lies there, all of it stored."""
    found = []
    for parcel, done in mailbox.collect():
        found.append(parcel)
        done()
    return found
