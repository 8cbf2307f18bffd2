"""A chain, a store, a bus and listeners on them that can be killed between any two writes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.app.event_log import EventLog
from shared.app.fee_store import FeeStore
from shared.app.follow_chain import FollowChain, FollowSettings
from shared.app.handle_chain_event import HandleChainEvent
from shared.app.log_batch import REMOVED, LogBatch
from shared.app.project_events import ProjectEvents
from shared.app.receipt_samples import ReceiptSamples
from shared.app.record_fees import RecordFees
from shared.app.settle_disputes import SettleDisputes
from shared.domain.contract import DecodedLog, Finality, Registry
from shared.domain.events import CHAIN_TYPES, EVENTS, REINSTATED, SUPERSEDED
from shared.domain.log_coordinates import id_of_log
from shared.domain.state import is_superseded
from shared.domain.topics import CHAIN_LOGS
from shared.ports import Query
from tests.support.bus import MemoryBus
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.fake_chain import FakeChain
from tests.support.metrics import MemoryMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shared.app.follow_settings import Progress
    from shared.domain.blocks import Header
    from shared.ports import Alert, Document, Message, Reading, Transaction

CONTRACT = "0x" + "c0" * 20
TOPIC = "0x" + "7a" * 32


class Killed(BaseException):
    """The process is gone."""


def _die() -> None:
    raise Killed


@dataclass
class Fuse:
    """Burns at the write number ``at`` (from 1): then ``happens``, which is to be killed unless said.

    ``made`` says whether that write takes effect before it (after it, it does if ``happens`` returns).
    """

    at: int | None = None
    made: bool = False
    happens: Callable[[], None] = _die
    writes: int = 0

    def write(self, work: Callable[[], Any]) -> Any:
        """Count a write and do it, and at the right one let happen what is to happen."""
        self.writes += 1
        if self.writes != self.at:
            return work()
        if not self.made:
            self.happens()
            return work()
        done = work()
        self.happens()
        return done


class FusedDocuments:
    """Documents over a store, whose writes burn the fuse."""

    def __init__(self, store: MemoryDocuments, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse
        self.get, self.get_many, self.query = store.get, store.get_many, store.query

    def put(self, collection: str, key: str, document: Document) -> None:
        """Put, unless killed."""
        self._fuse.write(lambda: self._store.put(collection, key, document))

    def delete(self, collection: str, key: str) -> None:
        """Delete, unless killed."""
        self._fuse.write(lambda: self._store.delete(collection, key))

    def transaction(self, work: Callable[[Transaction], Any]) -> Any:
        """Run the work, unless killed."""
        return self._fuse.write(lambda: self._store.transaction(work))


class FusedBus:
    """A bus over another, on which each message is a write: a kill may come amid a publish."""

    def __init__(self, bus: MemoryBus, fuse: Fuse) -> None:
        self._bus = bus
        self._fuse = fuse

    def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
        """Publish one by one, unless killed."""
        return [
            key
            for message in messages
            for key in self._fuse.write(lambda message=message: self._bus.publish(topic, [message]))
        ]


class TroubledChain(FakeChain):
    """A fake chain that something happens to before the n-th request from now.

    ``before_block(header)`` is called before each block that is read by itself.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.before_block: Callable[[Header], None] = lambda _: None
        self._happens: tuple[int, Callable[[], None]] | None = None

    def before_request(self, number: int, happens: Callable[[], None]) -> None:
        """Let something happen before the request with this number, counted from 1 (0: never mind)."""
        self._happens = (number, happens)

    def _read_block(self, header: Header, addresses: Sequence[str]) -> Reading:
        self.before_block(header)
        return super()._read_block(header, addresses)

    def _asked(self, requests: int = 1, *, proved: bool = True) -> Any:
        if self._happens is not None:
            number, happens = self._happens
            self._happens = (number - 1, happens) if number > 1 else None
            if number == 1:
                happens()
        return super()._asked(requests, proved=proved)


@dataclass(frozen=True)
class _Spec:
    chain_id: int = 1
    address: str = CONTRACT
    deployment_block: int = 1
    finality: Finality = field(default_factory=lambda: Finality(tag="finalized"))

    def decode(self, log: Mapping[str, Any]) -> DecodedLog:
        return DecodedLog("executed", log["topics"][1], {})


def registry(*addresses: str, deployment_block: int = 1, chain_id: int = 1) -> Registry:
    """Return a registry of contracts whose every log means the same step."""
    specs: Any = [_Spec(chain_id, each, deployment_block) for each in addresses]
    return Registry(specs)


class NoAlerts:
    """Alerts of which none may be raised."""

    def open(self, alert: Alert) -> None:
        """Fail the test."""
        raise AssertionError(alert)


def log(number: int, contract: str = CONTRACT) -> dict[str, Any]:
    """Return a log for ``FakeChain.mine``, about the transfer with this number."""
    return {"address": contract, "topics": [TOPIC, f"0x{number:064x}"], "data": "0x"}


@dataclass
class Outcome:
    """What the handler made of the messages: ids of logs that count, and that were taken back.

    ``told``: what those that count say, their transfer's hash by id.
    """

    live: set[str]
    superseded: set[str]
    told: dict[str, str]


