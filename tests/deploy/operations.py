"""What Plumbline asks of Firestore and Pub/Sub, counted on the use cases themselves.

    python -m tests.deploy.operations        # prints the counts

Counts are exact and the same on every machine: the stores and the chain are in memory.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import EVENTS
from shared.domain.transfers import STATES
from shared.ports import Query
from tests.support.counted_documents import CountedDocuments
from tests.support.listener import Scene
from tests.support.world import LEVEL_3, World

_TRANSFERS: Final = 50
_BLOCKS: Final = 200


@dataclass(frozen=True, slots=True)
class Operations:
    """Documents read, written and deleted, and messages published."""

    reads: float = 0.0
    writes: float = 0.0
    deletes: float = 0.0
    messages: float = 0.0

    def __mul__(self, times: float) -> Operations:
        return Operations(
            self.reads * times, self.writes * times, self.deletes * times, self.messages * times
        )

    def __add__(self, other: Operations) -> Operations:
        return Operations(
            self.reads + other.reads,
            self.writes + other.writes,
            self.deletes + other.deletes,
            self.messages + other.messages,
        )


def handling() -> Operations:
    """Count per event: a message of each transaction's logs is appended and projected, live."""
    with tempfile.TemporaryDirectory() as home:
        documents = CountedDocuments()
        world = World(Path(home), documents)
        for number in range(_TRANSFERS):
            world.start(f"t{number}")
        documents.billed.clear()
        for number in range(_TRANSFERS):
            world.live(f"t{number}", LEVEL_3)
        return _per(documents.billed, _TRANSFERS * sum(len(steps) for steps in LEVEL_3))


def triggering() -> Operations:
    """Count per event: the trigger of an event that the handler has projected already."""
    with tempfile.TemporaryDirectory() as home:
        documents = CountedDocuments()
        world = World(Path(home), documents)
        for number in range(_TRANSFERS):
            world.start(f"t{number}")
            world.live(f"t{number}", LEVEL_3)
        events = [event for _, event in documents.query(EVENTS, Query())]
        documents.billed.clear()
        for event in events:
            world.projection.catch_up([event])
        return _per(documents.billed, len(events))


def listening(logs: int) -> Operations:
    """Count per block, live, each with so many logs (0: a block that holds none of ours)."""
    scene = Scene(window=64)
    scene.store = documents = CountedDocuments()
    scene.follow = scene.listener()
    scene.grow(200, logs)
    scene.settle()
    documents.billed.clear()
    published = len(scene.bus.published)
    for _ in range(_BLOCKS):
        scene.grow(1, logs)
        scene.settle()
    counted = _per(documents.billed, _BLOCKS)
    return counted + Operations(messages=(len(scene.bus.published) - published) / _BLOCKS)


@dataclass(frozen=True, slots=True)
class Reconciling:
    """A scheduled run on a straight world: ``run`` at all, and for each of what it looks at."""

    run: Operations
    open_transfer: Operations
    closed_transfer: Operations
    closed_in_turn: Operations
    swept_event: Operations


def reconciling() -> Reconciling:
    """Count scheduled runs over worlds of two sizes, with and without the sweeps over events."""
    run = _run(0, LEVEL_3, 0)
    opened, closed = LEVEL_3[:3], LEVEL_3
    per_open = (_run(2 * _TRANSFERS, opened, 0) + _run(_TRANSFERS, opened, 0) * -1) * (1 / _TRANSFERS)
    # Of closed ones a share of 1 in ``rotation_runs`` is looked at in a run; enough of them for whole shares.
    many = 2 * ReconcileSettings().rotation_runs
    per_closed = (_run(2 * many, closed, 0) + _run(many, closed, 0) * -1) * (1 / many)
    events = _TRANSFERS * (1 + sum(len(steps) for steps in closed))
    in_turn = (_run(2 * many, closed, 0, 0) + _run(many, closed, 0, 0) * -1) * (1 / many)
    swept = (_run(_TRANSFERS, closed, events * 2) + _run(_TRANSFERS, closed, 0) * -1) * (1 / events)
    return Reconciling(run, per_open, per_closed, in_turn, swept)


def _run(
    transfers: int, life: list[list[str]], sweep_limit: int, every_run_limit: int = 20_000
) -> Operations:
    with tempfile.TemporaryDirectory() as home:
        documents = CountedDocuments()
        world = World(
            Path(home), documents, ReconcileSettings(sweep_limit=sweep_limit, every_run_limit=every_run_limit)
        )
        for number in range(transfers):
            world.start(f"t{number}")
            world.live(f"t{number}", life)
        world.chain.mine_empty(200)
        documents.put("chain_cursors", "1", {"readThrough": len(world.chain.blocks) - 1})
        for _ in range(3):
            world.reconcile.run()
            world.clock.advance(300)
        documents.billed.clear()
        world.reconcile.run()
        return _per(documents.billed, 1)


def bytes_stored() -> tuple[float, float]:
    """Return the JSON bytes of an event and of a state, on average over a whole life."""
    with tempfile.TemporaryDirectory() as home:
        documents = CountedDocuments()
        world = World(Path(home), documents)
        world.start("t")
        world.live("t", LEVEL_3)
        sizes = [
            [len(orjson.dumps(document)) for _, document in documents.query(collection, Query())]
            for collection in (EVENTS, STATES)
        ]
        return sum(sizes[0]) / len(sizes[0]), sum(sizes[1]) / len(sizes[1])


def _per(billed: Counter[tuple[str, str]], number: int) -> Operations:
    totals: Counter[str] = Counter()
    for (operation, _), count in billed.items():
        totals[operation] += count
    return Operations(totals["read"] / number, totals["write"] / number, totals["delete"] / number)


def main() -> int:
    """Print every count."""
    runs = reconciling()
    for name, counted in (
        ("handling, per event", handling()),
        ("trigger, per event", triggering()),
        ("listener, per step without our logs", listening(0)),
        ("listener, per block with a log", listening(1)),
        ("reconciliation, per run", runs.run),
        ("reconciliation, per open transfer and run", runs.open_transfer),
        ("reconciliation, per closed transfer and run", runs.closed_transfer),
        ("reconciliation, per event swept", runs.swept_event),
    ):
        print(f"{name:<45}{counted}")  # noqa: T201
    print(bytes_stored())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
