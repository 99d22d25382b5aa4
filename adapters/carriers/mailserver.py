"""A mail server and how to get in: host, port, TLS and login, as they stand in an adapter's TOML."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.config import Misconfigured, duration

STARTTLS, TLS, NONE = "starttls", "tls", "none"


@dataclass(frozen=True, slots=True)
class Server:
    """One server. Settings: `host`, `port`, `tls` (`starttls`, the default, `tls` from the first byte, or `none`), `ca_file` (whom to trust,
    where it is not the machine's usual), `user` and `password_file`, `wait` (`20s`, for each answer)."""

    host: str
    port: int
    tls: str
    user: str
    password: str = field(repr=False)
    wait: float
    context: ssl.SSLContext | None = field(repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, Any], home: Path, where: str, ports: Mapping[str, int]) -> Server:
        """Reads it. `ports` are the usual ones of each way of TLS. Raises Misconfigured."""
        tls = str(settings.get("tls", STARTTLS))
        if tls not in ports:
            raise Misconfigured(f"{where}: tls er en av {', '.join(ports)}")
        if not settings.get("host"):
            raise Misconfigured(f"{where}: host mangler")
        try:
            user = str(settings.get("user", ""))
            password = (home / str(settings.get("password_file", ""))).read_text(encoding="utf-8").strip() if user else ""
            if not (user + password).isprintable():  # a line break would be a command of its own
                raise ValueError("user eller password har et tegn som ikke kan sendes")
            ca_file = str(home / str(settings["ca_file"])) if "ca_file" in settings else None
            context = None if tls == NONE else ssl.create_default_context(cafile=ca_file)
            wait = duration(str(settings.get("wait", "20s"))).total_seconds()
            return cls(str(settings["host"]), int(settings.get("port", ports[tls])), tls, user, password, wait, context)
        except (OSError, UnicodeDecodeError) as missing:  # ssl.SSLError is an OSError
            raise Misconfigured(f"{where}: password_file eller ca_file kan ikke leses ({type(missing).__name__})") from missing
        except ValueError as wrong:
            raise Misconfigured(f"{where}: {wrong}") from wrong
