"""GET /metrics: OpenMetrics text for whoever may ask, and nobody else; numbers, and nothing that tells of a person."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))
sys.path.insert(0, str(Path(__file__).parents[1] / "seals"))

from machines import TOWN, Machines, hub_on
from throwaway import DAY, PEM, YEAR, authority, leaf

from adapters.demo.shop import planner
from hub import app
from hub.config import Misconfigured
from hub.delivery import State
from hub.faces.metrics import read_metrics, written
from hub.store import Standing

SHOP = 'party = "shop"\ncarrier = { kind = "memory" }\nseal = { kind = "plain" }\nformat = { kind = "mapped", mapping = "tjenesteshop.toml" }\n' \
    f'may = ["book"]\nanswers = "reply"\ntoken_digest = "{hashlib.sha256(b"shop-token").hexdigest()}"\n'
EPJ = 'party = "epj"\ncarrier = { kind = "memory" }\nseal = { kind = "plain" }\nformat = { kind = "fhir" }\nwants = ["booking"]\nmay = ["confirm"]\n'
TOKEN = f'[metrics]\ntoken_digest = "{hashlib.sha256(b"watch").hexdigest()}"\n'
LINE = re.compile(r'([a-z_]+)(?:\{([a-z]+="[^"\n]*"(?:,[a-z]+="[^"\n]*")*)\})? (\d+(?:\.\d+)?(?:e[+-]\d+)?)')


def hub_with(home: Path, url: str, more: str) -> object:
    (home / "adapters").mkdir(parents=True)
    (home / "adapters" / "shop.toml").write_text(SHOP)
    (home / "adapters" / "epj.toml").write_text(EPJ)
    return hub_on(home, url, more=more)


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_with(tmp_path / "home", town_url, TOKEN) as made:  # type: ignore[attr-defined]
        yield made


def samples(text: str) -> dict[str, float]:
    """Every sample, after the rules of OpenMetrics that matter: families are told before their samples, counters end in _total, EOF is last."""
    *lines, last = text.splitlines()
    assert last == "# EOF" and text.endswith("\n")
    found: dict[str, float] = {}
    family, kind = "", ""
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind in ("gauge", "counter")
        elif line.startswith("# HELP "):
            assert line.split(" ")[2] == family
        else:
            match = LINE.fullmatch(line)
            assert match and match[1] == family + ("_total" if kind == "counter" else ""), line
            assert line.rpartition(" ")[0] not in found
            found[line.rpartition(" ")[0]] = float(match[3])
    return found


def test_it_counts_what_waits_what_came_and_what_was_refused(hub: Machines) -> None:
    orders = list(islice(planner(TOWN, "metrics", hub.clock.now).orders("M"), 3))
    with hub.http(authorization="Bearer shop-token") as shop:
        for order in orders:
            shop.post("/inbox/shop", json=order.message("OPPRETT"))
        shop.post("/inbox/shop", json={**orders[0].message("OPPRETT"), "meldingsId": "x", "handling": "NONSENSE"})
        shop.post("/inbox/shop", content=b"no json", headers={"content-type": "application/json"})
    hub.clock.forward(seconds=90)
    with hub.http(authorization="Bearer watch") as client:
        answer = client.get("/metrics")
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        found = samples(answer.text)
        head = client.head("/metrics")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", answer.headers["content-length"])
        assert client.post("/metrics").status_code == 405
    standing = hub.parts.store.standing()
    assert found['besoksbro_deliveries{adapter="epj",state="due"}'] == 3 and found['besoksbro_delivery_oldest_age_seconds{adapter="epj"}'] >= 90
    assert sum(v for k, v in found.items() if k.startswith("besoksbro_refused_letters_total")) == sum(standing.problems.values()) == 2
    assert found["besoksbro_envelopes_total"] == 5 and found["besoksbro_owed_total"] == 3
    families = re.findall(r"# TYPE (\S+)", answer.text)
    assert len(families) == len(set(families)), "OpenMetrics has each family once: else the whole answer is refused"
    assert found["besoksbro_changes_total"] == hub.parts.store.changes(0, 1_000_000)[-1].seq
    assert not any(k.startswith("besoksbro_worker") for k in found), "no worker has run"
    for order in orders:
        assert order.person.national_id not in answer.text and order.person.reference.partition("/")[2] not in answer.text


def test_a_worker_says_that_it_runs(hub: Machines) -> None:
    work = app.worker(hub.parts)
    work.start()
    try:
        hub.clock.forward(seconds=31)
        with hub.http(authorization="Bearer watch") as client:
            while "besoksbro_worker_seen_seconds" not in (text := client.get("/metrics").text):
                pass
    finally:
        work.stop()
    assert samples(text)["besoksbro_worker_seen_seconds"] == 0


def test_it_tells_when_each_certificate_expires_ours_the_partners_and_that_of_tls_as_the_files_are_now(tmp_path: Path) -> None:
    home, ca = tmp_path / "home", authority("Utsteder")

    def lay(file: str, until: datetime) -> float:
        path = home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(leaf(ca, "Solbakken", start=until - YEAR, end=until).public_bytes(PEM))
        return until.timestamp()

    now = datetime.now(UTC).replace(microsecond=0)
    wanted = {
        ("kommunen", "TLS", "[tls] certificate"): lay("certs/tls.pem", now + 20 * DAY),
        ("kommunen", "kryptering", "own-enc.pem"): lay("certs/own-enc.pem", now + YEAR),
        ("epj", "signering", "partners/epj/sign.pem"): lay("certs/partners/epj/sign.pem", now - DAY),
    }
    lay("certs/own-enc-old.pem", now - DAY)
    (home / "certs/tls.key").touch()
    shown = '[tls]\ncertificate = "certs/tls.pem"\nkey = "certs/tls.key"\n'
    with hub_with(home, "sqlite:///hub.db", TOKEN + shown) as hub, hub.http(authorization="Bearer watch") as client:  # type: ignore[attr-defined]
        assert expiries(client.get("/metrics").text) == wanted, "the one that is being replaced may expire in peace"
        wanted["kommunen", "TLS", "[tls] certificate"] = lay("certs/tls.pem", now + YEAR)
        assert expiries(client.get("/metrics").text) == wanted


def expiries(text: str) -> dict[tuple[str, ...], float]:
    name = "besoksbro_certificate_expiry_timestamp_seconds"
    return {tuple(re.findall(r'(?:whose|use|file)="([^"]*)"', told)): at for told, at in samples(text).items() if told.startswith(name)}


def test_nobody_else_is_told_that_it_is_there(tmp_path: Path) -> None:
    for number, (more, headers, status) in enumerate((
        ("", {}, 404), (TOKEN, {}, 404), (TOKEN, {"authorization": "Bearer other"}, 404), ("[metrics]\nloopback = true\n", {}, 200),
        ("[metrics]\nloopback = true\n", {"x-forwarded-for": "192.0.2.1"}, 404), ("[metrics]\nloopback = true\n", {"forwarded": "for=x"}, 404),
    )):
        with hub_with(tmp_path / str(number), "sqlite:///hub.db", more) as hub:  # type: ignore[attr-defined]
            answer = httpx.get(f"{hub.url}/metrics", headers=headers, trust_env=False)
            assert answer.status_code == status and (status == 200 or answer.content == b""), more
    for wrong in ({"token_digest": "short"}, {"loopback": "yes"}, {"port": 1}):
        with pytest.raises(Misconfigured):
            read_metrics({"metrics": wrong})


def test_subscriptions_are_counted_together(hub: Machines) -> None:
    now = hub.clock.now
    standing = Standing({("subscription-a", State.DUE): 1, ("subscription-b", State.DUE): 2}, {}, {"subscription-a": now, "subscription-b": now})
    text = "".join(written(standing, [], now))
    assert samples(text)['besoksbro_deliveries{adapter="subscriptions",state="due"}'] == 3 and "subscription-a" not in text
