"""The SQLite database of incidents: one writer, every change in one transaction with the messages that it causes.

Tables: incidents (as they are now), changes (append only), outbox (messages to deliver), outages (when a camera saw
nothing, and why), files (every file that the service may delete). Times are UTC in ISO 8601. The schema's number is the
database's user_version; a newer one is refused, a damaged file is set aside.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from falldet.errors import FalldetError

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
MIGRATIONS = (
    """
    CREATE TABLE incidents (
        id TEXT PRIMARY KEY, camera TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, opened TEXT NOT NULL,
        closed TEXT, updated TEXT NOT NULL, body TEXT NOT NULL);
    CREATE INDEX incidents_by_time ON incidents (opened);
    CREATE TABLE changes (
        incident TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE, number INTEGER NOT NULL, kind TEXT NOT NULL,
        time TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (incident, number));
    CREATE TABLE outbox (
        id TEXT PRIMARY KEY, notifier TEXT NOT NULL, body TEXT NOT NULL, priority INTEGER NOT NULL, made TEXT NOT NULL,
        due TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, done TEXT, dead TEXT);
    CREATE TABLE outages (
        camera TEXT NOT NULL, began TEXT NOT NULL, ended TEXT, state TEXT NOT NULL, reason TEXT NOT NULL);
    CREATE INDEX outages_by_time ON outages (began);
    CREATE TABLE files (
        path TEXT PRIMARY KEY, kind TEXT NOT NULL, incident TEXT REFERENCES incidents (id) ON DELETE SET NULL,
        made TEXT NOT NULL, bytes INTEGER NOT NULL);
    """,
)
"""Statements that lead from each schema to the next; never changed once released."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one notifier; delivered at least once, told apart by its id.

    Attributes:
        id: incident, change and notifier.
        notifier: name of the notifier.
        body: JSON.
        priority: lower is sent first.
        due: not before, UTC.
    """

    id: str
    notifier: str
    body: str
    priority: int
    due: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an incident, as stored and told.

    Attributes:
        incident: id of the incident.
        number: 1 for the first change of an incident.
        kind: what happened.
        time: UTC.
        record: the incident after the change and the detail, ready for JSON.
    """

    incident: str
    number: int
    kind: str
    time: datetime
    record: dict[str, Any]

    @property
    def id(self) -> str:
        """Name of the change, unique for ever."""
        return f"{self.incident}.{self.number}"


