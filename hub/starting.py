"""A home from nothing: what `besoksbro init` and `besoksbro adapter add` write, and what is to be done then. What is there is never changed."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hub.config import ENVIRONMENTS, Misconfigured, read_hub
from hub.making import ROOT

TEMPLATES = ROOT / "adapters" / "vendors"
FOLDERS = ("adapters", "mappings", "certs/partners", "certs/trusted", "certs/agreements")
_HUB = """\
# Kommunens hub. Alt som kan stå her, står i docs/operations.md. Endringer i denne filen krever omstart.
[hub]
municipality = {municipality}
# demo, test eller production
environment = {environment}
# Kommunens HER-id i Adresseregisteret
her_id = {her_id}
# Adressen innbyggere og partnere bruker. TLS gjør [tls] under, eller en proxy foran.
base_url = {base_url}
# "0.0.0.0" når andre maskiner skal nå huben uten en proxy på denne
host = "127.0.0.1"
port = 8080
# Eller "postgresql://bruker:passord@tjener/database"
database = {database}
# Står på hver side i portalen
phone = {phone}
opening_hours = {opening_hours}

# Hvem som slipper inn i konsollet, /drift. Flere: gjenta tabellen med en egen nøkkel.
[[operators]]
name = {operator}
token_digest = "{digest}"
# true: kan bestille, flytte og avlyse for innbyggere
books = false
# Avdelinger hvis meldinger hun eller han leser og besvarer; ["*"]: alle
messages = []

# [tls]
# certificate = "certs/tls.pem"
# key = "certs/tls.key"
"""
_NEXT = """\
Laget {home}. Nøkkelen til konsollet (/drift) for {operator}, som vises bare nå og ikke er lagret:

    {key}

Videre (--home {home}, eller BESOKSBRO_HOME; docs/operations.md):
  besoksbro database migrate       lager databasen
  besoksbro cert import FIL --as own-sign, og --as own-enc: virksomhetssertifikatene
  besoksbro adapter add MAL        en partner: {templates}
  besoksbro adapter check          sier hva som mangler
  besoksbro run                    så lages avdelingene i konsollet, /drift/avdelinger"""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What must be known before there is a home."""

    municipality: str
    her_id: str
    base_url: str
    phone: str
    opening_hours: str
    operator: str
    environment: str = "production"
    database: str = "sqlite:///hub.db"


def begin(home: Path, told: Beginning) -> str:
    """Makes the folders and hub.toml, readable by their owner alone; gives the operator's key, which is kept nowhere.

    Raises:
        Misconfigured: there is a hub.toml already, or what was told cannot be.
        OSError: the folder cannot be written.
    """
    _sound(told)
    file = home / "hub.toml"
    if file.exists():
        raise Misconfigured(f"{file} finnes fra før, og er ikke rørt")
    for folder in FOLDERS:
        (home / folder).mkdir(parents=True, exist_ok=True)
    key = secrets.token_urlsafe(32)
    words = {name: json.dumps(getattr(told, name), ensure_ascii=False) for name in Beginning.__slots__}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(_HUB.format(**words, digest=hashlib.sha256(key.encode()).hexdigest()))
    read_hub(home)
    return key


def _sound(told: Beginning) -> None:
    address = urlsplit(told.base_url)
    whole = address.scheme in ("http", "https") and address.hostname and address.path in ("", "/")
    wrong = {
        "kommunens navn mangler": not told.municipality.strip(),
        "HER-id er bare siffer": not told.her_id.isdigit(),
        "adressen er ikke http(s)://vertsnavn, uten sti": not whole,
        "adressen må begynne med https:// i production": told.environment == "production" and address.scheme != "https",
        f"miljøet er et av {', '.join(ENVIRONMENTS)}": told.environment not in ENVIRONMENTS,
        "et tegn som ingen fil kan ha": any(not text.isprintable() for text in (getattr(told, name) for name in Beginning.__slots__)),
    }
    if found := [fault for fault, holds in wrong.items() if holds]:
        raise Misconfigured("; ".join(found))


def next_steps(home: Path, operator: str, key: str) -> str:
    """Norwegian, for whoever began."""
    return _NEXT.format(home=home, operator=operator, key=key, templates=", ".join(templates()))


def add(home: Path, template: str, name: str) -> Path:
    """Copies a partner's template into the home, to be filled in; a running hub takes it up when nothing in it is blank any more.

    Raises:
        Misconfigured: no such template, no home, or a partner of this name.
        OSError: the folder cannot be written.
    """
    known = templates()
    if template not in known:
        raise Misconfigured(f"ingen mal heter {template!r}; det finnes {', '.join(known)}")
    if not name.replace("-", "").isalnum() or not name.isascii():
        raise Misconfigured("navnet kan ha bokstaver a–z, siffer og bindestrek: det er partnerens adresse, /inbox/<navn>")
    file = home / "adapters" / f"{name}.toml"
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write((TEMPLATES / f"{template}.toml").read_text(encoding="utf-8"))
    except FileExistsError as there:
        raise Misconfigured(f"{file} finnes fra før, og er ikke rørt") from there
    except FileNotFoundError as nowhere:
        raise Misconfigured(f"{home} er ingen hjemmemappe: lag den med besoksbro init") from nowhere
    return file


def templates() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in TEMPLATES.glob("*.toml"))
