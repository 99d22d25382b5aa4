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

Home = Annotated[Path, typer.Option("--home", envvar="BESOKSBRO_HOME", help="Kommunens hjemmemappe.")]
Json = Annotated[bool, typer.Option("--json", help="Ett JSON-objekt i stedet for tekst.")]

main_command = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Besøksbro: fra Tjenesteshop til EPJ og tilbake til pårørende.",
)
message = typer.Typer(no_args_is_help=True, help="Meldinger og avtaler.")
database = typer.Typer(no_args_is_help=True, help="Kommunens database.")
audit = typer.Typer(no_args_is_help=True, help="Innsynsloggen.")
adapter = typer.Typer(no_args_is_help=True, help="Partnere.")
main_command.add_typer(message, name="message")
main_command.add_typer(database, name="database")
main_command.add_typer(audit, name="audit")
main_command.add_typer(adapter, name="adapter")
cpa = typer.Typer(no_args_is_help=True, help="Avtaler med partnere (CPA 2.0).")
main_command.add_typer(cpa, name="cpa")
sandbox = typer.Typer(no_args_is_help=True, help="Leverandørenes sandkasse.")
main_command.add_typer(sandbox, name="sandbox")
cert = typer.Typer(no_args_is_help=True, help="Sertifikater: egne, partnernes, og hvem vi stoler på.")
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
    operator: Annotated[str, typer.Option(help="Hvem som får den første nøkkelen til konsollet.")] = os.environ.get("USER", "operator"),
    environment: Annotated[str, typer.Option(help="demo, test eller production.")] = "production",
    database_url: Annotated[str, typer.Option("--database", help="Databasens adresse, for PostgreSQL postgresql://…")] = "sqlite:///hub.db",
    as_json: Json = False,
) -> None:
    """Lager en kommunes hjemmemappe: hub.toml, mappene og den første operatørens nøkkel. Spør om det som ikke er oppgitt."""
    told = Beginning(municipality, her_id, base_url, phone, opening_hours, operator, environment, database_url)
    show(commands.begin(home, told), as_json)


@main_command.command()
def run(home: Home, work: Annotated[bool, typer.Option(help="Send også det som skal ut.")] = True) -> None:
    """Kjører huben: alt på én port, og utsending hvis ikke --no-work."""
    commands.run(home, work)


@main_command.command()
def work(home: Home) -> None:
    """Kjører bare utsending, ved siden av en hub på samme database."""
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
    """Sier i klartekst hva en CPA eller CPP avtaler."""
    text = _of_others("cpa-show", file)
    show(commands.Result(True, {"text": text}, text), as_json)


@cpa.command("check")
def cpa_check(
    file: Path, at: Annotated[datetime | None, typer.Option(help="Tidspunktet den skal brukes.")] = None, as_json: Json = False,
) -> None:
    """Nevner det som er galt med en CPA; ender med 1 når noe er det."""
    problems = _of_others("cpa-check", file, at)
    show(commands.Result(not problems, {"problems": problems}, "\n".join(problems) or "Ingen feil funnet."), as_json)


@cpa.command("make")
def cpa_make(facts: Path, to: Annotated[Path, typer.Option("--to", help="CPA-filen som skrives.")]) -> None:
    """Lager utkast til en CPA av to parters opplysninger (docs/cpa.md); den er «proposed» til begge er enige."""
    to.write_bytes(_of_others("cpa-make", facts))
    show(commands.Result(True, {"file": str(to)}, f"Skrev {to}. Kontroller med: besoksbro cpa check {to}"), False)


@cert.command("list")
def cert_list(home: Home, as_json: Json = False) -> None:
    """Egne og partnernes sertifikater: serienummer, organisasjon, gyldighet, dager igjen."""
    show(commands.cert_list(home), as_json)


@cert.command("check")
def cert_check(
    home: Home, ask: Annotated[bool, typer.Option(help="Spør også utstederne hva som er trukket tilbake.")] = True, as_json: Json = False,
) -> None:
    """Kontrollerer kjede, nøkkelbruk, gyldighet og tilbaketrekking; ender med 1 når et sertifikat ikke skal brukes."""
    show(commands.cert_check(home, ask), as_json)


