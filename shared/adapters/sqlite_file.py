"""One SQLite file shared by threads and processes: how it is opened, locked and given back."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.adapters.sqlite_log import has_frames
from shared.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG: Final = logging.getLogger(__name__)
BUSY_TIMEOUT_S: Final = 30.0
LONG_LOG_PAGES: Final = 16_000
"""64 MB: a write-ahead log of so many pages is written back into the file."""
# By itself SQLite writes the log back at the end of a commit, while everybody waits (see ``_shorten_log``).
# Some builds of it fill with zeros what is deleted, which costs as much as writing it: each message of the
# bus a second time.
_PRAGMAS: Final = """
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 0;
PRAGMA cache_size = -8000;
PRAGMA secure_delete = OFF;
"""
# Writes back what no reader still needs the older pages of; waits for nobody, and says first whether
# another connection is at it.
_WRITE_BACK: Final = "PRAGMA wal_checkpoint(PASSIVE)"
_OUR_OWN_MISTAKES: Final = (sqlite3.ProgrammingError, sqlite3.IntegrityError)


class SqliteFile:
    """Connections to one file, lent to one thread at a time and kept for the next.

    ``schema`` is a script that may run again and again (``CREATE TABLE IF NOT EXISTS``). Write-ahead
    log with ``synchronous=NORMAL``: what was committed survives the death of the process; a power cut may
    take back the last commits, in order and whole. Raises StoreUnavailable where the file cannot be used
    or a lock is held longer than ``busy_timeout_s``.
    """

    def __init__(
        self,
        path: str | Path,
        schema: str,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        long_log_pages: int = LONG_LOG_PAGES,
    ) -> None:
        self._path = Path(path)
        self._log = Path(f"{path}-wal")
        self._long_log_pages = long_log_pages
        self._schema = schema
        self._busy_timeout_s = busy_timeout_s
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()
        self._writer = threading.Lock()
        self._gate_file: int | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for single statements that only read."""
        try:
            connection = self._borrow()
            try:
                yield connection
            finally:
                self._give_back(connection)
        except _OUR_OWN_MISTAKES:
            raise
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite file {self._path}: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside a transaction that holds the file's write lock from its start.

        Commits at the end; an exception rolls back and propagates. Then, out of the others' way, whoever
        finds the write-ahead log long writes it back.
        """
        with self._turn(), self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        self._shorten_log()

    def _shorten_log(self) -> None:
        """Write a long log back into the file: most of it while others write, the rest while they wait.

        A log is begun anew only when all of it is written back, and so it needs that moment. What fails is
        tried again after the next commit; the commit itself is good.
        """
        try:
            if not has_frames(self._log, self._long_log_pages):
                return
            with self.reading() as connection:
                busy = connection.execute(_WRITE_BACK).fetchone()[0]
            if not busy:
                with self._turn(), self.reading() as connection:
                    connection.execute(_WRITE_BACK)
        except (OSError, StoreUnavailable) as error:
            _LOG.warning("SQLite's write-ahead log stays long: %s", error)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Queue for the write lock: SQLite's own waiting is polling, with pauses of milliseconds.

        Only an order in which to try: who holds the file's lock is still SQLite's to say.
        """
        with self._writer, self._gate() as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(gate, fcntl.LOCK_UN)

    @contextmanager
    def _gate(self) -> Iterator[int]:
        if self._gate_file is None:
            path = f"{self._path}-gate"
            try:
                self._gate_file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise StoreUnavailable(f"SQLite file {self._path}: {error.strerror}") from error
        yield self._gate_file

    def close(self) -> None:
        """Close idle connections now and lent ones when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            gate, self._gate_file = self._gate_file, None
        if gate is not None:
            os.close(gate)
        for connection in idle:
            connection.close()

    def _borrow(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"SQLite file {self._path}: closed")
            if self._idle:
                return self._idle.pop()
        return self._open()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            self._use_write_ahead_log(connection)
            connection.executescript(_PRAGMAS)
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_write_ahead_log(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait its own busy time-out for this one switch, made once in a file's life.
        deadline = time.monotonic() + self._busy_timeout_s
        while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
