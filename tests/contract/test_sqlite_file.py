"""What holds for the embedded file only: several processes, sudden death, and files that are none."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from shared.adapters.sqlite import SqliteDocuments
from shared.adapters.sqlite_collections import INDEXES
from shared.errors import ConfigError, Conflict, StoreUnavailable
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shared.adapters.sqlite_collections import Indexes
    from shared.ports import Transaction

_CONTENDER = """
import sys
from shared.adapters.sqlite import SqliteDocuments

documents, me = SqliteDocuments(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()

def increment(transaction):
    counter = transaction.get("counters", "c") or {"n": 0}
    transaction.put("counters", "c", {"n": counter["n"] + 1})

won = 0
for n in range(100):
    won += documents.create("races", f"r{n}", {"by": me})
    documents.transaction(increment)
    documents.create_many("events", {f"{me}-{n}-{i}": {"audit": {"storedAt": "x"}} for i in range(5)})
print(won, flush=True)
"""

_WRITER = """
import sys
from shared.adapters.sqlite import SqliteDocuments

documents = SqliteDocuments(sys.argv[1])
for batch in range(1_000_000):
    body = {"batch": batch, "padding": "x" * 500}
    documents.create_many("events", {f"{batch:06}-{n:03}": body for n in range(300)})
    print(batch, flush=True)
"""

_THREE_COLUMNS = """
CREATE TABLE collections (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, indexes BLOB);
INSERT INTO collections (name, indexes) VALUES ('events', '[["rolloverId"]]'), ('things', NULL);
CREATE TABLE documents_1 (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
    f0 BLOB, f1 BLOB, f2 BLOB
);
CREATE INDEX documents_1_f0 ON documents_1 (f0, key) WHERE f0 IS NOT NULL;
CREATE TABLE documents_2 (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
    f0 BLOB, f1 BLOB, f2 BLOB
);
INSERT INTO documents_2 (key, body) VALUES ('a', '{"n":1}');
"""


def _start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    """Processes on one file lose no increment, share out the creates, and hide nothing from a watcher."""
    path = tmp_path / "store.db"
    processes = [_start(_CONTENDER, str(path), f"p{n}") for n in range(3)]
    try:
        assert [_hear(process) for process in processes] == ["ready"] * 3
        for process in processes:
            _say(process, "go")
        seen: list[str] = []
        position = None
        with closing(SqliteDocuments(path)) as documents:
            while len(seen) < 1500 and any(process.poll() is None for process in processes):
                for change in documents.watch("events", position, 50):
                    position = change.position
                    seen.append(change.key)
            won = [int(_hear(process)) for process in processes]
            seen += [change.key for change in documents.watch("events", position, 1500)]
            assert sum(won) == 100
            assert documents.get("counters", "c") == {"n": 300}
            assert len(seen) == 1500
            assert set(seen) == {key for key, _ in documents.query("events", Query(fields=()))}
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_sudden_death_leaves_whole_batches(tmp_path: Path) -> None:
    """After kill -9 amid create_many each batch is stored whole or not at all, and none reported is lost."""
    path = tmp_path / "store.db"
    reported = -1
    for batches in (1, 4, 9):
        process = _start(_WRITER, str(path))
        for _ in range(batches):
            reported = max(reported, int(_hear(process)))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with closing(SqliteDocuments(path)) as documents:
            keys = [key for key, _ in documents.query("events", Query(fields=()))]
            assert len(keys) % 300 == 0
            stored = len(keys) // 300
            assert stored > reported
            assert keys == [f"{batch:06}-{n:03}" for batch in range(stored) for n in range(300)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_says_which_file_cannot_be_used(tmp_path: Path) -> None:
    """A folder, a folder that is not there and a file of something else are refused by their path."""
    something = tmp_path / "notes.txt"
    something.write_text("not a database, but long enough to look like one " * 100)
    for path in (tmp_path, tmp_path / "nowhere" / "store.db", something):
        documents = SqliteDocuments(path)
        uses: list[Callable[[SqliteDocuments], object]] = [
            lambda store: store.get("events", "a"),
            lambda store: store.put("events", "a", {}),
            lambda store: store.create_many("events", {"a": {}}),
            lambda store: store.transaction(lambda t: t.get("events", "a")),
            lambda store: store.watch("events", None, 1),
        ]
        for use in uses:
            with pytest.raises(StoreUnavailable, match=str(path)):
                use(documents)
        documents.close()
    assert something.read_text().startswith("not a database")


def test_a_file_damaged_later_is_named(tmp_path: Path) -> None:
    """A file whose pages were overwritten is refused by its path."""
    path = tmp_path / "store.db"
    with closing(SqliteDocuments(path)) as documents:
        documents.create_many("events", {f"k{n}": {"padding": "x" * 2000} for n in range(200)})
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 50)
    with closing(SqliteDocuments(path)) as documents, pytest.raises(StoreUnavailable, match=str(path)):
        documents.query("events", Query())


def test_a_lock_held_too_long_is_a_conflict(tmp_path: Path) -> None:
    """Reads go on while another process writes; a transaction that waits too long says Conflict."""
    path = tmp_path / "store.db"
    with (
        closing(SqliteDocuments(path, busy_timeout_s=0.05)) as documents,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        documents.put("things", "a", {"n": 1})
        other.execute("BEGIN IMMEDIATE")
        assert documents.get("things", "a") == {"n": 1}
        with pytest.raises(Conflict):
            documents.transaction(lambda t: t.put("things", "a", {"n": 2}))
        with pytest.raises(StoreUnavailable, match="locked"):
            documents.put("things", "a", {"n": 2})
        other.execute("ROLLBACK")
        documents.put("things", "a", {"n": 3})


def test_writing_past_a_transaction_is_a_mistake(tmp_path: Path) -> None:
    """A write to the store itself inside a transaction would wait for itself; it says so instead."""
    with closing(SqliteDocuments(tmp_path / "store.db")) as documents:

        def work(transaction: Transaction) -> None:
            transaction.get("things", "a")
            documents.put("things", "a", {})

        with pytest.raises(RuntimeError, match="write through it"):
            documents.transaction(work)
        documents.put("things", "a", {})


@pytest.mark.parametrize(
    ("collection", "query"),
    [
        ("events", Query((("rolloverId", "r"),))),
        ("events", Query((("rolloverId", "r"), ("eventType", "t")), limit=1)),
        ("events", Query((("metadata.originalEventId", "e"),))),
        ("events", Query(order_by="audit.storedAt", limit=500, after=("t", "k"))),
        ("events", Query(order_by="rolloverId", limit=500, after=("r", "k"))),
        ("events", Query(order_by="rolloverId", limit=500, after=("r", "k"), descending=True)),
        ("events", Query(order_by="timestamp", limit=500, after=("t", "k"))),
        ("events", Query(limit=500, after=("k",))),
        ("rollover_states", Query((("contractKey", "c"), ("open", True)), limit=500, after=("k",))),
        ("rollover_states", Query((("contractKey", None), ("open", True)), limit=500)),
        (
            "rollover_states",
            Query((("contractKey", "c"), ("open", False)), "lastBlock", limit=500, after=(1, "k")),
        ),
        ("published_blocks", Query((("chainId", 1),), "number")),
    ],
)
def test_queries_in_use_read_an_index_in_order(tmp_path: Path, collection: str, query: Query) -> None:
    """Each query that Plumbline asks is a search in one index without sorting."""
    statements: list[str] = []
    with closing(SqliteDocuments(tmp_path / "store.db")) as documents:
        documents.query(collection, query)
        with documents._file.reading() as connection:
            connection.set_trace_callback(statements.append)
        documents.query(collection, query)
        with documents._file.reading() as connection:
            connection.set_trace_callback(None)
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements[-1]}")]
    assert len(plan) == 1
    assert plan[0].startswith("SEARCH documents_")
    narrow = query.order_by or query.where
    assert ("INDEX documents_" in plan[0]) == bool(narrow)


def test_changed_indexes_are_rebuilt(tmp_path: Path) -> None:
    """A file written under other indexes answers the same once it is opened with the present ones."""
    path = tmp_path / "store.db"
    events = {f"k{n:04}": {"rolloverId": f"r{n % 3}", "audit": {"storedAt": f"{n:04}"}} for n in range(2500)}
    other: Indexes = {"events": (("audit.storedAt",),), "gone": (("x",),)}
    with closing(SqliteDocuments(path, other)) as documents:
        documents.create_many("events", events)
        documents.put("gone", "g", {"x": 1})
    for indexes in (INDEXES, {}, other):
        with closing(SqliteDocuments(path, indexes)) as documents:
            assert documents.count("events", (("rolloverId", "r1"),)) == 833
            following = Query(order_by="audit.storedAt", limit=1, after=("0007", "z"), fields=())
            assert documents.query("events", following) == [("k0008", {})]
            assert documents.count("gone", (("x", 1),)) == 1


def test_a_file_with_fewer_columns_is_given_them(tmp_path: Path) -> None:
    """A file whose tables have three columns keeps what it holds, and answers by the fourth's index."""
    path = tmp_path / "store.db"
    events = [(f"k{n:04}", f'{{"rolloverId":"r{n % 3}","timestamp":"t{n // 2:04}"}}') for n in range(2500)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_THREE_COLUMNS)
        connection.executemany("INSERT INTO documents_1 (key, body) VALUES (?, ?)", events)
    for n in range(2):
        with closing(SqliteDocuments(path)) as documents:
            assert documents.get("things", "a") == {"n": 1}
            documents.put("things", f"b{n}", {"n": n})
            documents.create("events", f"l{n}", {"timestamp": "t9999"})
            assert documents.count("events", (("rolloverId", "r1"),)) == 833
            following = Query(order_by="timestamp", limit=3, after=("t0007", "k0014"), fields=())
            assert [key for key, _ in documents.query("events", following)] == ["k0015", "k0016", "k0017"]
            last = Query(order_by="timestamp", descending=True, limit=1, fields=())
            assert documents.query("events", last) == [(f"l{n}", {})]


def test_a_store_of_the_format_before_is_refused(tmp_path: Path) -> None:
    """A file with one table for all collections is refused by its path, and stays as it was."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE documents (seq INTEGER PRIMARY KEY, collection TEXT, key TEXT)")
    with closing(SqliteDocuments(path)) as documents:
        for _ in range(2):
            with pytest.raises(ConfigError, match=f"{path}.*move it away"):
                documents.put("events", "a", {})
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM collections").fetchone() == (0,)
