"""`python -m adapters.epj.nhn --home DIR`: a Meldingstjener and its HelseID as a process of its own.

`<home>/nhn.toml`: `port`, and for each client `[[client]]` with `id`, `key_file` (its key as a JWK, below the home; the public part is enough)
and `her_ids`. The hub's and the EPJ's carrier `edi` have `http://127.0.0.1:<port>` as `url` and as `helseid.issuer`.
"""

from __future__ import annotations

import argparse
import threading
import tomllib
from pathlib import Path

import orjson
from joserfc.jwk import ECKey, RSAKey

from adapters.epj.meldingstjener import Service, serving
from adapters.epj.sts import Client, Sts
from hub.oauth.jose import Key


def service(home: Path) -> tuple[Service, int]:
    """The service as its file says, and its port."""
    table = tomllib.loads((home / "nhn.toml").read_text(encoding="utf-8"))
    clients = {
        told["id"]: Client(told["id"], _public((home / told["key_file"]).read_bytes()), frozenset(map(int, told["her_ids"])))
        for told in table["client"]
    }
    return Service(Sts(f"http://127.0.0.1:{table['port']}", clients)), table["port"]


def _public(data: bytes) -> Key:
    told = {name: value for name, value in orjson.loads(data).items() if name in ("kty", "crv", "x", "y", "n", "e", "kid")}
    return RSAKey.import_key(told) if told["kty"] == "RSA" else ECKey.import_key(told)


def main() -> None:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(prog="nhn", description="Meldingstjener in a box")
    parser.add_argument("--home", type=Path, required=True)
    made, port = service(parser.parse_args().home)
    with serving(made, port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
