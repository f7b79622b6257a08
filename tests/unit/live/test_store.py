"""The database: changes and messages in one transaction, damage, newer versions, retention."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.live.retention import clean
from falldet.live.store import Change, Message, Store, connect_read_only

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def change(incident: str, number: int = 1, state: str = "open", time: datetime = NOW) -> Change:
    record = {"camera": "hall", "kind": "fall", "state": state, "opened": time.isoformat(), "incident": incident}
    return Change(incident, number, "alert", time, record)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "state", NOW) as made:
        yield made


def rows(store: Store, table: str) -> list[tuple]:
    with connect_read_only(store.folder) as database:
        return [tuple(row) for row in database.execute(f"SELECT * FROM {table}")]


def test_store_keeps_changes_and_their_messages_together(store: Store) -> None:
    message = Message("i.1.mqtt", "mqtt", "{}", 0, NOW)
    store.write([change("i")], [message])
    store.write([change("i", 2, "recovered")], [message])  # a message is not sent twice
    assert [row[1] for row in rows(store, "changes")] == [1, 2]
    assert len(rows(store, "outbox")) == 1
    assert [record["state"] for record in store.open_incidents()] == ["recovered"]
    with pytest.raises(sqlite3.Error):
        store.write([change("j")], [Message("m", None, "", 0, NOW)])  # type: ignore[arg-type]
    assert len(rows(store, "incidents")) == 1


def test_store_gives_open_incidents_after_a_restart(tmp_path: Path) -> None:
    with Store(tmp_path, NOW) as store:
        store.write([change("old", time=NOW - timedelta(hours=1)), change("shut", state="closed"), change("new")])
    with Store(tmp_path, NOW) as store:
        assert [record["incident"] for record in store.open_incidents()] == ["old", "new"]


def test_store_is_for_one_service(store: Store) -> None:
    with pytest.raises(FalldetError, match="another falldet live uses"):
        Store(store.folder, NOW)


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_store_sets_a_damaged_database_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    with Store(tmp_path, NOW) as store:
        store.write([change(f"incident-{number}") for number in range(200)])
    path = tmp_path / "incidents.db"
    content = path.read_bytes()
    path.write_bytes(b"no database" * 1000 if damage == "garbage" else content[: len(content) // 2])
    with caplog.at_level(logging.ERROR), Store(tmp_path, NOW) as store:
        assert store.open_incidents() == []
        store.write([change("new")])
    assert "is damaged" in caplog.text
    assert (tmp_path / "incidents-damaged-20261127T120000.db").exists()


def test_store_refuses_a_newer_schema(tmp_path: Path) -> None:
    Store(tmp_path, NOW).close()
    with sqlite3.connect(tmp_path / "incidents.db") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(FalldetError, match="schema 99"):
        Store(tmp_path, NOW)
    assert not list(tmp_path.glob("*damaged*"))


def test_store_names_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FalldetError, match=r"can't write the state folder .*state\.folder"):
        Store(tmp_path / "file" / "state", NOW)


def test_clean_deletes_by_age_what_the_database_names_and_nothing_else(store: Store) -> None:
    old, clips = NOW - timedelta(days=40), store.folder / "clips"
    clips.mkdir()
    store.write([change("open", time=old), change("shut", state="closed", time=old)])
    for name in ("open", "shut", "fresh", "stranger"):
        (clips / name).write_bytes(b"x" * 100)
    store.name_file(clips / "open", "clip", old, "open")
    store.name_file(clips / "shut", "clip", old, "shut")
    store.name_file(clips / "fresh", "clip", NOW, "open")
    clean(store, NOW, keep_clips_days=30, keep_incidents_days=365, max_bytes=1e9)
    assert sorted(path.name for path in clips.iterdir()) == ["fresh", "stranger"]
    clean(store, NOW, keep_clips_days=30, keep_incidents_days=35, max_bytes=1e9)
    assert [record["incident"] for record in store.open_incidents()] == ["open"]
    assert len(rows(store, "incidents")) == 1


def test_clean_deletes_the_oldest_closed_ones_first_where_all_is_too_large(store: Store) -> None:
    (store.folder / "clips").mkdir()
    for day in range(30):
        time = NOW - timedelta(days=30 - day)
        store.write([change(f"i{day}", state="open" if day == 0 else "closed", time=time)])
        path = store.folder / "clips" / f"{day}"
        path.write_bytes(b"x" * 10_000)
        store.name_file(path, "clip", time, f"i{day}")
    clean(store, NOW, 365, 365, max_bytes=250_000)
    left = sorted(int(path.name) for path in (store.folder / "clips").iterdir())
    assert left[0] == 0  # of the open incident
    assert left[1] > 1
    assert left[-1] == 29
    assert store.size() <= 0.9 * 250_000


def test_store_notes_outages(store: Store) -> None:
    store.outage("hall", NOW, "away", "connection refused")
    store.outage("hall", NOW + timedelta(seconds=5), "", "")
    store.outage("yard", NOW, "frozen", "")
    store.end_outages(NOW + timedelta(seconds=9))
    assert [row[2] is not None for row in rows(store, "outages")] == [True, True]
