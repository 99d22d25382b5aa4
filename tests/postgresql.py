"""A PostgreSQL of the tests' own: started when one is first asked for, gone with the process that asked, however that ends.

Nothing of it is flushed to the disk. No test takes the power away, and to who is killed a flush makes no difference; all else is as usual.
`BESOKSBRO_POSTGRES` names another server to test on.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from adapters.demo.processes import free_ports

HOW = "apt-get install postgresql, or name a server in BESOKSBRO_POSTGRES"
SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "100", "fsync": "off", "full_page_writes": "off",
}
WATCHED = 'server=$1; shift; "$server" "$@" & read -r _; kill -QUIT $!; wait; rm -rf "$2"'
"""Runs the server until the pipe to it closes."""
_running: list[subprocess.Popen[bytes]] = []
"""Holds the pipe open."""


@cache
def server() -> str | None:
    """Its address without a database; None where none is to be had."""
    named = os.environ.get("BESOKSBRO_POSTGRES")
    if named:
        return named if _answers(named) else None
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")]))
    return _started(Path(found).resolve().parent) if found else None


def _started(binaries: Path) -> str:
    """As whoever runs the tests; as `nobody` where that is root, which PostgreSQL refuses."""
    home = tempfile.mkdtemp(prefix="postgresql-")
    who: dict[str, Any] = {"cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        who |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
    subprocess.run([binaries / "initdb", "-D", home, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], check=True, **who)
    (port,) = free_ports(1)
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    _running.append(subprocess.Popen(
        ["/bin/sh", "-c", WATCHED, "watched", binaries / "postgres", "-D", home, "-p", str(port), *settings],
        stdin=subprocess.PIPE, start_new_session=True, **who,
    ))
    address = f"postgresql://postgres@127.0.0.1:{port}"
    until = time.monotonic() + 60
    while not _answers(address):
        assert time.monotonic() < until, "PostgreSQL was started and does not answer"
        time.sleep(0.01)
    return address


def _answers(address: str) -> bool:
    try:
        psycopg.connect(f"{address}/postgres", connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def run(command: str) -> None:
    """One that cannot be part of a transaction, such as `create database`."""
    with psycopg.connect(f"{server()}/postgres", autocommit=True) as admin:
        admin.execute(command)