@cert.command("import")
def cert_import(
    file: Path, home: Home, kind: Annotated[str, typer.Option("--as", help="own-sign, own-enc, sign, enc eller trusted.")],
    partner: Annotated[str, typer.Option(help="Partnerens HER-id, for sign og enc.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="I stedet for å bli spurt om passordet.")] = None,
) -> None:
    """Tar en PKCS#12- eller PEM-fil inn i certs/; private nøkler kan bare leses av eieren."""
    password = None
    if password_file is not None:
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n").encode()
    elif _of_others("cert-needs-password", file):
        password = str(typer.prompt("Passord", hide_input=True, default="", show_default=False)).encode()
    done = _of_others("cert-import", home / "certs", file, kind, partner, password)
    show(commands.Result(True, {"done": done}, "\n".join(done)), False)


@main_command.command()
def read(
    file: Path, at: Annotated[datetime | None, typer.Option(help="Tidspunktet sertifikatene må være gyldige.")] = None,
    schemas: Annotated[Path | None, typer.Option(help="Mappe med de offisielle XSD-filene.")] = None, as_json: Json = False,
) -> None:
    """Åpner en fil med ebXML, MsgHead, AppRec eller CPA, og sier hva den er, hva som er signert og hva som ble tolerert."""
    report = making.command("read")(file.read_bytes(), at, schemas)
    show(commands.Result(True, report.to_dict(), report.text()), as_json)


@main_command.command()
def demo(
    home: Annotated[Path, typer.Option(help="Hvor demokommunen bor.")] = Path(".demo"),
    check: Annotated[bool, typer.Option("--check", help="Spill en hel dag i hurtig tid, og kontroller den utenfra.")] = False,
    bookings: Annotated[int, typer.Option(help="Hvor mange bestillinger som spilles.")] = 300,
    database_url: Annotated[str, typer.Option("--database", help="Adressen til PostgreSQL; tomt: SQLite.")] = "",
    faults: Annotated[bool, typer.Option("--faults", help="Drep, doble og mist underveis.")] = False,
    seed: int = 1, as_json: Json = False,
) -> None:
    """Solbakken kommune, oppdiktet: en butikk, huben og tre EPJ-er, hver i sin prosess."""
    name = "demo-check" if check else "demo"
    play = making.command(name)
    if check:
        report = play(bookings=bookings, database=database_url or None, faults=faults, seed=seed)
        show(commands.Result(report.ok, report.as_json(), report.text()), as_json)
    play(home=home, seed=seed, database=database_url or None)


@message.command("show")
def message_show(id: str, home: Home, as_json: Json = False) -> None:
    """Alt som skjedde med en avtale: hvert brev, hver kvittering, hvert forsøk og hver versjon på én tidslinje."""
    show(commands.message_show(home, id), as_json)


@message.command("resend")
def message_resend(id: str, home: Home, reason: Annotated[str, typer.Option(prompt="Begrunnelse")], as_json: Json = False) -> None:
    """Sender et brev en gang til, med samme id."""
    show(commands.message_resend(home, id, os.environ.get("USER", "operator"), reason), as_json)


@message.command("replay")
def message_replay(
    key: Annotated[int, typer.Argument(max=2**63 - 1)], home: Home, reason: Annotated[str, typer.Option(prompt="Begrunnelse")], as_json: Json = False,
) -> None:
    """Behandler en melding som ikke kunne åpnes, på nytt, når det som var galt (et sertifikat, en avtale) er rettet."""
    show(commands.message_replay(home, key, os.environ.get("USER", "operator"), reason), as_json)


@database.command("migrate")
def database_migrate(home: Home) -> None:
    """Bringer databasen til skjemaet i denne versjonen."""
    show(commands.migrate(home), False)


@database.command("reindex")
def database_reindex(home: Home) -> None:
    """Lager søkeindeksen på nytt der søkeparametrene er endret; kan stoppes, og fortsetter der den var."""
    show(commands.reindex(home), False)


@database.command("backup")
def database_backup(to: Path, home: Home) -> None:
    """Kopierer databasen mens den er i bruk."""
    show(commands.backup(home, to), False)


@main_command.command("import")
def take_in(
    file: Path, home: Home, processes: Annotated[int, typer.Option(help="Hvor mange som forbereder linjer samtidig.")] = os.cpu_count() or 1,
    as_json: Json = False,
) -> None:
    """Tar imot ressurser fra et annet system (NDJSON, én per linje): hver kontrolleres, ingen overskrives; kjør igjen for å fortsette."""
    show(commands.take_in(home, file, os.environ.get("USER", "operator"), processes, partial(typer.echo, err=True)), as_json)


@sandbox.command("reset")
def sandbox_reset(home: Home, as_json: Json = False) -> None:
    """Setter en sandkasse tilbake: det leverandørene laget, er borte, og personene er som på første dag."""
    show(commands.sandbox_reset(home), as_json)


@audit.command("verify")
def audit_verify(home: Home, as_json: Json = False) -> None:
    """Kontrollerer innsynsloggens kjede av segl."""
    show(commands.audit_verify(home), as_json)


@adapter.command("add")
def adapter_add(
    template: str, home: Home, name: Annotated[str, typer.Option("--as", help="Partnerens navn, hvis ikke malens.")] = "",
    as_json: Json = False,
) -> None:
    """Kopierer en partners mal til adapters/, til utfylling."""
    show(commands.adapter_add(home, template, name or template), as_json)


@adapter.command("list")
def adapter_list(home: Home, as_json: Json = False) -> None:
    """Hver partner, delene dens, og hvordan brevene står."""
    show(commands.adapter_list(home), as_json)


@adapter.command("try")
def adapter_try(name: str, sample: Path, home: Home, as_json: Json = False) -> None:
    """Viser en prøve gjennom en partners tabell, felt for felt. Ingenting lagres eller sendes."""
    show(commands.adapter_try(home, name, sample), as_json)


@adapter.command("check")
def adapter_check(home: Home, as_json: Json = False) -> None:
    """Lager hver del av hver partner, så en feil i en fil viser seg før den betyr noe."""
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
