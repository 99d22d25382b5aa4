"""Says in plain Norwegian what a CPA agrees (`besoksbro cpa show`), and names what is wrong with one (`besoksbro cpa check`)."""

from __future__ import annotations

from datetime import datetime, timedelta

from ebxml import certificate, terms
from ebxml.cpa import Agreement, Binding, Party, read
from ebxml.duration import Duration
from ebxml.errors import Violation
from ebxml.kith import moment
from ebxml.terms import Terms

_SOON = timedelta(days=60)


def show(data: bytes) -> str:
    """The whole agreement in words. Raises Violation when it is no CPA or CPP."""
    agreement = read(data)
    lines = [
        f"{'Avtale (CPA)' if agreement.kind == 'CPA' else 'Tilbud fra én part (CPP)'} {agreement.id}",
        f"  status {agreement.status or 'ikke oppgitt'}, gjelder {agreement.start or '?'} – {agreement.end or '?'}",
    ]
    for party in agreement.parties:
        lines += ["", f"{party.name}: {', '.join(f'{kind} {id_}'.strip() for kind, id_ in party.ids)}"]
        lines += [f"  sertifikat {id_}: {whose}" for id_, whose in party.certificates]
        lines += _exchanges(agreement, party)
    lines += ["", *(f"Tolerert: {remark}" for remark in agreement.remarks)] if agreement.remarks else []
    return "\n".join(lines)


def _exchanges(agreement: Agreement, party: Party) -> list[str]:
    """What this party sends, each kind of terms once with the actions that it holds for."""
    if agreement.kind == "CPP":
        return [f"  {'sender' if b.sends else 'mottar'} {_named(b)}" for b in party.bindings]
    groups: dict[str, list[str]] = {}
    for binding, found in sent_by(agreement, party):
        groups.setdefault("kan ikke brukes: motparten tar den ikke imot" if found is None else words(found), []).append(_named(binding))
    return [line for text, names in groups.items() for line in (f"  sender {'; '.join(dict.fromkeys(names))}", f"    {text}")]


def _named(binding: Binding) -> str:
    return f"{binding.service}/{binding.action} som {binding.role}"


def sent_by(agreement: Agreement, party: Party) -> list[tuple[Binding, Terms | None]]:
    """Each action that a party sends, with its terms; None where the other party does not receive it."""
    other = next((p for p in agreement.parties if p is not party), None)
    found: list[tuple[Binding, Terms | None]] = []
    for binding in party.bindings:
        if not binding.sends:
            continue
        try:
            ids = (party.ids[0][1], other.ids[0][1] if other else "")
            found.append((binding, terms.of(agreement, *ids, binding.role, binding.service, binding.action)))
        except (Violation, IndexError):
            found.append((binding, None))
    return found


def words(t: Terms) -> str:
    """One sentence about how a message goes."""
    ack = {"signed": "signert kvittering", "unsigned": "usignert kvittering"}.get(t.ack, "ingen kvittering")
    return ", ".join([
        f"til {t.endpoint or 'ukjent adresse'} ({t.protocol or '?'})", "signert" if t.sign else "ikke signert",
        ("pakket og " if t.pack else "") + "kryptert" if t.encrypt else "ikke kryptert", ack,
        "svar på samme forbindelse" if t.sync else "svar for seg", "duplikater fjernes" if t.duplicate_elimination else "duplikater fjernes ikke",
        f"inntil {t.retries} nye forsøk, {_long(t.retry_interval)} mellom", f"huskes i {_long(t.persist)}", *t.remarks,
    ])


