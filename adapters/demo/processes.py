"""The demo's processes: the hub and three EPJs, started, watched, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from adapters.demo.home import EPJS, DemoHome

HUB = "hub"


class TookTooLong(RuntimeError):
    """A condition did not come true in time."""


def free_ports(many: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(many)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_for(condition: Callable[[], bool], what: str, within: float, step: float = 0.05) -> float:
    """Looks until the condition is true; the seconds it took. Raises TookTooLong."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within:
            raise TookTooLong(f"{what}: not within {within:.0f} s")
        time.sleep(step)
    return time.monotonic() - began


class Processes:
    """All of them. Leaving the `with` stops them."""

    def __init__(self, home: DemoHome) -> None:
        self.home = home
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        (Path(home.folder) / "logs").mkdir(exist_ok=True)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_all(self) -> None:
        """The hub and the EPJs, all answering when it returns."""
        names = [HUB, *EPJS]
        for name in names:
            self.start(name)
        for name in names:
            self.wait(name)

    def start(self, name: str) -> None:
        """One of them, in a process group of its own. Raises TookTooLong when somebody else already answers on its port."""
        port = self.home.hub_port if name == HUB else self.home.epj_ports[name]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise TookTooLong(f"something else answers on port {port}, which {name} needs: stop it, or start with another --home")
        if name == HUB:
            command = [sys.executable, "-m", "hub", "run", "--home", str(self.home.hub)]
        else:
            command = [sys.executable, "-m", "adapters.epj", "--home", str(self.home.epj(name))]
        with (Path(self.home.folder) / "logs" / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def wait(self, name: str, within: float = 30) -> None:
        """Until it answers. Raises TookTooLong."""
        url = f"{self.home.url if name == HUB else self.home.epj_url(name)}/health"

        def answers() -> bool:
            if self._running[name].poll() is not None:
                raise TookTooLong(f"{name} stopped with code {self._running[name].returncode}: see logs/{name}.log")
            try:
                return httpx.get(url, timeout=2, trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        wait_for(answers, f"{name} answering", within, 0.1)

    def kill(self, name: str) -> None:
        """As if the power went: SIGKILL, no clean-up."""
        process = self._running[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self, name: str) -> None:
        """Killed and started again; answering when it returns."""
        self.kill(name)
        self.start(name)
        self.wait(name)

    def alive(self) -> dict[str, bool]:
        return {name: process.poll() is None for name, process in self._running.items()}

    def cpu(self, name: str) -> float:
        """Seconds of CPU a running process has used (Linux)."""
        fields = Path(f"/proc/{self._running[name].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Asks all, then insists."""
        for process in self._running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
