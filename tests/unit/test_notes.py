"""What a reconciliation keeps for itself, edited by hand: it begins anew, and comes to every transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.join_unmapped import TRIED
from shared.app.lease import LEASES
from shared.app.notes import CURSORS, keep_note, read_note
from shared.app.reconcile_report import RUNS, is_straight
from shared.app.reconcile_settings import ReconcileSettings
from shared.ports import Query
from tests.support.documents import MemoryDocuments
from tests.support.world import LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

_GONE: Any = object()
_VALUES = [_GONE, 10**15, "x", ["x"]]
_LISTENER = "chain_cursors"


def _edited(document: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    changed = {**document, field: value}
    return {name: each for name, each in changed.items() if each is not _GONE}


@pytest.mark.parametrize("every_run_limit", [20_000, 0])
@pytest.mark.parametrize("value", _VALUES)
def test_no_edited_note_keeps_a_run_from_any_transfer(
    tmp_path: Path, value: object, every_run_limit: int
) -> None:
    """Any field of any cursor, unfinished run or lease: the schedule repairs what it would have repaired."""
    settings = ReconcileSettings(
        every_run_limit=every_run_limit, rotation_runs=2, page_size=2, sweep_limit=100, budget_s=0
    )
    world = World(tmp_path, settings=settings)
    for name in "abc":
        world.start(name)
    world.live("a", LEVEL_3[:3])
    world.live("b", LEVEL_3)
    world.act("nobody", "agree_send")
    world.documents.put(_LISTENER, "1", {"readThrough": 10**6})
    world.clock.advance(10**6)
    for _ in range(25):
        world.reconcile.run()
    world.settings = ReconcileSettings(**{**_as_dict(settings), "budget_s": None})
    world.act("a", "executed", "minted", sees=False)
    world.chain.mine_empty(3)
    found = {
        (collection, key): document
        for collection in (CURSORS, RUNS, TRIED, LEASES, _LISTENER)
        for key, document in world.documents.query(collection, Query())
    }
    assert {collection for collection, _ in found} == {CURSORS, RUNS, TRIED, LEASES, _LISTENER}
    before = dict(world.documents._bodies)  # type: ignore[attr-defined]
    for (collection, key), document in found.items():
        # The store itself refuses a time to live that is none.
        for field in document.keys() - {"deleteAfter"}:
            world.documents._bodies = dict(before)  # type: ignore[attr-defined]
            world.documents.put(collection, key, _edited(document, field, value))
            for _ in range(4):
                world.clock.advance(4_000)
                world.reconcile.run()
            assert (world.state("a") or {})["contractState"] == 6, (collection, key, field)
            assert is_straight(world.run()), (collection, key, field)


def _as_dict(settings: ReconcileSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__slots__}


def test_a_note_is_read_as_it_was_kept() -> None:
    """Only what nobody touched is read."""
    documents = MemoryDocuments()
    assert read_note(documents, "c", "k") == {}
    keep_note(documents, "c", "k", {"after": ["x", 1]})
    assert read_note(documents, "c", "k") == {"after": ["x", 1]}
    documents.put("c", "k", {**(documents.get("c", "k") or {}), "after": ["y", 1]})
    assert read_note(documents, "c", "k") == {}
