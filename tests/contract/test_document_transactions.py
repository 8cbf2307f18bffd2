"""What every Documents store promises when several write at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from shared.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from shared.ports import Documents, Transaction


def test_one_of_many_creates_wins(documents: Documents) -> None:
    """Of threads that create the same document at once exactly one is told that it did."""
    barrier = Barrier(4)

    def contend(number: int) -> list[bool]:
        barrier.wait(30)
        return [documents.create("races", f"r{race}", {"by": number}) for race in range(5)]

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(contend, range(4)))
    for race in range(5):
        winners = [number for number in range(4) if outcomes[number][race]]
        assert len(winners) == 1
        assert documents.get("races", f"r{race}") == {"by": winners[0]}


def test_each_key_of_overlapping_batches_has_one_creator(documents: Documents) -> None:
    """Threads that create overlapping batches share out the keys: each is new for exactly one."""
    batches = [{f"k{n}": {"by": number} for n in range(number * 10, number * 10 + 30)} for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        there = list(pool.map(lambda batch: documents.create_many("races", batch), batches))
    for key in {key for batch in batches for key in batch}:
        creators = [n for n, batch in enumerate(batches) if key in batch and key not in there[n]]
        assert len(creators) == 1
        assert documents.get("races", key) == {"by": creators[0]}


def test_commits_reads_and_writes_together(documents: Documents) -> None:
    """A transaction reads what is stored, and its creates, puts and deletes take effect together."""
    documents.create_many("accounts", {"a": {"n": 3}, "b": {"n": 4}, "gone": {}})

    def work(transaction: Transaction) -> int:
        both = transaction.get_many("accounts", ["a", "b", "nobody"])
        assert transaction.get("accounts", "nobody") is None
        total = sum(account["n"] for account in both.values())
        transaction.put("accounts", "a", {"n": total})
        transaction.create("accounts", "new", {"n": 0})
        transaction.delete("accounts", "gone")
        transaction.delete("accounts", "never there")
        return int(total)

    assert documents.transaction(work) == 7
    stored = documents.get_many("accounts", ["a", "b", "new", "gone"])
    assert stored == {"a": {"n": 7}, "b": {"n": 4}, "new": {"n": 0}}


def test_an_exception_takes_everything_back(documents: Documents) -> None:
    """An exception out of the work propagates as it is, nothing is written, and the store works on."""

    def work(transaction: Transaction) -> None:
        transaction.put("accounts", "a", {"n": 1})
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        documents.transaction(work)
    assert documents.count("accounts") == 0

    def refused(transaction: Transaction) -> None:
        transaction.put("accounts", "a", {"n": 1})
        transaction.put("accounts", "b", {"n": b"not JSON"})

    with pytest.raises(InvalidInput):
        documents.transaction(refused)
    assert documents.count("accounts") == 0
    documents.put("accounts", "a", {"n": 2})


def test_creating_what_exists_is_a_conflict(documents: Documents) -> None:
    """A create that finds its document there fails the whole transaction with Conflict."""
    documents.put("accounts", "b", {"n": 1})

    def work(transaction: Transaction) -> None:
        transaction.put("accounts", "a", {"n": 2})
        transaction.create("accounts", "b", {"n": 2})

    with pytest.raises(Conflict):
        documents.transaction(work)
    assert documents.get_many("accounts", ["a", "b"]) == {"b": {"n": 1}}


def test_what_a_collection_began_with_is_taken_back(documents: Documents) -> None:
    """A collection whose first document is taken back has none, and takes documents afterwards."""
    documents.put("accounts", "there", {"n": 1})

    def work(transaction: Transaction) -> None:
        transaction.put("Accounts", "first", {"n": 1})
        transaction.create("accounts", "there", {"n": 2})

    with pytest.raises(Conflict):
        documents.transaction(work)
    assert documents.get("Accounts", "first") is None
    assert documents.count("Accounts") == 0
    documents.put("Accounts", "second", {"n": 2})
    assert documents.get_many("Accounts", ["first", "second"]) == {"second": {"n": 2}}
    assert documents.get_many("accounts", ["there", "second"]) == {"there": {"n": 1}}


def test_reads_come_before_writes(documents: Documents) -> None:
    """Reading after the first write is a mistake of the program and says so."""

    def get(transaction: Transaction) -> None:
        transaction.put("accounts", "a", {})
        transaction.get("accounts", "a")

    def get_many(transaction: Transaction) -> None:
        transaction.delete("accounts", "a")
        transaction.get_many("accounts", ["a"])

    for work in (get, get_many):
        with pytest.raises(RuntimeError, match="before its first write"):
            documents.transaction(work)
    assert documents.count("accounts") == 0


def test_other_reads_work_inside_a_transaction(documents: Documents) -> None:
    """The store itself can be read while a transaction is under way (a rebuild reads the events so)."""
    documents.put("events", "e", {"rolloverId": "r"})

    def work(transaction: Transaction) -> int:
        transaction.get("accounts", "a")
        count = documents.count("events", (("rolloverId", "r"),))
        transaction.put("accounts", "a", {"n": count})
        return count

    assert documents.transaction(work) == 1
    assert documents.get("accounts", "a") == {"n": 1}


def test_concurrent_increments_are_all_counted(documents: Documents) -> None:
    """Threads that read and write one document at once lose no increment."""

    def increment(transaction: Transaction) -> None:
        counter = transaction.get("counters", "c") or {"n": 0}
        transaction.put("counters", "c", {"n": counter["n"] + 1})

    def several(_: int) -> None:
        for _ in range(3):
            documents.transaction(increment)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(several, range(2)))
    assert documents.get("counters", "c") == {"n": 6}


def test_two_documents_keep_their_sum(documents: Documents) -> None:
    """Transfers between two documents in both directions at once keep the sum of both."""
    documents.create_many("accounts", {"a": {"n": 10}, "b": {"n": 10}})

    def move(source: str, target: str) -> None:
        def work(transaction: Transaction) -> None:
            both = transaction.get_many("accounts", ["a", "b"])
            transaction.put("accounts", source, {"n": both[source]["n"] - 1})
            transaction.put("accounts", target, {"n": both[target]["n"] + 2})

        for _ in range(2):
            documents.transaction(work)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(move, "ab", "ba"))
    stored = documents.get_many("accounts", ["a", "b"])
    assert stored == {"a": {"n": 12}, "b": {"n": 12}}
