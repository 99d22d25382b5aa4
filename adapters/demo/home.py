"""A demo home: the hub's folder and three EPJs' folders, with keys, settings and the invented municipality loaded."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from adapters.demo.municipality import Municipality, owners, resources
from adapters.registries import pki
from hub import app
from hub.booking.clock import local
from hub.config import read_hub
from hub.message import Resource
from hub.store import Transaction

ROOT = Path(__file__).parents[2]
HUB = "8100000"
EPJS = {
    "visma-profil": ("8100101", "Visma Profil (i boks)", "1.1"),
    "acos-cosdoc": ("8100201", "Acos CosDoc (i boks)", "1.0"),
    "tieto-gerica": ("8100301", "Tieto Gerica (i boks)", "1.1"),
}
"""Name → HER-id (invented), title, Dialogmelding version. They differ in these rows and in nothing else."""
OWNS_CALENDAR = "tieto-gerica"
"""The EPJ that is asked which times are free."""
NO_MESSAGES = "tieto-gerica"
"""The EPJ that takes no messages: what people write to its departments is answered in the console."""
SMS = '''title = "SMS"
party = "sms"
carrier = { kind = "folder", out = "folders/sms" }
seal = { kind = "plain" }
format = { kind = "notice" }
wants = ["notice-sms"]
answer_due = false
'''
"""Notices are files: nobody in the demo has a telephone."""
SHOP_FOLDER = "folders/tjenesteshop/out"
"""In the hub's home: where the shop is told which times are free."""
BATCH = 200


@dataclass(frozen=True, slots=True)
class DemoHome:
    """Where everything is, and the tokens that open it. Kept in `demo.json`."""

    folder: str
    seed: int
    hub_port: int
    epj_ports: dict[str, int]
    shop_token: str
    vendor_token: str
    made: str
    """The Norwegian day it was made: with the seed it decides who lives there."""

    @property
    def municipality(self) -> Municipality:
        return resources(self.seed, date.fromisoformat(self.made))

    @property
    def hub(self) -> Path:
        return Path(self.folder) / "hub"

    def epj(self, name: str) -> Path:
        return Path(self.folder) / name

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.hub_port}"

    def epj_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.epj_ports[name]}"


def open_home(folder: Path) -> DemoHome | None:
    """The demo home in a folder; None where there is none."""
    path = folder / "demo.json"
    return DemoHome(**json.loads(path.read_text())) if path.exists() else None


