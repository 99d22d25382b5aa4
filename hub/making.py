"""What a home's texts ask for, made: adapters of carriers, seals and formats, all found by entry point, as ebxml's own commands are."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hub.adapter import Adapter, Line, Surroundings
from hub.booking.notices import Channel
from hub.config import AdapterText, Hub, Misconfigured, Part

ROOT = Path(__file__).parents[1]
FUNCTIONS = "mappings/functions.toml"
_BLANK = re.compile(r"<[^<>@]+>")


def make_adapter(hub: Hub, text: AdapterText) -> Adapter:
    """One adapter from its text: its carrier, seal and format are found by entry point. Raises Misconfigured."""
    if blank := _blank(tomllib.loads(text.text)):
        raise Misconfigured(f"adapters/{text.name}.toml: fyll inn {blank}")
    functions = read_functions(hub.home)
    if unknown := text.wants - {*functions, *(f"notice-{channel}" for channel in Channel)}:
        raise Misconfigured(f"adapters/{text.name}.toml: wants {min(unknown)!r}, som ikke er en rad i {FUNCTIONS}; det finnes {', '.join(functions)}")

    def make(group: str, part: Part) -> Any:
        return factory(group, part.kind, text.name)(surroundings(hub, text, part, functions))

    ask = text.ask
    line = None if ask is None else Line(
        make("carriers", Part(ask.carrier.kind, {"wait": f"{ask.within.total_seconds()}s", **ask.carrier.settings})),
        make("seals", ask.seal), make("formats", ask.format), ask.within, ask.fresh,
    )
    return Adapter(
        name=text.name, party=text.party, carrier=make("carriers", text.carrier), seal=make("seals", text.seal),
        format=make("formats", text.format), wants=text.wants, departments=text.departments, may_state=text.may, answers=text.answers,
        patience=text.patience, patience_of=text.patience_of, answer_due=text.answer_due, only_own=text.only_own, concurrency=text.concurrency,
        token_digest=text.token_digest, owner=text.owner, line=line,
    )


def _blank(value: Any, place: str = "") -> str:
    """The first place where a template's blank, `<what belongs here>`, still stands; an address in angle brackets is none."""
    if isinstance(value, str):
        return f"{place}: {value}" if _BLANK.search(value) else ""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value, 1) if isinstance(value, list) else ()
    return next(filter(None, (_blank(one, f"{place}.{key}" if place else str(key)) for key, one in parts)), "")


def surroundings(hub: Hub, text: AdapterText, part: Part, functions: Mapping[str, Any]) -> Surroundings:
    """What a part of an adapter is told; the municipality's `[certificates]` lies under the part's own."""
    return Surroundings(
        home=hub.home, name=text.name, party=text.party, own_party=hub.her_id, own_name=hub.municipality,
        settings={
            **part.settings, "functions": functions,
            "certificates": {**hub.tables.get("certificates", {}), **part.settings.get("certificates", {})},
        },
    )


def seals(hub: Hub, texts: Iterable[AdapterText]) -> tuple[Surroundings, ...]:
    """Where each seal lives, for what looks after certificates."""
    functions = read_functions(hub.home)
    return tuple(surroundings(hub, text, text.seal, functions) for text in texts)


def tls_shown(hub: Hub, texts: Iterable[AdapterText]) -> dict[str, Path]:
    """Certificates that we show by TLS, as a server and to partners' servers: the file, by what the settings call it."""
    shown = {} if hub.tls is None else {"[tls] certificate": hub.tls.certificate}
    for text in texts:
        for part in (text.carrier, *([text.ask.carrier] if text.ask else [])):
            if "certificate" in part.settings:
                shown[f"{text.name}: {part.settings['certificate']}"] = hub.home / str(part.settings["certificate"])
    return shown


def certified(hub: Hub, texts: Iterable[AdapterText]) -> tuple[tuple[Surroundings, ...], dict[str, Path]]:
    """Where certificates lie: of seals and of TLS. What the commands about certificates are told first."""
    every = list(texts)
    return seals(hub, every), tls_shown(hub, every)


def command(name: str) -> Callable[..., Any]:
    """What is ebxml's or an adapter's to do, which the hub does not know: found by entry point, as carriers are."""
    found: Callable[..., Any] = next(iter(importlib.metadata.entry_points(group="besoksbro.commands", name=name))).load()
    return found


def read_functions(home: Path) -> dict[str, Any]:
    """The rows of mappings/functions.toml; the home's own file comes before the one we ship."""
    path = home / FUNCTIONS if (home / FUNCTIONS).exists() else ROOT / FUNCTIONS
    return tomllib.loads(path.read_text(encoding="utf-8"))


def factory(group: str, kind: str, adapter: str) -> Callable[[Surroundings], Any]:
    found = list(importlib.metadata.entry_points(group=f"besoksbro.{group}", name=kind))
    if not found:
        known = ", ".join(sorted(e.name for e in importlib.metadata.entry_points(group=f"besoksbro.{group}")))
        raise Misconfigured(f"adapters/{adapter}.toml: {group} har ingen kind {kind!r}; det finnes {known}")
    made: Callable[[Surroundings], Any] = found[0].load()
    return made
