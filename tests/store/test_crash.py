"""kill -9 at each fail point, then a new process: nothing lost, nothing out of order, duplicates exactly as many as kills after the sending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made import owed
from store_clock import Clock, opened

from adapters.demo.processes import wait_for
from hub.store import Store

LETTERS, KEYS = 8, 3
AT = {"inside-transaction": 4, "before-commit": 4}
"""Which visit to the point is the last: a claim and a settling are two commits, and each life must get one letter done."""


def works_until_done(url: str, home: Path, sent: Path, point: str) -> int:
    """Starts workers, each told to die at the point, until one finishes; how many died."""
    told = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("crashing.py")), url, str(home), str(sent)],
        env={**os.environ, "BESOKSBRO_FAILPOINT": f"{point}:{AT.get(point, 2)}"}, check=True, stdout=subprocess.PIPE,
    ).stdout
    return int(told)


@pytest.mark.spec("facts/reliability", "3.4")
@pytest.mark.parametrize("point", ["after-claim", "inside-transaction", "before-commit", "after-remote-send", "after-commit"])
def test_a_killed_worker_loses_nothing_and_repeats_only_what_it_had_just_sent(store_url: str, tmp_path: Path, point: str) -> None:
    clock = Clock()
    clock.now = datetime.now(UTC)
    store: Store = opened(store_url, tmp_path, clock)
    store.migrate()
    letters = [replace(owed(f"d{n:02d}", clock.now, adapter="epj", key=f"k{n % KEYS}"), function=f"f{n}") for n in range(LETTERS)]
    store.write(lambda tx: [tx.owe(letter) for letter in letters])
    store.close()
    sent = tmp_path / "sent"
    kills = works_until_done(store_url, tmp_path, sent, point)
    assert kills > 0
    lines = [line.split() for line in sent.read_text().splitlines()]
    ids = [id_ for _, id_ in lines]
    assert set(ids) == {letter.id for letter in letters}
    twice = len(ids) - len(set(ids))
    killed_after_sending = point in ("after-remote-send", "inside-transaction", "before-commit")
    assert twice == (kills if killed_after_sending else 0)
    for key in {key for key, _ in lines}:
        order = list(dict.fromkeys(id_ for k, id_ in lines if k == key))
        assert order == sorted(order)


def test_what_a_killed_worker_held_is_taken_back_at_once_and_what_a_living_one_holds_is_not(store_url: str, tmp_path: Path) -> None:
    """No lease has to end: the dead worker's is an hour long."""
    clock = Clock()
    store: Store = opened(store_url, tmp_path, clock)
    store.migrate()
    store.write(lambda tx: [tx.owe(owed(f"d{n}", clock.now, adapter="epj", key=None)) for n in range(6)])
    holding = [sys.executable, str(Path(__file__).with_name("holding.py")), store_url, str(tmp_path)]
    living = subprocess.Popen([*holding, "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert living.stdout is not None and len(living.stdout.readline().split()) == 2
        dead = subprocess.run([*holding, "3"], env={**os.environ, "BESOKSBRO_FAILPOINT": "after-claim"}, check=False)
        assert dead.returncode == -signal.SIGKILL
        present = store.attend("the next")
        assert [d.id for d in store.claim({"epj": 6}, clock.now, timedelta(hours=1), "the next")] == ["d5"], "five are in somebody's hands"
        wait_for(lambda: present.take_back() == 3, "the server hearing of the death", 20)
        assert present.take_back() == 0
        assert len(store.claim({"epj": 6}, clock.now, timedelta(hours=1), "the next")) == 3
    finally:
        living.communicate("\n")
    assert present.take_back() == 0, "who ends well leaves nothing behind"
    assert len(store.claim({"epj": 6}, clock.now, timedelta(hours=1), "the next")) == 2
    present.end()
    assert len(store.claim({"epj": 6}, clock.now, timedelta(hours=1), "the next")) == 6
    store.close()
