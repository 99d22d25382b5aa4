"""A municipality's home folder into values: `hub.toml`, and one TOML text per adapter in `adapters/`.

Nothing here opens a socket, a key or a database; `hub.app` puts the parts together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from hub.adapter import Owner
from hub.delivery import Patience
from hub.endpoint import Allowed


class Misconfigured(Exception):
    """The operator must change a file; the text says which one and what. Never reaches a partner."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who may log in to the console, by the SHA-256 (hex) of a token."""

    name: str
    token_digest: str
    books: bool = False
    """May book, move and cancel for a person, with a reason."""
    messages: frozenset[str] = frozenset()
    """HealthcareService ids whose messages they read and answer; `*`: all."""


@dataclass(frozen=True, slots=True)
class VendorToken:
    """A bearer token for the FHIR API: who holds it, and what it may see."""

    name: str
    token_digest: str
    """SHA-256 (hex) of the token."""
    departments: frozenset[str]
    """Empty: none. `*`: all."""


@dataclass(frozen=True, slots=True)
class Tls:
    """`[tls]` of hub.toml: what our server shows, and whose certificates it wants to see. Paths start at the home folder."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    """PEM file of the issuers of client certificates; None: nobody is asked for one."""
    require: bool = True
    """A client without a certificate is refused. False: only a wrong one is."""


@dataclass(frozen=True, slots=True)
class Hub:
    """hub.toml."""

    home: Path
    municipality: str
    environment: str
    """`demo`, `test` or `production`."""
    her_id: str
    """Our own party id."""
    base_url: str
    """What the world calls us, without a trailing slash."""
    host: str
    port: int
    database: str
    """SQLAlchemy URL."""
    phone: str
    opening_hours: str
    operators: tuple[Operator, ...] = ()
    vendors: tuple[VendorToken, ...] = ()
    workers: int = 2
    """Threads that sign, encrypt and send."""
    tls: Tls | None = None
    """None: plain HTTP, behind a proxy that does TLS."""
    allowed: Allowed = Allowed()
    """`[subscriptions] allow`: addresses of our own network that clients may have notifications sent to."""
    tables: Mapping[str, Any] = field(default_factory=dict)
    """All of hub.toml, for parts that read a table of their own (`hub.oauth.settings`)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One carrier, seal or format: which kind, and its own settings."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """`[ask]` of an adapter: the line on which it is asked, and how long an answer may take and is good for."""

    carrier: Part
    seal: Part
    format: Part
    within: timedelta
    fresh: timedelta


@dataclass(frozen=True, slots=True)
class AdapterText:
    """One file of `adapters/`, read."""

    name: str
    title: str
    party: str
    carrier: Part
    seal: Part
    format: Part
    wants: frozenset[str]
    departments: frozenset[str]
    may: frozenset[str]
    answers: str
    patience: Patience
    patience_of: Mapping[str, Patience]
    answer_due: bool
    only_own: bool
    concurrency: int
    token_digest: str
    text: str
    owner: Owner = Owner.CONFIRM
    ask: Ask | None = None


ENVIRONMENTS = ("demo", "test", "production")
KINDS_NB = {str: "en tekst", int: "et heltall", bool: "true eller false", list: "en liste", dict: "en tabell"}


def read_hub(home: Path) -> Hub:
    """Reads `<home>/hub.toml`.

    Raises:
        Misconfigured: no such file, no TOML, a key missing or of the wrong kind.
    """
    table = _toml(home / "hub.toml")
    own = _get(table, "hub", dict, "hub.toml")
    where = "hub.toml [hub]"
    environment = _get(own, "environment", str, where)
    if environment not in ENVIRONMENTS:
        raise Misconfigured(f"{where}: environment er en av {', '.join(ENVIRONMENTS)}")
    database = _get(own, "database", str, where, "sqlite:///hub.db")
    if database.startswith("sqlite:///") and not database.startswith("sqlite:////"):
        database = f"sqlite:///{(home / database.removeprefix('sqlite:///')).resolve()}"
    return Hub(
        home=home,
        municipality=_get(own, "municipality", str, where),
        environment=environment,
        her_id=_get(own, "her_id", str, where),
        base_url=_get(own, "base_url", str, where).rstrip("/"),
        host=_get(own, "host", str, where, "127.0.0.1"),
        port=_get(own, "port", int, where, 8080),
        database=database,
        phone=_get(own, "phone", str, where),
        opening_hours=_get(own, "opening_hours", str, where),
        operators=tuple(
            Operator(o["name"], o["token_digest"], o.get("books") is True, frozenset(o.get("messages", ()))) for o in table.get("operators", ())
        ),
        vendors=tuple(VendorToken(v["name"], v["token_digest"], frozenset(v.get("departments", ()))) for v in table.get("vendors", ())),
        workers=_get(own, "workers", int, where, 2),
        tls=_tls(home, _get(table, "tls", dict, "hub.toml", {})),
        allowed=_allowed(_get(table, "subscriptions", dict, "hub.toml", {})),
        tables=table,
    )


def _allowed(table: Mapping[str, Any]) -> Allowed:
    where = "hub.toml [subscriptions]"
    try:
        return Allowed.of(_get(table, "allow", list, where, []))
    except (ValueError, AttributeError) as wrong:
        raise Misconfigured(f"{where} allow: {wrong}") from wrong


def _tls(home: Path, table: Mapping[str, Any]) -> Tls | None:
    if not table:
        return None
    where = "hub.toml [tls]"
    client = _get(table, "client", str, where, "require")
    if client not in ("require", "optional"):
        raise Misconfigured(f"{where}: client er `require` eller `optional`")
    found = {name: home / _get(table, name, str, where) for name in ("certificate", "key", "client_ca") if name != "client_ca" or name in table}
    for path in found.values():
        if not path.is_file():
            raise Misconfigured(f"{where}: {path} mangler")
    return Tls(found["certificate"], found["key"], found.get("client_ca"), client == "require")


def read_adapters(home: Path) -> list[AdapterText]:
    """Reads every `<home>/adapters/*.toml`, in the order of their names. Raises Misconfigured."""
    return [read_adapter(path) for path in sorted((home / "adapters").glob("*.toml"))]


def read_adapter(path: Path) -> AdapterText:
    """Reads one adapter's text; its name is the file's name. Raises Misconfigured."""
    table, where = _toml(path), f"adapters/{path.name}"
    answers = _get(table, "answers", str, where, "letter")
    if answers not in ("letter", "reply"):
        raise Misconfigured(f"{where}: answers er `letter` eller `reply`")
    return AdapterText(
        name=path.stem,
        title=_get(table, "title", str, where, path.stem),
        party=_get(table, "party", str, where),
        carrier=_part(table, "carrier", where),
        seal=_part(table, "seal", where),
        format=_part(table, "format", where),
        wants=frozenset(_get(table, "wants", list, where, [])),
        departments=frozenset(_get(table, "departments", list, where, [])),
        may=frozenset(_get(table, "may", list, where, [])),
        answers=answers,
        patience=_patience(_get(table, "patience", dict, where, {}), where),
        patience_of={
            function: _patience({**_get(table, "patience", dict, where, {}), **own}, f"{where} patience_of.{function}")
            for function, own in _get(table, "patience_of", dict, where, {}).items()
        },
        answer_due=_get(table, "answer_due", bool, where, True),
        only_own=_get(table, "only_own", bool, where, False),
        concurrency=_get(table, "concurrency", int, where, 2),
        token_digest=_get(table, "token_digest", str, where, ""),
        text=path.read_text(encoding="utf-8"),
        **_ownership(table, where),
    )


def _ownership(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Who decides over bookings, and how the partner is asked where it owns the calendar."""
    told, line = _get(table, "owner", str, where, Owner.CONFIRM.value), _get(table, "ask", dict, where, {})
    if told not in list(Owner):
        raise Misconfigured(f"{where}: owner er en av {', '.join(Owner)}")
    owner = Owner(told)
    if (owner is Owner.EPJ) != bool(line):
        raise Misconfigured(f'{where}: owner = "epj" og [ask] hører sammen')
    if not line:
        return {"owner": owner}
    try:
        within, fresh = (duration(str(line.get(key, usual))) for key, usual in (("within", "4s"), ("fresh", "10s")))
    except ValueError as wrong:
        raise Misconfigured(f"{where} ask: {wrong}") from wrong
    carrier, seal, format_ = (_part(line, key, f"{where} ask") for key in ("carrier", "seal", "format"))
    return {"owner": owner, "ask": Ask(carrier, seal, format_, within, fresh)}


