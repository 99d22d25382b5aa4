"""The command line: `besoksbro` (or `python -m hub`)."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import commands, logs, making
from hub.config import Misconfigured
from hub.problem import Refused, Unavailable
from hub.starting import Beginning

Home = Annotated[Path, typer.Option("--home", envvar="BESOKSBRO_HOME", help="The municipality's folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]

main_command = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Besøksbro: from Tjenesteshop to the EPJ and back to the relative.",
)
message = typer.Typer(no_args_is_help=True, help="Messages and appointments.")
database = typer.Typer(no_args_is_help=True, help="The municipality's database.")
audit = typer.Typer(no_args_is_help=True, help="The access log.")
adapter = typer.Typer(no_args_is_help=True, help="Partners.")
main_command.add_typer(message, name="message")
main_command.add_typer(database, name="database")
main_command.add_typer(audit, name="audit")
main_command.add_typer(adapter, name="adapter")
cpa = typer.Typer(no_args_is_help=True, help="Agreements with partners (CPA 2.0).")
main_command.add_typer(cpa, name="cpa")
sandbox = typer.Typer(no_args_is_help=True, help="The vendors' sandbox.")
main_command.add_typer(sandbox, name="sandbox")
cert = typer.Typer(no_args_is_help=True, help="Certificates: our own, the partners', and whom we trust.")
main_command.add_typer(cert, name="cert")


def show(result: commands.Result, as_json: bool) -> None:
    """Prints a result and leaves with its exit code: 0 ok, 1 failed."""
    typer.echo(json.dumps(result.data, ensure_ascii=False, indent=1, default=str) if as_json else result.text)
    raise typer.Exit(0 if result.ok else 1)


@main_command.command()
def init(
    home: Home, municipality: Annotated[str, typer.Option(prompt="Kommunens navn")], her_id: Annotated[str, typer.Option(prompt="Kommunens HER-id")],
    base_url: Annotated[str, typer.Option(prompt="Adressen innbyggere skal bruke (https://…)")],
    phone: Annotated[str, typer.Option(prompt="Telefonen som står i portalen")],
    opening_hours: Annotated[str, typer.Option(prompt="Når den besvares (Hver dag kl. 08–20)")],
    operator: Annotated[str, typer.Option(help="Who gets the first key to the console.")] = os.environ.get("USER", "operator"),
    environment: Annotated[str, typer.Option(help="demo, test or production.")] = "production",
    database_url: Annotated[str, typer.Option("--database", help="SQLAlchemy URL.")] = "sqlite:///hub.db", as_json: Json = False,
) -> None:
    """Makes a municipality's folder: hub.toml, its folders, and the first operator's key. Asks for what is not given."""
    told = Beginning(municipality, her_id, base_url, phone, opening_hours, operator, environment, database_url)
    show(commands.begin(home, told), as_json)


@main_command.command()
def run(home: Home, work: Annotated[bool, typer.Option(help="Also deliver what is due.")] = True) -> None:
    """Runs the hub: every face on one port, and the worker unless --no-work."""
    commands.run(home, work)


@main_command.command()
def work(home: Home) -> None:
    """Runs a worker alone, beside a hub on the same database."""
    commands.work(home)


def _of_others(name: str, *given: Any) -> Any:
    """A CPA is ebxml's and a certificate a registry's, which the hub does not know. Raises Exit with what is wrong."""
    try:
        return making.command(name)(*given)
    except ValueError as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(1) from wrong


@cpa.command("show")
def cpa_show(file: Path, as_json: Json = False) -> None:
    """Says in plain words what a CPA or CPP agrees."""
    text = _of_others("cpa-show", file)
    show(commands.Result(True, {"text": text}, text), as_json)


@cpa.command("check")
def cpa_check(
    file: Path, at: Annotated[datetime | None, typer.Option(help="The time at which it is to be used.")] = None, as_json: Json = False,
) -> None:
    """Names what is wrong with a CPA; leaves with 1 when something is."""
    problems = _of_others("cpa-check", file, at)
    show(commands.Result(not problems, {"problems": problems}, "\n".join(problems) or "Ingen feil funnet."), as_json)


@cpa.command("make")
def cpa_make(facts: Path, to: Annotated[Path, typer.Option("--to", help="The CPA file to write.")]) -> None:
    """Drafts a CPA from two parties' facts (docs/cpa.md); its status is «proposed» until both have agreed."""
    to.write_bytes(_of_others("cpa-make", facts))
    show(commands.Result(True, {"file": str(to)}, f"Skrev {to}. Kontroller med: besoksbro cpa check {to}"), False)


@cert.command("list")
def cert_list(home: Home, as_json: Json = False) -> None:
    """Our own and the partners' certificates: serial number, organisation, validity, days left."""
    show(commands.cert_list(home), as_json)


@cert.command("check")
def cert_check(
    home: Home, ask: Annotated[bool, typer.Option(help="Also ask the issuers what is revoked.")] = True, as_json: Json = False,
) -> None:
    """Judges each by chain, key usage, validity and revocation; leaves with 1 when one must not be used."""
    show(commands.cert_check(home, ask), as_json)


