"""From messages to events: each log once, the same however it comes, the rest of a batch done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.app.event_log import MAPPINGS, EventLog
from shared.app.handle_chain_event import HandleChainEvent
from shared.app.log_batch import LOGS, REMOVED, LogBatch
from shared.app.project_events import ProjectEvents
from shared.app.reconcile import Reconcile
from shared.app.reconcile_settings import ReconcileSettings
from shared.app.settle_disputes import SettleDisputes
from shared.domain.events import CHAIN_TYPES, EVENTS, is_ours
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.errors import InvalidInput
from shared.ports import Query
from tests.support.bus import MemoryBus
from tests.support.documents import MemoryDocuments
from tests.support.metrics import MemoryMetrics
from tests.support.world import LEVEL_2, LEVEL_3, Alerts, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from shared.app.handle_chain_event import Handled
    from shared.ports import Document, RawLog, Transaction

_LIVES = {"level 3": LEVEL_3, "level 2": LEVEL_2}


class Database:
    """A store of its own beside a world's chain, with the use cases over it."""

    def __init__(self, world: World, transfers: Iterable[str]) -> None:
        self._world = world
        self.documents = MemoryDocuments()
        self.alerts = Alerts()
        log = EventLog(self.documents, world.clock, "handle_chain_event")
        metrics = MemoryMetrics()
        self.projection = ProjectEvents(self.documents, world.clock, metrics)
        bus = MemoryBus(clock=world.clock)
        disputes = SettleDisputes(self.documents, log, self.alerts, metrics)
        self.handler = HandleChainEvent(
            world.registry, log, self.projection, bus, self.alerts, disputes, world.clock, metrics
        )
        for transfer_id in transfers:
            event = {
                "eventId": f"started-{transfer_id}",
                "eventType": "rollover.started",
                "rolloverId": transfer_id,
                "timestamp": "2023-11-14T22:00:00Z",
                "sourceCustodianId": "alpha",
                "destinationCustodianId": "beta",
                "data": {},
            }
            log.append(event)
            self.projection.project([event])
            self.documents.put(MAPPINGS, transfer_hash(transfer_id), {"transferId": transfer_id})

    def handle(self, message: LogBatch) -> Handled:
        """Handle a message, all of it; the triggers of what it stored find nothing to do."""
        handled = self.handler.handle(message.encode())
        assert not handled.dead
        assert not handled.unprojected
        stored = self.documents.get_many(EVENTS, handled.appended.stored)
        writes = self.documents.writes
        assert not self.projection.catch_up(list(stored.values()))
        assert self.documents.writes == writes
        return handled

    def reconcile(self) -> Document:
        """Reconcile as a person would."""
        world = self._world
        log = EventLog(self.documents, world.clock, "reconcile")
        return Reconcile(
            self.documents, {1: world.chain}, world.registry, log, self.projection, world.clock, world.watch,
            ReconcileSettings(),
        ).run(manual=True)  # fmt: skip

    def chain_events(self) -> dict[str, str]:
        """Return what each event of a log proves, by id."""
        return {
            key: event["audit"]["eventHash"]
            for key, event in self.documents.query(EVENTS, Query())
            if event["eventType"] in CHAIN_TYPES and is_ours(event)
        }

    def content(self) -> tuple[dict[str, Document], dict[str, Document]]:
        """Return all events and all states."""
        return dict(self.documents.query(EVENTS, Query())), self.states()

    def states(self) -> dict[str, Document]:
        """Return all states."""
        return dict(self.documents.query(STATES, Query()))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make a world with its own chain for each example."""
    directory = tmp_path_factory.mktemp("worlds")
    return lambda: World(directory)


_LENGTHS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.tuples(st.sampled_from(sorted(_LIVES)), st.integers(1, 5)),
    min_size=1,
)


def lived(world: World, lives: dict[str, tuple[str, int]]) -> list[RawLog]:
    """Take each life as many transactions far as asked, by turns; return all logs in order."""
    logs = []
    for turn in range(5):
        for transfer_id, (level, length) in lives.items():
            if turn < min(length, len(_LIVES[level])):
                logs += world.act(transfer_id, *_LIVES[level][turn], sees=False)
    return logs


def cut(logs: Sequence[RawLog], size: int) -> list[Sequence[RawLog]]:
    """Return the logs in messages of this size."""
    return [logs[at : at + size] for at in range(0, len(logs), size)]


@settings(max_examples=500)
@given(lives=_LENGTHS, size=st.integers(1, 9))
def test_live_back_fill_and_reconciliation_write_the_same_events(
    worlds: Any, lives: dict[str, tuple[str, int]], size: int
) -> None:
    """Id and content are equal whoever writes, the states too; one after the other adds nothing."""
    world = worlds()
    logs = lived(world, lives)
    times = {str(log["blockHash"]): int(str(log["blockTimestamp"]), 16) for log in logs}
    live, filled, reconciled = (Database(world, lives) for _ in range(3))
    for log in logs:
        live.handle(LogBatch(LOGS, 1, 0, [log]))
    bare = [{name: value for name, value in log.items() if name != "blockTimestamp"} for log in logs]
    for part in cut(bare, size):
        filled.handle(LogBatch(LOGS, 1, 0, part, times))
    reconciled.reconcile()
    assert live.chain_events() == filled.chain_events() == reconciled.chain_events()
    assert len(live.chain_events()) == len(logs)
    assert live.states() == filled.states() == reconciled.states()
    assert not reconciled.handle(LogBatch(LOGS, 1, 0, logs)).appended.stored
    assert not live.reconcile()["createdCount"]


@st.composite
def scripts(draw: st.DrawFn) -> tuple[dict[str, tuple[str, int]], int, int, bool, Any]:
    """Draw lives, a message size, how many logs a reorg takes back, whether they return, and a shuffle."""
    return (
        draw(_LENGTHS), draw(st.integers(1, 4)), draw(st.integers(0, 6)), draw(st.booleans()),
        draw(st.randoms(use_true_random=False)),
    )  # fmt: skip


@settings(max_examples=500)
@given(script=scripts())
def test_any_order_and_repetition_of_messages_gives_the_same(worlds: Any, script: Any) -> None:
    """Removals before their logs, returns before removals, everything twice: events and states are equal."""
    lives, size, gone, returns, chance = script
    world = worlds()
    logs = lived(world, lives)
    taken = logs[len(logs) - min(gone, len(logs)) :]
    messages = [LogBatch(LOGS, 1, 0, part) for part in cut(logs, size)]
    messages += [LogBatch(REMOVED, 1, 1, part) for part in cut(taken, size)]
    if returns:
        blocks = [str(log["blockHash"]) for log in taken]
        messages += [LogBatch(LOGS, 1, 2, part, returned=blocks) for part in cut(taken, size)]
    mapped = [name for name in lives if name != "c"]
    ordered, shuffled = Database(world, mapped), Database(world, mapped)
    for message in messages:
        ordered.handle(message)
    again = messages + chance.choices(messages, k=3)
    chance.shuffle(again)
    for message in again:
        shuffled.handle(message)
    assert shuffled.content() == ordered.content()
    assert not shuffled.projection.rebuild_all(check_only=True).different
    proved = {step for state in ordered.states().values() for step in state["milestones"]}
    if taken and len(taken) == len(logs):
        assert bool(proved - {"started"}) == returns


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world with one transfer that was started."""
    made = World(tmp_path)
    made.start("a")
    return made


