"""What the commands do; `hub.__main__` says how they are called."""

from __future__ import annotations

import gc
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from hub import app, importing, making, partners, sandbox, starting
from hub.booking.clock import local
from hub.config import Hub, read_adapters, read_hub
from hub.faces.careful import Careful
from hub.fhir import definitions, index
from hub.oauth.signin import read_signin
from hub.replaying import replay
from hub.stamp import LOOKED
from hub.store import Store
from hub.tls import Shown


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found: for a script (`data`) and for a person (`text`)."""

    ok: bool
    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""


def listening(hub: Hub, shown: Shown | None = None) -> dict[str, Any]:
    """How uvicorn listens: address, what it keeps to itself, and TLS as `[tls]` says."""
    told: dict[str, Any] = {
        "host": hub.host, "port": hub.port, "log_level": "warning", "access_log": False, "server_header": False,
        "proxy_headers": False, "http": Careful, "ws": "none", "log_config": None,
    }
    return told if shown is None else {**told, "ssl_context_factory": lambda *_: shown.context}


@contextmanager
def following(*looks: Callable[[], None]) -> Iterator[None]:
    """Meanwhile files of the home are looked at again and again, and taken up when they change."""
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(LOOKED):
            for look in looks:
                look()

    thread = threading.Thread(target=follow, name="follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run(home: Path, work: bool) -> None:
    """Serves until it is told to stop (SIGINT, SIGTERM)."""
    parts = app.put_together(home)
    _ready(parts)
    shown = None if parts.hub.tls is None else Shown(parts.hub.tls)
    worker, faces = app.worker(parts) if work else None, app.faces(parts)
    if worker is not None:
        worker.start()
    _settle_memory()
    try:
        with following(parts.adapters.look, *([shown.look] if shown else ())):
            uvicorn.run(faces, **listening(parts.hub, shown))
    finally:
        if worker is not None:
            worker.stop()
        parts.close()


def _settle_memory() -> None:
    """What was made at the start stays: the collector need not walk through it again and again (7 % of a search's time)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _ready(parts: app.Parts) -> None:
    """Before traffic. Raises Refused: the schema is another version's; Misconfigured: a sandbox where real persons could be."""
    parts.store.ready()
    app.guard_sandbox(parts)


def work(home: Path) -> None:
    """A worker alone."""
    parts = app.put_together(home)
    _ready(parts)
    worker = app.worker(parts)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    worker.start()
    with following(parts.adapters.look):
        stop.wait()
    worker.stop()
    parts.close()


@contextmanager
def _store(home: Path) -> Iterator[Store]:
    store = app.open_store(read_hub(home))
    try:
        yield store
    finally:
        store.close()


def begin(home: Path, told: starting.Beginning) -> Result:
    """A home from nothing."""
    key = starting.begin(home, told)
    return Result(True, {"home": str(home), "operator": told.operator, "key": key}, starting.next_steps(home, told.operator, key))


def adapter_add(home: Path, template: str, name: str) -> Result:
    """A partner's file from its template."""
    file = starting.add(home, template, name)
    return Result(True, {"file": str(file)}, f"Laget {file}. Fyll inn det som står i <>, og kontroller med: besoksbro adapter check")


def migrate(home: Path) -> Result:
    """Brings the schema up to date."""
    with _store(home) as store:
        store.migrate()
    return Result(True, {}, "Databasen har skjemaet til denne versjonen.")


def reindex(home: Path) -> Result:
    """Makes the search index anew where it must be."""
    with _store(home) as store:
        done = store.reindex(index.digest(definitions.load()))
    return Result(True, {"resources": done}, f"{done} ressurser indeksert på nytt." if done else "Indeksen er som den skal.")


def take_in(home: Path, file: Path, by: str, many: int, tell: Callable[[str], None]) -> Result:
    """Every line of a file of resources."""
    hub = read_hub(home)
    admits = sandbox.admits if sandbox.switched_on(hub) else None
    with _store(home) as store, file.open("rb") as opened, importing.processes(home, f"{hub.base_url}/fhir", many, admits) as (pool, way):
        store.ready()
        report = importing.take_in(store, opened, by, pool, way, importing.TOGETHER + 2 * many, lambda wrong: tell(f"linje {wrong}"))
    data = {"kept": report.kept, "same": report.same, "refused": report.refused}
    text = f"{report.kept} ressurser lagret, {report.same} var her fra før, {report.refused} avvist."
    return Result(not report.refused, data, text)


def backup(home: Path, to: Path) -> Result:
    """An online copy."""
    try:
        with _store(home) as store:
            store.backup(to)
    except sqlite3.OperationalError as wrong:
        return Result(False, {"file": str(to)}, f"{to} ble ikke skrevet ({wrong}): gi en ny fil i en mappe med plass.")
    return Result(True, {"file": str(to)}, f"Kopiert til {to}.")


def message_show(home: Path, id_: str) -> Result:
    """One appointment's timeline. `id_` is the appointment's id, with or without `Appointment/`."""
    reference = id_ if "/" in id_ else f"Appointment/{id_}"
    with _store(home) as store:
        lines = [
            {
                "at": entry.at.isoformat(), "kind": entry.kind, "text": entry.text, "delivery": entry.delivery,
                "version": entry.version, "origin": entry.origin,
            }
            for entry in store.timeline(reference)
        ]
        deliveries = {d.id: d for d in store.deliveries_about(reference)}
        local_times = [local(entry.at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] for entry in store.timeline(reference)]
    if not lines:
        return Result(False, {"reference": reference, "timeline": []}, f"Ingenting er kjent om {reference}.")
    text = [f"{reference} (norsk tid)"]
    text += [_line(at, line) for at, line in zip(local_times, lines, strict=True)]
    text += [f"  {d.adapter:16s} {d.function:10s} {d.state:10s} {d.tries} forsøk  {d.id}  {d.note}" for d in deliveries.values()]
    states = [{"id": d.id, "adapter": d.adapter, "function": d.function, "state": d.state.value, "tries": d.tries} for d in deliveries.values()]
    return Result(True, {"reference": reference, "timeline": lines, "deliveries": states}, "\n".join(text))


def _line(at: str, line: dict[str, Any]) -> str:
    version = f"v{line['version']}" if line["version"] else ""
    return f"  {at}  {line['kind']:12s} {line['origin']:16s} {version:4s} {(line['delivery'] or '')[:8]:8s} {line['text']}".rstrip()


def message_resend(home: Path, id_: str, by: str, reason: str) -> Result:
    """One letter once more."""
    parts = app.put_together(home)
    try:
        parts.flow.settling.resend(id_, f"operator:{by}", reason)
    finally:
        parts.close()
    return Result(True, {"id": id_}, f"{id_} sendes igjen.")


def message_replay(home: Path, key: int, by: str, reason: str) -> Result:
    """One parcel that could not be opened, once more."""
    parts = app.put_together(home)
    try:
        verdict = replay(parts.flow, key, f"operator:{by}", reason)
    finally:
        parts.close()
    problem = verdict.problem.value if verdict.problem else None
    text = f"avvist igjen: {problem} {verdict.detail}" if problem else f"tatt imot: {', '.join(verdict.about)}"
    return Result(verdict.accepted, {"key": key, "problem": problem, "detail": verdict.detail, "about": list(verdict.about)}, text)


def sandbox_reset(home: Path) -> Result:
    """Sets a sandbox back to its invented persons."""
    parts = app.put_together(home)
    try:
        changed = app.reset_sandbox(parts)
    finally:
        parts.close()
    return Result(True, {"changed": changed}, f"Sandkassen er som på sin første dag: {changed} endringer.")


def audit_verify(home: Path) -> Result:
    """The access log's chain."""
    with _store(home) as store:
        store.seal_audit()
        check = store.verify_audit()
    data = {"holds": check.holds, "seals": check.seals, "lines": check.lines, "broken": list(check.broken), "head": check.head}
    text = f"{check.lines} linjer under {check.seals} segl: " + ("kjeden holder" if check.holds else f"BRUTT ved {check.broken}")
    return Result(check.holds, data, f"{text}. Head: {check.head}")


def cert_list(home: Path) -> Result:
    """Our own and the partners' certificates."""
    lines = making.command("cert-list")(*making.certified(read_hub(home), read_adapters(home)), app.utc_now())
    return Result(True, {"certificates": [asdict(line) for line in lines]}, "\n".join(line.text for line in lines) or "Ingen sertifikater.")


def cert_check(home: Path, ask: bool) -> Result:
    """The same, judged: chain, use, validity, revocation."""
    lines, told = making.command("cert-check")(*making.certified(read_hub(home), read_adapters(home)), app.utc_now(), ask)
    data = {"certificates": [asdict(line) for line in lines], "remarks": told}
    return Result(all(line.ok for line in lines), data, "\n".join([*(line.text for line in lines), *told]) or "Ingen sertifikater.")


def adapter_list(home: Path) -> Result:
    """Each partner and how its letters stand."""
    parts = app.put_together(home)
    try:
        standing = parts.store.standing()
        rows = [
            {
                "name": text.name, "party": text.party, "carrier": text.carrier.kind, "seal": text.seal.kind, "format": text.format.kind,
                "departments": sorted(text.departments),
                "deliveries": {state.value: n for (name, state), n in standing.deliveries.items() if name == text.name},
            }
            for text in parts.adapters.texts.values()
        ]
    finally:
        parts.close()
    lines = [f"{r['name']:16s} {r['party']:10s} {r['carrier']} · {r['seal']} · {r['format']}  {r['deliveries'] or 'ingen brev'}" for r in rows]
    return Result(True, {"adapters": rows}, "\n".join(lines))


def adapter_try(home: Path, name: str, sample: Path) -> Result:
    """A sample through an adapter's mapping, field by field: what was read where, by which rule, and what it became. Nothing is kept."""
    parts = app.put_together(home)
    try:
        adapter = parts.adapters.get(name)
        explain = getattr(adapter.format, "explain", None) if adapter else None
        if explain is None:
            return Result(False, {"adapter": name}, f"{name} er ingen partner med en tabell; det finnes {', '.join(sorted(parts.adapters))}")
        rows = [asdict(row) for row in explain(sample.read_bytes())]
    finally:
        parts.close()
    width = max(len(row["to"]) for row in rows)
    lines = [f"{row['to']:{width}s}  ← {row['source']:18s} {row['rule']:24s} {row['value']}" for row in rows]
    return Result(True, {"adapter": name, "fields": rows}, "\n".join(lines))


def adapter_check(home: Path) -> Result:
    """Every part of every adapter is made, and the login is read; Misconfigured names the first file that must change."""
    parts = app.put_together(home)
    read_signin(parts.hub)
    if parts.hub.tls is not None:
        Shown(parts.hub.tls)
    names = list(parts.adapters)
    parts.close()
    return Result(True, {"adapters": names}, f"Alt er i orden hos {len(names)} partnere. {partners.TAKEN_UP}")