def duration(text: str) -> timedelta:
    """A number and a unit: `500ms`, `30s`, `5m`, `12h`, `3d`. Raises ValueError."""
    for suffix, unit in (("ms", "milliseconds"), ("s", "seconds"), ("m", "minutes"), ("h", "hours"), ("d", "days")):
        number = text.removesuffix(suffix)
        if number != text:
            return timedelta(**{unit: float(number)})
    raise ValueError(f"{text!r} er ingen varighet: et tall og ms, s, m, h eller d")


def _patience(table: Mapping[str, Any], where: str) -> Patience:
    usual = Patience()
    try:
        return Patience(
            pauses=tuple(duration(p) for p in table["pauses"]) if table.get("pauses") else usual.pauses,
            receipt_within=duration(table["receipt_within"]) if "receipt_within" in table else usual.receipt_within,
            answer_within=duration(table["answer_within"]) if "answer_within" in table else usual.answer_within,
            give_up_after=duration(table["give_up_after"]) if "give_up_after" in table else usual.give_up_after,
        )
    except (ValueError, AttributeError, TypeError) as wrong:
        raise Misconfigured(f"{where} patience: {wrong}") from wrong


def _part(table: Mapping[str, Any], key: str, where: str) -> Part:
    value = dict(_get(table, key, dict, where))
    return Part(_get(value, "kind", str, f"{where} {key}"), {k: v for k, v in value.items() if k != "kind"})


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise Misconfigured(f"{path} mangler") from missing
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise Misconfigured(f"{path}: {wrong}") from wrong


_REQUIRED: Any = object()


def _get(table: Mapping[str, Any], key: str, kind: type, where: str, default: Any = _REQUIRED) -> Any:
    value = table.get(key, default)
    if value is _REQUIRED:
        raise Misconfigured(f"{where}: {key} mangler")
    if not isinstance(value, kind):
        raise Misconfigured(f"{where}: {key} skal være {KINDS_NB[kind]}")
    return value
