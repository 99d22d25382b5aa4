"""Large bodies in pieces: whole or refused, gone with their content, all or nothing when a machine dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made import envelope
from store_clock import Clock, opened

from hub.message import Parcel, Verdict
from hub.store import Store, pieces
from hub.store.db import Connection

PIECE = 1000
BODY = bytes(range(256)) * 13
"""3328 bytes: four pieces, the last one short."""


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SIZE", PIECE)


def filed(store: Store, body: bytes, id_: str = "m1") -> str:
    """The id of the content that a letter's bytes became."""
    store.write(lambda tx: tx.file(envelope(id_), "epj", Verdict(), None, Parcel({"a": "b"}, body)))
    content = store.envelopes("", None, None, None, 1)[0].content
    assert content is not None
    return content


def count(store: Store) -> int:
    row = store._database.read(lambda c: c.row("select count(*) from piece"))
    assert row is not None
    return int(row[0])


def alter(store: Store, work: Callable[[Connection], object]) -> None:
    store._write(work)


@pytest.mark.parametrize(("size", "rows"), [(0, 0), (1, 0), (PIECE, 0), (PIECE + 1, 2), (2 * PIECE, 2), (len(BODY), 4)])
def test_a_body_comes_back_whole_and_only_a_large_one_is_in_pieces(store: Store, size: int, rows: int) -> None:
    content = filed(store, BODY[:size])
    assert store.parcel(content) == Parcel({"a": "b"}, BODY[:size])
    assert count(store) == rows


def test_a_letter_as_large_as_they_come_is_in_pieces_of_4_mb(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    body = os.urandom(1 << 20) * 10
    assert store.parcel(filed(store, body)) == Parcel({"a": "b"}, body)
    assert count(store) == 3


def test_no_piece_can_be_read_in_the_database(store: Store) -> None:
    filed(store, BODY)
    rows = store._database.read(lambda c: c.rows("select body from piece"))
    assert all(BODY[at:at + 16] not in bytes(body) for (body,) in rows for at in range(0, len(BODY), 16))


def test_what_was_stored_in_one_row_before_is_read_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SIZE", len(BODY))
    old = filed(store, BODY)
    monkeypatch.setattr(pieces, "SIZE", PIECE)
    assert count(store) == 0
    assert store.parcel(old) == Parcel({"a": "b"}, BODY)


def test_another_process_reads_it_with_the_same_key_and_none_with_another(store: Store, store_url: str, tmp_path: Path) -> None:
    content = filed(store, BODY)
    again = opened(store_url, tmp_path, Clock())
    assert again.parcel(content) == Parcel({"a": "b"}, BODY)
    again.close()
    stranger = opened(store_url, tmp_path / "another home", Clock())
    with pytest.raises(ValueError, match="does not open with this key"):
        stranger.parcel(content)
    stranger.close()


SPOILT: dict[str, tuple[str, str]] = {
    "the last is missing": ("delete from piece where content = ? and number = 3", "piece 4 of 4 of a stored content is missing"),
    "one in between is missing": ("delete from piece where content = ? and number = 1", "piece 2 of 4"),
    "the first stands twice": (
        "update piece set body = (select p.body from piece p where p.content = piece.content and p.number = 0) where content = ? and number = 1",
        "does not open",
    ),
    "cut short": ("update piece set body = substr(body, 1, 100) where content = ? and number = 3", "does not open"),
    "empty": ("update piece set body = substr(body, 1, 0) where content = ? and number = 0", "does not open"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_piece_that_is_missing_cut_or_in_anothers_place_is_found_out(store: Store, what: str) -> None:
    content = filed(store, BODY)
    sql, told = SPOILT[what]
    alter(store, lambda c: c.run(sql, (content,)))
    with pytest.raises(ValueError, match=told):
        store.parcel(content)


def test_a_piece_of_another_letter_and_another_letters_number_of_pieces_are_found_out(store: Store) -> None:
    content, other = filed(store, BODY), filed(store, BODY[:2 * PIECE], "m2")
    piece = "update piece set body = (select p.body from piece p where p.content = ? and p.number = 0) where content = ? and number = 0"
    alter(store, lambda c: c.run(piece, (other, content)))
    with pytest.raises(ValueError, match="does not open"):
        store.parcel(content)
    alter(store, lambda c: c.run("update content set body = (select o.body from content o where o.id = ?) where id = ?", (content, other)))
    with pytest.raises(ValueError, match="does not open"):
        store.parcel(other)


def test_retention_takes_every_piece_along_and_no_other_letters(store: Store, clock: Clock) -> None:
    filed(store, BODY)
    clock.forward(days=20)
    kept = filed(store, BODY, "m2")
    assert store.prune(clock.forward(days=15)) == 1
    assert count(store) == 4
    assert store.parcel(kept) == Parcel({"a": "b"}, BODY)


@pytest.mark.spec("facts/reliability", "3.4")
@pytest.mark.parametrize(("point", "rows"), [("inside-transaction", 0), ("before-commit", 0), ("after-commit", 4)])
def test_a_killed_process_leaves_all_pieces_or_none(store: Store, store_url: str, tmp_path: Path, point: str, rows: int) -> None:
    arguments = [sys.executable, str(Path(__file__).with_name("storing.py")), store_url, str(tmp_path), str(PIECE), str(len(BODY))]
    died = subprocess.run(arguments, env={**os.environ, "BESOKSBRO_FAILPOINT": f"{point}:1"}, check=False).returncode
    assert died == -signal.SIGKILL
    assert count(store) == rows
    found = store.envelopes("", None, None, None, 1)
    assert bool(found) == bool(rows)
    if not found:
        subprocess.run(arguments, check=True)
        found = store.envelopes("", None, None, None, 1)
    assert found[0].content is not None
    assert store.parcel(found[0].content) == Parcel({"a": "b"}, BODY)