@cert.command("import")
def cert_import(
    file: Path, home: Home, kind: Annotated[str, typer.Option("--as", help="own-sign, own-enc, sign, enc or trusted.")],
    partner: Annotated[str, typer.Option(help="The partner's HER-id, for sign and enc.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="Instead of being asked for the password.")] = None,
) -> None:
    """Takes a PKCS#12 or PEM file into the home's certs/; private keys are readable by their owner alone."""
    password = None
    if password_file is not None:
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n").encode()
    elif _of_others("cert-needs-password", file):
        password = str(typer.prompt("Passord", hide_input=True, default="", show_default=False)).encode()
    done = _of_others("cert-import", home / "certs", file, kind, partner, password)
    show(commands.Result(True, {"done": done}, "\n".join(done)), False)


@main_command.command()
def read(
    file: Path, at: Annotated[datetime | None, typer.Option(help="The time at which certificates must be valid.")] = None,
    schemas: Annotated[Path | None, typer.Option(help="Folder with the official XSD files.")] = None, as_json: Json = False,
) -> None:
    """Opens any ebXML, MsgHead, AppRec or CPA file and says what it is, what is signed, and what was tolerated."""
    report = making.command("read")(file.read_bytes(), at, schemas)
    show(commands.Result(True, report.to_dict(), report.text()), as_json)


@main_command.command()
def demo(
    home: Annotated[Path, typer.Option(help="Where the demo municipality lives.")] = Path(".demo"),
    check: Annotated[bool, typer.Option("--check", help="Play a whole day in fast time and verify it from outside.")] = False,
    bookings: Annotated[int, typer.Option(help="How many bookings to play.")] = 300,
    database_url: Annotated[str, typer.Option("--database", help="PostgreSQL URL; empty: SQLite.")] = "",
    faults: Annotated[bool, typer.Option("--faults", help="Kill, duplicate and lose on the way.")] = False,
    seed: int = 1, as_json: Json = False,
) -> None:
    """Solbakken kommune, invented: a shop, the hub and three EPJs as processes of their own."""
    name = "demo-check" if check else "demo"
    play = making.command(name)
    if check:
        report = play(bookings=bookings, database=database_url or None, faults=faults, seed=seed)
        show(commands.Result(report.ok, report.as_json(), report.text()), as_json)
    play(home=home, seed=seed, database=database_url or None)


@message.command("show")
def message_show(id: str, home: Home, as_json: Json = False) -> None:
    """The whole way of one appointment: every letter, receipt, try and version on one timeline."""
    show(commands.message_show(home, id), as_json)


@message.command("resend")
def message_resend(id: str, home: Home, reason: Annotated[str, typer.Option(prompt=True)], as_json: Json = False) -> None:
    """Sends a letter once more, under the same id."""
    show(commands.message_resend(home, id, os.environ.get("USER", "operator"), reason), as_json)


@message.command("replay")
def message_replay(
    key: Annotated[int, typer.Argument(max=2**63 - 1)], home: Home, reason: Annotated[str, typer.Option(prompt=True)], as_json: Json = False,
) -> None:
    """Receives a message that could not be opened once more, after what was wrong (a certificate, an agreement) is put right."""
    show(commands.message_replay(home, key, os.environ.get("USER", "operator"), reason), as_json)


@database.command("migrate")
def database_migrate(home: Home) -> None:
    """Brings the database to this version's schema."""
    show(commands.migrate(home), False)


@database.command("reindex")
def database_reindex(home: Home) -> None:
    """Makes the search index anew where search parameters have changed; can be stopped and goes on where it was."""
    show(commands.reindex(home), False)


@database.command("backup")
def database_backup(to: Path, home: Home) -> None:
    """Copies the database while it is in use."""
    show(commands.backup(home, to), False)


@main_command.command("import")
def take_in(
    file: Path, home: Home, processes: Annotated[int, typer.Option(help="How many prepare lines at a time.")] = os.cpu_count() or 1,
    as_json: Json = False,
) -> None:
    """Takes in resources that move from another system (NDJSON, one a line): each validated, none overwritten; run it again to go on."""
    show(commands.take_in(home, file, os.environ.get("USER", "operator"), processes, partial(typer.echo, err=True)), as_json)


@sandbox.command("reset")
def sandbox_reset(home: Home, as_json: Json = False) -> None:
    """Sets a sandbox back: everything vendors made is gone, its invented persons are as on the first day."""
    show(commands.sandbox_reset(home), as_json)


@audit.command("verify")
def audit_verify(home: Home, as_json: Json = False) -> None:
    """Checks the access log's chain of seals."""
    show(commands.audit_verify(home), as_json)


@adapter.command("add")
def adapter_add(
    template: str, home: Home, name: Annotated[str, typer.Option("--as", help="The partner's name, if not the template's.")] = "",
    as_json: Json = False,
) -> None:
    """Copies a partner's template into adapters/, to be filled in."""
    show(commands.adapter_add(home, template, name or template), as_json)


@adapter.command("list")
def adapter_list(home: Home, as_json: Json = False) -> None:
    """Each partner, its parts, and how its letters stand."""
    show(commands.adapter_list(home), as_json)


@adapter.command("try")
def adapter_try(name: str, sample: Path, home: Home, as_json: Json = False) -> None:
    """Shows a sample through an adapter's mapping, field by field. Nothing is kept or sent."""
    show(commands.adapter_try(home, name, sample), as_json)


@adapter.command("check")
def adapter_check(home: Home, as_json: Json = False) -> None:
    """Makes every part of every adapter, so that a mistake in a file shows before it matters."""
    show(commands.adapter_check(home), as_json)


def main() -> None:
    """Runs the command; what the operator must change is one line, not a traceback."""
    logs.begin()
    try:
        main_command()
    except (Misconfigured, Refused, Unavailable) as wrong:
        typer.echo(f"besoksbro: {wrong}", err=True)
        sys.exit(2 if isinstance(wrong, Misconfigured) else 1)
    except OSError as wrong:
        typer.echo(f"besoksbro: {wrong.filename or 'filen'} kan ikke leses eller skrives: {wrong.strerror}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