def make_home(
    folder: Path, seed: int, database: str | None, hub_port: int, epj_ports: dict[str, int], now: datetime, *, quick: bool,
    faults: dict[str, dict[str, float]] | None = None, pace: float = 0.0, bits: int = pki.BITS,
) -> DemoHome:
    """Makes it all. `quick`: partners' letters are tried again after tenths of seconds instead of minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = (secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    home = DemoHome(str(folder.resolve()), seed, hub_port, epj_ports, *tokens, local(now).date().isoformat())
    pki.make_dev_pki(folder / "pki", {HUB: "Solbakken kommune", **{her: title for her, title, _ in EPJS.values()}}, now, bits)
    pki.lay_out(folder / "pki", home.hub / "certs", HUB, [her for her, _, _ in EPJS.values()])
    _hub_files(home, database, quick)
    for name in EPJS:
        _epj_files(home, name, (faults or {}).get(name, {}), pace)
    _load(home, home.municipality)
    (folder / "demo.json").write_text(json.dumps(asdict(home)))  # last: only a whole home counts
    return home


def _hub_files(home: DemoHome, database: str | None, quick: bool) -> None:
    (home.hub / "adapters").mkdir(parents=True, exist_ok=True)
    (home.hub / "hub.toml").write_text(f'''# Solbakken kommune is invented. This home was made by `besoksbro demo`.
[hub]
municipality = "Solbakken kommune"
environment = "demo"
her_id = "{HUB}"
base_url = "{home.url}"
host = "127.0.0.1"
port = {home.hub_port}
database = "{database or 'sqlite:///hub.db'}"
phone = "55 00 00 00"
opening_hours = "Hver dag kl. 08:00–20:00"

[demo]
logins = {json.dumps([login.reference for login in home.municipality.logins])}   # whom the test login shows first

[subscriptions]
allow = ["127.0.0.1"]

[[vendors]]
name = "demo"
token_digest = "{_digest(home.vendor_token)}"
departments = ["*"]
''', encoding="utf-8")
    (home.hub / "adapters" / "tjenesteshop.toml").write_text(f'''title = "Tjenesteshop"
party = "tjenesteshop"
carrier = {{ kind = "folder" }}
seal = {{ kind = "plain" }}
format = {{ kind = "mapped", mapping = "tjenesteshop.toml" }}
wants = ["free-busy"]
may = ["book", "move", "cancel"]
answers = "reply"
answer_due = false
token_digest = "{_digest(home.shop_token)}"
''', encoding="utf-8")
    (home.hub / "adapters" / "sms.toml").write_text(SMS, encoding="utf-8")
    _partner_files(home, quick)


def _partner_files(home: DemoHome, quick: bool) -> None:
    patience = '{ pauses = ["300ms", "1s", "2s"], receipt_within = "5s", answer_within = "5m", give_up_after = "1h" }'
    departments = owners()
    for name, (her, title, dialog) in EPJS.items():
        (home.hub / "adapters" / f"{name}.toml").write_text(f'''title = "{title}"
party = "{her}"
carrier = {{ kind = "http", url = "{home.epj_url(name)}/meldinger", wait = "30s" }}
seal = {{ kind = "ebms" }}
format = {{ kind = "msghead", dialog = "{dialog}" }}
wants = {json.dumps(["booking"] if name == NO_MESSAGES else ["booking", "message"])}
departments = {json.dumps(departments[name])}
may = {json.dumps(["confirm", "assign", "move", "cancel", "complete", *([] if name == NO_MESSAGES else ["message"])])}
owner = "{"epj" if name == OWNS_CALENDAR else "confirm"}"
{f"patience = {patience}" if quick else ""}
concurrency = 4
{_ask(home, name) if name == OWNS_CALENDAR else ""}''', encoding="utf-8")


def _ask(home: DemoHome, name: str) -> str:
    """Its calendar is asked on a line of its own."""
    return f'''
[ask]
carrier = {{ kind = "http", url = "{home.epj_url(name)}/fhir/Appointment/$find" }}
seal = {{ kind = "plain" }}
format = {{ kind = "fhir" }}
'''


def _epj_files(home: DemoHome, name: str, faults: dict[str, float], pace: float) -> None:
    her, title, dialog = EPJS[name]
    folder = home.epj(name)
    pki.lay_out(Path(home.folder) / "pki", folder / "certs", her, [HUB])
    (folder / "mappings").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "mappings" / "functions.toml", folder / "mappings" / "functions.toml")
    wrong = "\n".join(f"{key} = {value}" for key, value in faults.items())
    (folder / "epj.toml").write_text(f'''name = "{name}"
title = "{title}"
party = "{her}"
hub_party = "{HUB}"
hub_url = "{home.url}/inbox/{name}"
port = {home.epj_ports[name]}
seed = {home.seed}
pace = {pace}
dialog = "{dialog}"

[faults]
{wrong}
''', encoding="utf-8")


def _load(home: DemoHome, municipality: Municipality) -> None:
    store = app.open_store(read_hub(home.hub))
    try:
        store.migrate()
        for start in range(0, len(municipality.resources), BATCH):
            part = municipality.resources[start:start + BATCH]
            store.write(lambda tx, part=part: _keep_all(tx, part))  # type: ignore[misc]
    finally:
        store.close()


def _keep_all(tx: Transaction, part: Iterable[Resource]) -> None:
    for resource in part:
        tx.keep(resource, origin="hub")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
