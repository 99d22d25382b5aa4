"""Rows M1–M5: the largest letter that Norsk Helsenett lets through, and the most memory it takes: sealed, sent, opened, taken in by a hub.

The letter is a real one: a hospital says that somebody is admitted, and a scanned file comes along. The hub believes it, keeps it and acts on it.
Each is a process of its own (`python -m bench.memory seal …`), whose high-water mark is read: everything counts, also what C libraries take, and the
letter itself. In times the letter as it travels.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.carriers.http import http as http_carrier
from adapters.demo.least import least
from adapters.registries import pki
from bench.letters import EPJ, HUB, ROOT
from bench.measure import Row
from bench.servers import databases
from ebxml import container, msghead, plo
from ebxml.kith import HER, Coded, Ident, Party, Person
from hub import app
from hub.adapter import Surroundings
from hub.booking.conventions import FNR
from hub.faces.inbox import Inbox
from hub.fhir.query import Query
from hub.message import Content, Letter, Parcel

SIZE = 27_700_000
"""Bytes of the attachment: 37 MB of document, 51 MB as it travels."""
CHUNK = 65_536
WHATS = {"seal": "seal a letter of 51 MB", "send": "send it over HTTP", "open": "open it"}
INTAKE = "take it in over HTTP, accepted"
PATIENT = {"system": FNR, "value": "01815512345"}


def rows() -> Iterator[Row]:
    """One process for each."""
    with _sink() as url, tempfile.TemporaryDirectory() as name, databases(Path(name)) as found:
        document = Path(name) / "document"
        document.write_bytes(_document(datetime.now(UTC)))
        tries = [*((what, title, url) for what, title in WHATS.items()), *(("intake", f"{INTAKE}, {kind}", found[kind]) for kind in found)]
        for number, (what, title, where) in enumerate(tries, 1):
            command = [sys.executable, "-m", "bench.memory", what, str(document), where]
            peak, size = map(int, subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())
            detail = f"{peak / 1e6:.0f} MB for {size / 1e6:.0f} MB"
            yield Row(f"M{number}", title, peak / size, "of its size as it travels, peak memory", "≤ 4", "≤ 4", detail)


def _document(now: datetime) -> bytes:
    """A PLO message with a file of noise, which no compression makes small."""
    spaces = f'xmlns:p="{plo.NAMESPACE}Pasientlogistikk/2012-04-01" xmlns:k="{plo.NAMESPACE}poKomponent/2012-04-01"'
    at = f'<k:Hendelsekode V="1"/><k:TidspunktForHendelse V="{now:%Y-%m-%dT%H:%M:%SZ}"/>'
    told = f"<p:Pasientlogistikk {spaces}><k:TidsfestetHendelse>{at}</k:TidsfestetHendelse></p:Pasientlogistikk>"
    sender, receiver = (Party(her, (Ident(her, HER),)) for her in (HUB, EPJ))
    documents = (msghead.Document(told.encode()), msghead.Document(container.write(random.Random(1).randbytes(SIZE)), kind=msghead.ATTACHMENT))
    patient = Person(family="Test", given="Test", idents=(Ident(PATIENT["value"], "FNR"),))
    return msghead.write(msghead.MsgHead(Coded("LOG_INNLAGT", "PLO"), "m-1", now, sender, receiver, documents, patient=patient, ack="J"))


class _Sink(http.server.BaseHTTPRequestHandler):
    """Takes whatever comes and says yes."""

    def do_POST(self) -> None:
        left = int(self.headers["content-length"])
        while left > 0:
            left -= len(self.rfile.read(min(CHUNK, left)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@contextlib.contextmanager
def _sink() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _status(name: str) -> int:
    """Bytes of this process (Linux): `VmRSS` now, `VmHWM` at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _home(folder: Path, own: str, partner: str, database: str = "sqlite:///hub.db") -> app.Parts:
    """A hub that knows one partner and one person."""
    (folder / "adapters").mkdir(parents=True)
    (folder / "hub.toml").write_text(least(own, database=database), encoding="utf-8")
    (folder / "adapters" / "partner.toml").write_text(f'''party = "{partner}"
carrier = {{ kind = "memory" }}
seal = {{ kind = "ebms" }}
format = {{ kind = "msghead" }}
may = ["pause"]
''', encoding="utf-8")
    parts = app.put_together(folder)
    parts.store.migrate()
    parts.store.write(lambda tx: tx.keep({"resourceType": "Patient", "id": "p", "identifier": [PATIENT]}, origin="hub"))
    return parts


def _take_in(parts: app.Parts, headers: Mapping[str, str], body: Path) -> None:
    """As the web server hands it over: in pieces."""
    scope = {"path": "/inbox/partner", "method": "POST", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    with body.open("rb") as file, ThreadPoolExecutor(1) as pool:

        async def receive() -> dict[str, Any]:
            piece = file.read(CHUNK)
            return {"type": "http.request", "body": piece, "more_body": bool(piece)}

        async def send(_: object) -> None:
            return

        asyncio.run(Inbox(parts.flow, parts.adapters, pool)(scope, receive, send))
    if not parts.store.search(Query("Flag", ())).entries:
        raise RuntimeError("the letter was not accepted")


def _measure(what: str, document: Path, where: str) -> tuple[int, int]:
    """(peak over what the process took before the letter was there, the letter's size). `where`: the sink, or the hub's database."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pki.make_dev_pki(folder / "pki", {HUB: "Solbakken", EPJ: "EPJ"}, now)
        for own, partner in ((HUB, EPJ), (EPJ, HUB)):
            pki.lay_out(folder / "pki", folder / own / "certs", own, [partner])
        ours, theirs = _home(folder / HUB, HUB, EPJ), _home(folder / EPJ, EPJ, HUB, *([where] if what == "intake" else []))
        seal, opener = ours.adapters["partner"].seal, theirs.adapters["partner"].seal
        letter = Letter("aaaaaaaa-2222-3333-4444-555555555555", "c", "stay", now, now + timedelta(days=3))

        def work(content: Content) -> Parcel:
            return seal.close(content, letter, now)

        opener.open(work(Content(b"<a/>", "application/xml")), now)  # warm
        before = _status("VmRSS")
        parcel = work(Content(document.read_bytes(), "application/xml"))
        size, headers = len(parcel.body), parcel.headers
        (folder / "letter").write_bytes(parcel.body)
        carrier = http_carrier(Surroundings(folder, "partner", EPJ, HUB, "B", {"url": where})) if what == "send" else None
        if what == "intake":
            del parcel  # it lies in a file: the client's memory is not the hub's
        works: dict[str, Callable[[], object]] = {
            "seal": lambda: None, "send": lambda: carrier and carrier.send(parcel), "open": lambda: opener.open(parcel, now),
            "intake": lambda: _take_in(theirs, headers, folder / "letter"),
        }
        if what != "seal":
            Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
            before = _status("VmRSS") - (0 if what == "intake" else size)
        works[what]()
        return _status("VmHWM") - before, size


if __name__ == "__main__":
    print(*_measure(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