class Store:
    """The database in a state folder; for one thread that writes. Readers use `connect_read_only`.

    Used as a context manager.

    Args:
        folder: made where it is missing.
        now: UTC, for the name of a file that is set aside.

    Raises:
        FalldetError: the folder can't be written, another service uses it, or the database is of a newer version.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self.folder, self.path = folder, folder / "incidents.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (folder / "lock").open("a", encoding="utf-8")
        except OSError as error:
            raise FalldetError(
                f"can't write the state folder {folder}: {error.strerror}; set state.folder to another"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise FalldetError(f"another falldet live uses {folder}; stop it, or set state.folder to another") from None
        try:
            self._database = self._open(now)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the log into the database and let go of the folder."""
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()
        self._lock.close()

    def _open(self, now: datetime) -> sqlite3.Connection:
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise FalldetError(f"{self.path} is locked by another program; end that program") from None
            aside = self._set_aside(now)
            logger.error("%s is damaged (%s); it is kept as %s, and a new one is begun", self.path, error, aside.name)
        try:
            return self._opened()
        except sqlite3.Error as error:
            raise FalldetError(f"can't write {self.path}: {error}; is the disk full?") from None

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise FalldetError(f"{self.path} is of a newer falldet (schema {version}); update falldet")
            fault = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if fault != "ok":
                raise sqlite3.DatabaseError(fault.splitlines()[0])
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                database.execute(f"PRAGMA {pragma}")
            for number in range(version, SCHEMA_VERSION):
                database.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
        except BaseException:
            database.close()
            raise
        database.row_factory = sqlite3.Row
        return database

    def _set_aside(self, now: datetime) -> Path:
        aside = self.path.with_name(f"incidents-damaged-{now:%Y%m%dT%H%M%S}.db")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
        return aside

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def write(self, changes: Sequence[Change], messages: Iterable[Message] = ()) -> None:
        """Store changes, the incidents after them, and the messages that they cause, all or nothing.

        Raises:
            sqlite3.Error: the database can't be written now.
        """
        with self._transaction() as database:
            for change in changes:
                self._write_incident(database, change)
                body = json.dumps(change.record)
                database.execute(
                    "INSERT OR REPLACE INTO changes VALUES (?, ?, ?, ?, ?)",
                    (change.incident, change.number, change.kind, utc_text(change.time), body),
                )
            database.executemany(
                "INSERT INTO outbox (id, notifier, body, priority, made, due) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                [(m.id, m.notifier, m.body, m.priority, utc_text(changes[-1].time), utc_text(m.due)) for m in messages],
            )

    def _write_incident(self, database: sqlite3.Connection, change: Change) -> None:
        record, time = change.record, utc_text(change.time)
        closed = time if record["state"] == "closed" else None
        database.execute(
            "INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " state = excluded.state, closed = excluded.closed, updated = excluded.updated, body = excluded.body",
            (
                change.incident,
                record["camera"],
                record["kind"],
                record["state"],
                record["opened"],
                closed,
                time,
                json.dumps(record),
            ),
        )

    def open_incidents(self) -> list[dict[str, Any]]:
        """Return the records of the incidents that are not closed, the oldest first."""
        rows = self._database.execute("SELECT body FROM incidents WHERE closed IS NULL ORDER BY opened")
        return [json.loads(row["body"]) for row in rows]

    def end_outages(self, time: datetime) -> None:
        """Close the outages that the last run left open."""
        with self._transaction() as database:
            database.execute("UPDATE outages SET ended = ? WHERE ended IS NULL", (utc_text(time),))

    def outage(self, camera: str, time: datetime, state: str, reason: str) -> None:
        """Note that a camera sees nothing from `time` on, or, with an empty state, that it sees again."""
        with self._transaction() as database:
            database.execute(
                "UPDATE outages SET ended = ? WHERE camera = ? AND ended IS NULL", (utc_text(time), camera)
            )
            if state:
                database.execute(
                    "INSERT INTO outages VALUES (?, ?, NULL, ?, ?)", (camera, utc_text(time), state, reason)
                )

    def name_file(self, path: Path, kind: str, made: datetime, incident: str | None = None) -> None:
        """Name a file in the state folder, so that it may be deleted by age and size."""
        size = path.stat().st_size if path.exists() else 0
        with self._transaction() as database:
            database.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes",
                (str(path.relative_to(self.folder)), kind, incident, utc_text(made), size),
            )

    def select(self, query: str, *values: str) -> list[str]:
        """Return the first column of a query that reads."""
        return [row[0] for row in self._database.execute(query, values)]

    def forget_outages(self, before: str) -> None:
        """Delete the outages that ended before a time in ISO 8601."""
        with self._transaction() as database:
            database.execute("DELETE FROM outages WHERE ended < ?", (before,))

    def size(self) -> int:
        """Return the bytes of the named files and of the pages in use of the database."""
        files = self._database.execute("SELECT COALESCE(SUM(bytes), 0) FROM files").fetchone()[0]
        pages, free, page = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int(files + (pages - free) * page)

    def delete_files(self, names: Sequence[str]) -> int:
        """Delete files by their names in the state folder, and forget them; return how many."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        with self._transaction() as database:
            database.executemany("DELETE FROM files WHERE path = ?", [(name,) for name in names])
        return len(names)

    def delete_incidents(self, ids: Sequence[str]) -> int:
        """Delete incidents with their changes and files; return how many."""
        for incident in ids:
            named = self._database.execute("SELECT path FROM files WHERE incident = ?", (incident,))
            self.delete_files([row["path"] for row in named])
        with self._transaction() as database:
            database.executemany("DELETE FROM incidents WHERE id = ?", [(incident,) for incident in ids])
        return len(ids)


def connect_read_only(folder: Path) -> sqlite3.Connection:
    """Return a connection that reads the database of a state folder, from any thread or process."""
    database = sqlite3.connect(f"file:{folder / 'incidents.db'}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    database.row_factory = sqlite3.Row
    return database


def utc_text(time: datetime) -> str:
    """Return a UTC time as the database has it."""
    return time.isoformat(timespec="milliseconds")