def test_what_became_of_a_message_is_told(world: World) -> None:
    """Stored, there already, passed over and dead are counted apart."""
    agreed = world.act("a", "agree_send", sees=False)
    poison = {**agreed[0], "logIndex": "0x20000000000000"}
    handled = world.handler.handle(LogBatch(LOGS, 1, 0, [*agreed, poison]).encode())
    assert (len(handled.appended.stored), handled.dead) == (1, {"undecodable_log": 1})
    again = world.handler.handle(LogBatch(LOGS, 1, 0, agreed).encode())
    assert (again.appended.stored, len(again.appended.already_there)) == ([], 1)


def test_a_log_marked_removed_takes_back_amid_others(world: World) -> None:
    """A node may mark single logs of a message as removed: those are verdicts, the others events."""
    gone = world.act("a", "agree_send")
    stays = world.act("a", "agree_receive", sees=False)
    world.handler.handle(LogBatch(LOGS, 1, 1, [{**gone[0], "removed": True}, *stays]).encode())
    world.projection.rebuild("a")
    state = world.state("a")
    assert state
    assert set(state["milestones"]) == {"started", "agree_receive"}


def test_a_stored_event_that_disagrees_with_its_log_alarms(world: World) -> None:
    """The alarm names the event; nothing is overwritten, and the message does not come again."""
    [log] = world.act("a", "agree_send")
    event = next(e for e in world.events("a") if e["eventType"] == "blockchain.v5.agreement")
    forged = {**event, "audit": {**event["audit"], "eventHash": "00"}}
    world.documents.put(EVENTS, event["eventId"], forged)
    handled = world.handler.handle(LogBatch(LOGS, 1, 0, [log]).encode())
    assert handled.appended.conflicting == [event["eventId"]]
    [alert] = world.alerts.sent
    assert (alert.severity, alert.detail) == (
        "critical",
        {"chainId": 1, "eventIds": [event["eventId"]]},
    )
    assert world.documents.get(EVENTS, event["eventId"]) == forged