def _long(d: Duration) -> str:
    hours, minutes = divmod(int(d.rest.total_seconds()) // 60, 60)
    parts = ((d.months, "måneder"), (hours, "timer"), (minutes, "minutter"))
    return " og ".join(f"{number} {unit}" for number, unit in parts if number) or f"{int(d.rest.total_seconds())} sekunder"


def check(data: bytes, at: datetime) -> list[str]:
    """What is wrong, in Norwegian, the gravest first; empty: nothing.

    Args:
        at: when it is to be used.
    """
    try:
        agreement = read(data)
    except Violation as wrong:
        return [f"Kan ikke leses som CPA eller CPP: {wrong.description}"]
    found = _in_force(agreement, at) if agreement.kind == "CPA" else []
    if agreement.kind == "CPA" and len(agreement.parties) != 2:
        found.append(f"Avtalen har {len(agreement.parties)} parter, ikke to")
    for party in agreement.parties:
        found += [f"{party.name}: {problem}" for problem in (*_certificates(party, at), *_references(agreement, party))]
        if agreement.kind == "CPA":
            found += [f"{party.name}: {problem}" for problem in _actions(agreement, party)]
    return list(dict.fromkeys((*found, *(f"Avvik fra skjemaet: {remark}" for remark in agreement.remarks))))


def _in_force(agreement: Agreement, at: datetime) -> list[str]:
    found = []
    if agreement.status not in ("agreed", "signed"):
        found.append(f"Status er «{agreement.status or 'mangler'}», ikke «agreed» eller «signed»")
    start, end = moment(agreement.start, [], "Start"), moment(agreement.end, [], "End")
    if start is None or end is None:
        found.append("Start eller End er ikke et tidspunkt")
    if start is not None and at < start:
        found.append(f"Avtalen gjelder ikke før {agreement.start}")
    if end is not None and end < at:
        found.append(f"Avtalen gikk ut {agreement.end}")
    return found


def _certificates(party: Party, at: datetime) -> list[str]:
    found = [f"sertifikatet {id_} kan ikke leses" for id_, whose in party.certificates if whose.startswith("no certificate")]
    for id_, each in party.dates:
        if not certificate.valid_at(each, at):
            found.append(f"sertifikatet {id_} er ikke gyldig (til {each.not_valid_after_utc:%Y-%m-%d})")
        elif not certificate.valid_at(each, at + _SOON):
            found.append(f"sertifikatet {id_} går ut {each.not_valid_after_utc:%Y-%m-%d}")
    return found


def _references(agreement: Agreement, party: Party) -> list[str]:
    """Ids that lead nowhere, and what stands where a receiver must look."""
    channels, packages = {c.id for c in party.channels}, {p.id for p in agreement.packagings}
    found = [] if any(kind.upper() == "HER" for kind, _ in party.ids) else ["har ingen HER-id"]
    if party.default_channel not in channels:
        found.append(f"standardkanalen «{party.default_channel}» finnes ikke")
    used = [(b.action, name) for b in party.bindings for name in (b.channel, *b.more_channels)] + list(party.overrides)
    found += [f"{action} bruker kanalen «{name}», som ikke finnes" for action, name in used if name not in channels]
    found += [f"{b.action} bruker pakken «{b.package}», som ikke finnes" for b in party.bindings if b.package not in packages]
    for channel in party.channels:
        if channel.endpoint and terms.address(channel.endpoint) != channel.endpoint:
            found.append(f"adressen {channel.endpoint} skal skrives {terms.address(channel.endpoint)}")
        if channel.protocol.upper() == "HTTP" and channel.endpoint.startswith("http://"):
            found.append(f"adressen {channel.endpoint} er uten TLS")
    return found


def _actions(agreement: Agreement, party: Party) -> list[str]:
    found = []
    for binding, t in sent_by(agreement, party):
        if t is None:
            found.append(f"sender {_named(binding)}, men motparten tar den ikke imot")
            continue
        lacking = ["adresse"] * (not t.endpoint) + ["signeringssertifikat"] * (t.sign and not t.signing)
        lacking += ["krypteringssertifikat"] * (t.encrypt and not t.encryption)
        found += [f"{_named(binding)} mangler {what}" for what in lacking]
        found += t.remarks
        if t.ack and t.last_try(at := datetime(2026, 1, 1)) > t.persist.after(at):
            found.append(f"{_named(binding)}: nye forsøk varer lenger enn mottakeren husker")
    return found
