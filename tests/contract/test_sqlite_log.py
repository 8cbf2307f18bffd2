"""What holds for SQLite's write-ahead log: it stays short, whoever writes, reads or dies meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from shared.adapters.sqlite_file import SqliteFile
from shared.adapters.sqlite_log import has_frames

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = "CREATE TABLE IF NOT EXISTS rows (writer TEXT, number INTEGER, padding BLOB);"
_PAGES = 20
_MANY = 20 * _PAGES
_WRITER = """
import sys
from shared.adapters.sqlite_file import SqliteFile

file, me = SqliteFile(sys.argv[1], sys.argv[3], long_log_pages=int(sys.argv[4])), sys.argv[2]
for number in range(1_000_000):
    with file.writing() as connection:
        connection.execute("INSERT INTO rows VALUES (?, ?, zeroblob(9000))", (me, number))
    print(number, flush=True)
"""


def _write(file: SqliteFile, count: int) -> None:
    for number in range(count):
        with file.writing() as connection:
            connection.execute("INSERT INTO rows VALUES ('me', ?, zeroblob(4000))", (number,))


def test_a_long_log_is_begun_anew(tmp_path: Path) -> None:
    """However much is written, the log has little more than the pages that it may have."""
    path = tmp_path / "store.db"
    log = tmp_path / "store.db-wal"
    with closing(SqliteFile(path, _SCHEMA, long_log_pages=_PAGES)) as file:
        _write(file, _MANY)
        assert log.stat().st_size < 2 * _PAGES * 4200
        assert path.stat().st_size > (_MANY - 2 * _PAGES) * 4000


def test_a_log_in_use_grows_until_its_reader_ends(tmp_path: Path) -> None:
    """While somebody reads from before, the log is kept and writing goes on; then it is begun anew."""
    path = tmp_path / "store.db"
    log = tmp_path / "store.db-wal"
    with (
        closing(SqliteFile(path, _SCHEMA, long_log_pages=_PAGES)) as file,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):
        _write(file, 1)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM rows").fetchone() == (1,)
        _write(file, _MANY)
        grown = log.stat().st_size
        assert grown > _MANY * 4000
        assert reader.execute("SELECT count(*) FROM rows").fetchone() == (1,)
        reader.execute("COMMIT")
        _write(file, _MANY)
        assert log.stat().st_size < grown + 2 * _PAGES * 4200
        assert not has_frames(log, 2 * _PAGES)


def test_frames_are_counted_from_where_the_log_began_anew(tmp_path: Path) -> None:
    """What a log begun anew has not yet written over does not count, nor does a log that is not there."""
    path = tmp_path / "store.db"
    log = tmp_path / "store.db-wal"
    assert not has_frames(log, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; {_SCHEMA}")
        before = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        assert has_frames(log, before)
        assert not has_frames(log, before + 1)
        connection.executescript("BEGIN; INSERT INTO rows VALUES ('a', 1, zeroblob(90000)); COMMIT")
        many = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        assert has_frames(log, many)
        connection.execute("INSERT INTO rows VALUES ('a', 2, NULL)")
        few = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        assert few < many
        assert has_frames(log, few)
        assert not has_frames(log, few + 1)


def test_sudden_death_while_two_write_the_log_back(tmp_path: Path) -> None:
    """After kill -9 of either of two that write the log back all the time, nothing reported is lost."""
    path = tmp_path / "store.db"
    reported: dict[str, int] = {}
    for reports in (3, 8, 21, 40):
        writers = {
            f"{name}{reports}": subprocess.Popen(
                [sys.executable, "-c", _WRITER, str(path), f"{name}{reports}", _SCHEMA, "5"],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for name in "ab"
        }
        for _ in range(reports):
            for name, writer in writers.items():
                assert writer.stdout
                reported[name] = int(writer.stdout.readline())
        for writer in writers.values():
            os.kill(writer.pid, signal.SIGKILL)
            writer.communicate()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT writer, max(number) + 1, count(*) FROM rows GROUP BY writer")
        stored = {name: (following, count) for name, following, count in rows}
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert stored.keys() == reported.keys()
    for name, (following, count) in stored.items():
        assert following == count
        assert count > reported[name]