def test_a_projection_that_fails_does_not_fail_the_message(world: World) -> None:
    """The events are stored, what is left to the triggers is counted, and a trigger makes it good."""
    world.no_projecting()
    logs = world.act("a", "agree_send", sees=False)
    handled = world.handler.handle(LogBatch(LOGS, 1, 0, logs).encode())
    world.documents.fail_at = None  # type: ignore[attr-defined]
    assert (len(handled.appended.stored), handled.unprojected) == (1, 1)
    again = world.handler.handle(LogBatch(LOGS, 1, 0, logs).encode())
    assert (again.unprojected, _milestones(world)) == (0, {"started"})
    world.projection.catch_up(list(world.documents.get_many(EVENTS, handled.appended.stored).values()))
    assert _milestones(world) == {"started", "agree_send"}


class _CountedTransactions(MemoryDocuments):
    """Notes how many documents each transaction wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def transaction(self, work: Callable[[Transaction], Any]) -> Any:
        """Carry it out and count."""
        before = self.writes
        result = super().transaction(work)
        self.sizes.append(self.writes - before)
        return result


def test_no_transaction_holds_more_than_fifty_transfers(tmp_path: Path) -> None:
    """However many a message tells of: each is projected, and a hot one holds up few."""
    documents = _CountedTransactions()
    world = World(tmp_path, documents)
    logs = [log for number in range(120) for log in world.act(f"t{number}", "agree_send", sees=False)]
    assert not world.handler.handle(LogBatch(LOGS, 1, 0, logs).encode()).unprojected
    assert documents.sizes == [50, 50, 20]


def _milestones(world: World) -> set[str]:
    state = world.state("a")
    assert state
    return set(state["milestones"])


def test_a_message_survives_its_bytes() -> None:
    """Encoding and decoding give the same message."""
    batch = LogBatch(REMOVED, 5, 7, [{"logIndex": "0x0"}], {"0xab": 9}, ["0xcd"], proved=["1:0:0xab:0"])
    assert LogBatch.decode(batch.encode()) == batch


@pytest.mark.parametrize("field", ["kind", "chainId", "reorgCounter", "timestamps", "logs"])
def test_a_message_without_a_field_is_refused_by_name(field: str) -> None:
    """Every field but ``returned`` must be there."""
    message = LogBatch(LOGS, 1, 0, []).as_dict()
    del message[field]
    with pytest.raises(InvalidInput, match=field):
        LogBatch.decode(orjson.dumps(message))


def test_a_message_without_returned_blocks_is_read() -> None:
    """That field came later: without it no block returned."""
    message = LogBatch(LOGS, 1, 0, []).as_dict()
    del message["returned"]
    assert LogBatch.decode(orjson.dumps(message)).returned == []
