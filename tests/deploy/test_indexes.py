"""Firestore's indexes against the queries that the code makes; the emulator would answer without any."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.firestore_watch import STORED_AT, Reader
from shared.app.alerts import Alerts, AlertSettings
from shared.app.custodian_levels import differing_levels
from shared.app.deadletters import DeadLetters
from shared.app.event_log import EventLog
from shared.app.fee_export import recorded_blocks
from shared.app.gas_report import GasReport
from shared.app.listener_health import ListenerHealth, ListenerObjectives
from shared.app.observe import Observe
from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import EVENTS
from shared.domain.fee_record import FEE_HISTORY, GAS_SAMPLES, PAID_SAMPLES, TIP_SAMPLES
from shared.domain.fee_settings import chain_fees
from shared.domain.hashing import transfer_hash
from shared.domain.transfers import MAPPINGS, STATES
from shared.ports import Spent
from tests.deploy.offline.wheel_schema import ROOT
from tests.support.counted_documents import CountedDocuments, Shape
from tests.support.listener import CONTRACT, TOPIC, Scene, registry
from tests.support.metrics import MemoryMetrics
from tests.support.triggers import started_event
from tests.support.world import LEVEL_2, LEVEL_3, SENDER, World
from tests.support.world import Alerts as Operators
from tests.support.world import registry as world_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deploy.plan import Plan

_WALLET = "0x" + "00" * 20
"""Who sends on the fake chain."""
_ONLY_THE_LAPTOP = ("shared/local", "shared/adapters/sqlite", "shared/adapters/local_bus")


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> CountedDocuments:
    """Let everything that asks a store ask it: listener, handler, projection, reconciler, operators."""
    seen = CountedDocuments()
    worlds = [_world(tmp_path_factory.mktemp("world"), limit) for limit in (20_000, 0)]
    for made in (
        *worlds,
        _reorged(),
        _proved_later(),
        _disputed(),
        _recorded(tmp_path_factory.mktemp("fees")),
    ):
        seen.shapes |= made.shapes
        seen.sites |= made.sites
        seen.billed += made.billed
    return seen


def _world(home: Path, every_run_limit: int) -> CountedDocuments:
    documents = CountedDocuments()
    settings = ReconcileSettings(
        page_size=2, every_run_limit=every_run_limit, rotation_runs=1, reorg_window=0
    )
    world = World(home, documents, settings)
    world.levels = {SENDER: 3}
    documents.put("custodians", "alpha", {"walletAddress": SENDER, "level": 2})
    for number, life in enumerate((LEVEL_3, LEVEL_2, LEVEL_3[:2], LEVEL_3[:1])):
        world.start(f"t{number}", mapped=number != 3)
        world.live(f"t{number}", life, sees=number != 1)
    # Stored and mapped, and its trigger still on the way.
    world.log.append(started_event("t4"))
    documents.put(MAPPINGS, transfer_hash("t4"), {"transferId": "t4"})
    world.live("t4", LEVEL_3[:1])
    world.chain.mine_empty(3)
    for _ in range(3):
        world.run()
        world.reconcile.run()
        world.clock.advance(300)
    Alerts(documents, [], world.clock, MemoryMetrics(), AlertSettings()).tend()
    world.reconcile.run_one("t0")
    # A state that somebody edited is folded from all events when the next one comes.
    documents.put(STATES, "t2", {**(documents.get(STATES, "t2") or {}), "status": "completed"})
    world.live("t2", LEVEL_3[2:3])
    world.projection.rebuild_all(check_only=True)
    list(differing_levels(documents, world.chain, world.spec, world.chain.head()))
    list(Reader(documents, "events").keys_from(None))
    health = ListenerHealth(documents, [1], world.clock, ListenerObjectives())
    observe = Observe(documents, health, DeadLetters(world.bus, projection=world.projection), world.clock)
    list(observe.events())
    list(observe.events("t0"))
    observe.status()
    EventLog(documents, world.clock, "test").events_of("t0")
    return documents


def _listening(**settings: Any) -> tuple[Scene, CountedDocuments]:
    scene = Scene(**settings)
    scene.store = documents = CountedDocuments()
    scene.follow = scene.listener()
    return scene, documents


def _proved_later() -> CountedDocuments:
    scene, documents = _listening(window=16, max_range=30)
    scene.chain.provable = False
    scene.grow(60)
    for _ in range(10):
        scene.settle()
        scene.clock.advance(20)
    scene.chain.provable = True
    scene.grow(1)
    for _ in range(10):
        scene.clock.advance(20)
        scene.settle()
    return documents


def _disputed() -> CountedDocuments:
    """Believe a log that there is not, until its block is proved."""
    scene, documents = _listening(window=16)
    scene.alerts = Operators()
    scene.grow(60)
    scene.chain.index_says = lambda raw: [raw, {**raw, "logIndex": "0x9"}]
    for _ in range(3):
        scene.settle()
        scene.handle(scene.messages())
        scene.clock.advance(20)
    scene.assert_outcome()
    # And one with another content, of a block that has left when its proof is handled.
    scene.chain.provable = False
    scene.chain.index_says = lambda raw: [{**raw, "topics": [TOPIC, f"0x{1:064x}"]}]
    scene.grow(1)
    scene.settle()
    scene.handle(scene.messages())
    scene.chain.provable = True
    scene.clock.advance(20)
    scene.settle()
    scene.chain.reorg(1)
    scene.grow(1)
    scene.settle()
    scene.handle(reversed(scene.messages()))
    scene.assert_outcome()
    return documents


def _recorded(home: Path) -> CountedDocuments:
    """Record fees, learn from a receipt of our own wallet, and report."""
    scene, documents = _listening(fee_blocks=1000, wallets=[_WALLET])
    documents.put(MAPPINGS, transfer_hash("t"), {"transferId": "t"})
    sent = f"0x{1:064x}"
    log = {"address": CONTRACT, "topics": [TOPIC, transfer_hash("t")], "data": "0x", "transactionHash": sent}
    scene.chain.spent[sent] = Spent(CONTRACT, 50_000, 2 * 10**9)
    scene.chain.mine([log], gas_used=1_000_000)
    scene.settle()
    list(recorded_blocks(documents, 1))
    GasReport(documents, world_registry(home), scene.clock, chain_fees).report({})
    return documents


def _reorged() -> CountedDocuments:
    scene, documents = _listening(window=4)
    scene.grow(20)
    scene.settle()
    scene.chain.reorg(2)
    scene.grow(4)
    scene.settle()
    # A contract that comes later, deployed below what is certified, is read from its own first block on.
    scene.registry = registry(*[spec.address for spec in scene.registry.contracts], "0x" + "d1" * 20)
    scene.clock.advance(60)
    scene.settle(scene.listener(owner="two"))
    return documents


def _sites() -> set[tuple[str, str]]:
    """Return every function that asks a document store for more than keys, by file."""
    found = set()
    for file in sorted((ROOT / "shared").rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        if path.startswith(_ONLY_THE_LAPTOP) or path in (
            "shared/adapters/firestore.py",
            "shared/ports/documents.py",
        ):
            continue
        found |= {(path, name) for name in _asking(ast.parse(file.read_text("utf-8")), "")}
    return found


def _asking(node: ast.AST, within: str) -> Iterator[str]:
    """Yield the innermost function around each question, as a frame is named."""
    if isinstance(node, ast.FunctionDef):
        within = node.name
    if _asks(node):
        yield within
    for child in ast.iter_child_nodes(node):
        yield from _asking(child, within)


def _asks(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("query", "count")
        and ast.unparse(node.func.value).endswith("documents")
    )


def test_every_query_of_the_code_was_made(documents: CountedDocuments) -> None:
    """No place that asks the store is left out of what follows: a new one has to be added to the scenes."""
    assert sorted(_sites() - documents.sites) == []


def test_every_composite_index_that_a_query_needs_is_declared_and_no_other(
    documents: CountedDocuments, plan: Plan
) -> None:
    """Terraform has an index for each query of more than one field, in its order and direction."""
    declared = set()
    for index in plan.all("google_firestore_index").values():
        fields = [(field["field_path"], field["order"]) for field in index["fields"]]
        declared.add((index["collection"], *fields))
    needed = {shape for shape in documents.shapes if shape.is_composite}
    unserved = {shape for shape in needed if not any(_serves(index, shape) for index in declared)}
    assert unserved == set()
    assert {index for index in declared if not any(_serves(index, shape) for shape in needed)} == set()


def _serves(index: tuple[object, ...], shape: Shape) -> bool:
    collection, *fields = index
    names = [name for name, _ in fields]  # type: ignore[misc]
    ordered = [] if shape.order_by is None else [shape.order_by]
    if collection != shape.collection or set(names[: len(shape.equal)]) != shape.equal:
        return False
    if names[len(shape.equal) :] != ordered:
        return False
    return not ordered or fields[-1][1] == ("DESCENDING" if shape.descending else "ASCENDING")  # type: ignore[index]


def test_no_field_that_is_asked_for_alone_is_exempt(documents: CountedDocuments, plan: Plan) -> None:
    """What a query of one field needs is indexed, though the rest of the collection may not be."""
    settings = {
        (field["collection"], field["field"]): {
            index["order"] for each in field["index_config"] for index in each["indexes"]
        }
        for field in plan.all("google_firestore_field").values()
    }
    for shape in documents.shapes:
        alone = [*shape.equal, *([shape.order_by] if shape.order_by else [])]
        if shape.is_composite or not alone:
            continue
        parts = alone[0].split(".")
        paths = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
        found = [
            settings[shape.collection, path] for path in [*paths, "*"] if (shape.collection, path) in settings
        ]
        direction = "DESCENDING" if shape.descending else "ASCENDING"
        assert not found or direction in found[0], shape


def test_every_collection_is_known_to_terraform(documents: CountedDocuments, plan: Plan) -> None:
    """Plumbline's own have no indexes but those that are named; the rest is the application's, too."""
    own = {
        field["collection"] for field in plan.all("google_firestore_field").values() if field["field"] == "*"
    }
    touched = {collection for _, collection in documents.billed} | {
        FEE_HISTORY,
        TIP_SAMPLES,
        GAS_SAMPLES,
        PAID_SAMPLES,
    }
    assert touched - own == {EVENTS, STATES, MAPPINGS, "custodians"}


def test_what_grows_is_not_indexed(plan: Plan) -> None:
    """Maps and lists without a bound have no entries in any index."""
    exempt = {
        (field["collection"], field["field"])
        for field in plan.all("google_firestore_field").values()
        if not field["index_config"][0]["indexes"]
    }
    growing = {
        ("events", "data"),
        *(("rollover_states", name) for name in ("proofs", "verdicts", "milestones")),
    }
    own = (
        "chain_heads",
        "chain_cursors",
        "published_blocks",
        "reconciliation_reports",
        "reconciliation_cursors",
    )
    assert exempt >= growing | {(collection, "*") for collection in own}


def test_the_laptops_indexes_serve_the_same_queries(documents: CountedDocuments) -> None:
    """SQLite's own table has an index for each query of more than one field, too."""
    from shared.adapters.sqlite_collections import INDEXES, KEY  # noqa: PLC0415 - this one is of SQLite

    for shape in documents.shapes:
        if shape.collection not in INDEXES or shape.order_by is None:
            continue
        wanted = (*sorted(shape.equal), shape.order_by)
        indexes = [[field for field in fields if field != KEY] for fields in INDEXES[shape.collection]]
        known = [(*sorted(fields[: len(shape.equal)]), *fields[len(shape.equal) :]) for fields in indexes]
        assert wanted in known or shape.order_by == "rolloverId", shape


def test_the_watchers_order_is_an_event_field() -> None:
    """The laptop's watcher on Firestore orders events by the field that the sweeps order by."""
    assert STORED_AT == "audit.storedAt"