class Scene:
    """Everything that one listener's test needs."""

    def __init__(
        self,
        contracts: Registry | None = None,
        *,
        fee_blocks: int = 0,
        wallets: Iterable[str] = (),
        finalized_depth: int | None = None,
        **settings: Any,
    ) -> None:
        self.fee_blocks = fee_blocks
        self.wallets = list(wallets)
        self.settings = FollowSettings(
            **{"window": 64, "tags_s": 0.0, "with_senders": bool(wallets), **settings}
        )
        self.registry = contracts or registry(CONTRACT)
        self.clock = FakeClock()
        self.chain = TroubledChain(
            finalized_depth=self.settings.window if finalized_depth is None else finalized_depth
        )
        self.store = MemoryDocuments()
        self.bus = MemoryBus(self.clock)
        self.metrics = MemoryMetrics()
        self.alerts: Any = NoAlerts()
        self.follow = self.listener()

    def listener(self, fuse: Fuse | None = None, owner: str = "one") -> FollowChain:
        """Return a new listener, as after a restart."""
        fuse = fuse or Fuse()
        documents: Any = FusedDocuments(self.store, fuse)
        bus: Any = FusedBus(self.bus, fuse)
        for spec in self.registry.on_chain(1):
            self.chain._code.setdefault(spec.address, 0)
        return FollowChain(
            self.chain, documents, bus, self.registry, self.clock, self.settings,
            metrics=self.metrics, owner=owner, random=lambda: 1.0, fees=self.recorder(documents),
        )  # fmt: skip

    def recorder(self, documents: Any) -> RecordFees | None:
        """Return what records fees beside the listener, at once and not in the background; None: nothing."""
        if not self.fee_blocks:
            return None
        return RecordFees(
            self.chain, FeeStore(documents, 1, self.fee_blocks),
            ReceiptSamples(documents, self.registry, 1, frozenset(self.wallets)),
            self.clock, self.metrics, kept=self.fee_blocks, background=lambda work: work(),
        )  # fmt: skip

    def settle(self, follow: FollowChain | None = None, most_steps: int = 500) -> list[Progress]:
        """Step until there is nothing to do at once."""
        follow = follow or self.follow
        steps: list[Progress] = []
        while not steps or steps[-1].more:
            steps.append(follow.step())
            assert len(steps) < most_steps, "no end of it"
        return steps

    def grow(self, blocks: int, logs: int = 1) -> Header:
        """Mine blocks with so many logs each."""
        for _ in range(blocks):
            at = len(self.chain.blocks)
            self.chain.mine([log(at * 10 + i) for i in range(logs)])
        return self.chain.blocks[-1].header

    def cursor(self) -> Document:
        """Return the stored cursor."""
        return self.store.get("chain_cursors", "1") or {}

    def messages(self) -> list[Message]:
        """Return what was published to the topic of logs, in order."""
        return [message for topic, message in self.bus.published if topic == CHAIN_LOGS]

    def kept_blocks(self) -> int:
        """Return how many published blocks are kept in case of a reorg."""
        return self.store.count("published_blocks")

    def logs(self, *, removed: bool = False) -> list[str]:
        """Return the event ids of every log published (or taken back), in order, with repetitions."""
        batches = [LogBatch.decode(message.data) for message in self.messages()]
        return [
            id_of_log(1, raw) for batch in batches if (batch.kind == REMOVED) == removed for raw in batch.logs
        ]

    def canonical(self) -> list[str]:
        """Return the event ids of the chain's logs as it stands."""
        return [id_of_log(1, raw) for block in self.chain.blocks for raw in block.logs]

    def handle(self, messages: Iterable[Message]) -> None:
        """Let the real handler have messages."""
        event_log = EventLog(self.store, self.clock, "test")
        projection = ProjectEvents(self.store, self.clock, self.metrics)
        handler = HandleChainEvent(
            self.registry,
            event_log,
            projection,
            self.bus,
            self.alerts,
            SettleDisputes(self.store, event_log, self.alerts, self.metrics),
            self.clock,
            self.metrics,
        )
        for message in messages:
            assert not handler.handle(message.data).dead

    def outcome(self) -> Outcome:
        """Return what the stored events amount to."""
        events = [event for _, event in self.store.query(EVENTS, Query())]
        verdicts: dict[str, Any] = {}
        for event in events:
            if event["eventType"] in (SUPERSEDED, REINSTATED):
                target = event["data"]["targetEventId"]
                verdict = [event["data"]["verdictSeq"], event["eventType"] == REINSTATED]
                known = verdicts.get(target, verdict)
                assert known[0] != verdict[0] or known == verdict, "two verdicts at one counter"
                verdicts[target] = max(verdict, known)
        stored = {event["eventId"]: event for event in events if event["eventType"] in CHAIN_TYPES}
        logs = {key: event["metadata"].get("originalEventId", key) for key, event in stored.items()}
        counting = {it: stored[key] for key, it in logs.items() if not is_superseded(verdicts, key)}
        told = {key: event["data"]["transferHash"] for key, event in counting.items()}
        return Outcome(set(told), set(logs.values()) - told.keys(), told)

    def assert_straight(self) -> None:
        """Handle all that was published, shuffled and doubled, and compare with the chain."""
        messages = self.messages() * 2
        random.Random(7).shuffle(messages)
        self.handle(messages)
        self.assert_outcome()

    def assert_outcome(self) -> None:
        """Compare what was handled with the chain."""
        outcome = self.outcome()
        assert outcome.live == set(self.canonical())
        assert not outcome.superseded & set(self.canonical())
        logs = {id_of_log(1, raw): raw for block in self.chain.blocks for raw in block.logs}
        assert outcome.told == {key: raw["topics"][1] for key, raw in logs.items()}
