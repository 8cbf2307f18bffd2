"""A small world for use-case tests: the escrow on a chain in memory, and Plumbline's use cases over fakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from eth_abi.abi import encode

from shared.app.event_log import MAPPINGS, EventLog
from shared.app.handle_chain_event import HandleChainEvent
from shared.app.log_batch import LOGS, REMOVED, LogBatch
from shared.app.project_events import ProjectEvents
from shared.app.reconcile import Reconcile
from shared.app.reconcile_report import is_straight
from shared.app.reconcile_settings import ReconcileSettings
from shared.app.settle_disputes import SettleDisputes
from shared.app.watch import Watch
from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality, Registry
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.errors import Conflict
from shared.ports import Alert, Call, RawLog, TransactionInfo
from tests.support.bus import MemoryBus
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.fake_chain import FakeChain
from tests.support.metrics import MemoryMetrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shared.app.listener_health import ListenerHealth
    from shared.domain.contract import ContractSpec
    from shared.ports import Document, Documents

ADDRESS = "0x" + "e5" * 20
SENDER, RECEIVER = "0x" + "aa" * 20, "0x" + "bb" * 20
_FINANCIAL = [1000, (400, 300, 200, 100, 1000, 2026), 10, 5]
_EVENTS: dict[str, tuple[str, list[str], list[Any]]] = {
    "agree_send": ("TransferAgreed", ["bool", "uint256"], [True, 1]),
    "agree_receive": ("TransferAgreed", ["bool", "uint256"], [False, 1]),
    "financial": (
        "FinancialDetailsProvided",
        ["uint256", "(uint256,uint256,uint256,uint256,uint256,uint16)", "uint256", "uint256"],
        _FINANCIAL,
    ),
    "executed": ("TransferExecuted", ["uint256", "uint256"], [1000, 1]),
    "minted": ("TokensMinted", ["uint256", "uint256"], [1000, 1]),
    "burned": ("TokensBurned", ["uint256", "uint256"], [1000, 1]),
    "settled": ("TransferCompleted", ["uint256"], [1]),
}
LEVEL_3 = [["agree_send"], ["agree_receive"], ["financial"], ["executed", "minted"], ["burned", "settled"]]
LEVEL_2 = [["agree_send"], ["agree_receive"], ["financial"], ["executed", "settled"]]
_REACHED = {
    "agree_send": 2,
    "agree_receive": 3,
    "financial": 4,
    "executed": 5,
    "minted": 6,
    "burned": 7,
    "settled": 8,
}


@dataclass
class Alerts:
    """Remembers what was raised, and of what it was said that it is over."""

    sent: list[Alert] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def open(self, alert: Alert) -> None:
        """Keep the alert."""
        self.sent.append(alert)

    def close(self, key: str) -> None:
        """Keep the key."""
        self.closed.append(key)

    def tend(self) -> None:
        """Do nothing."""

    def of(self, key: str) -> list[Alert]:
        """Return what was raised under this key."""
        return [alert for alert in self.sent if alert.key == key]


def registry(directory: Path, chain_id: int = 1, address: str = ADDRESS, depth: int = 0) -> Registry:
    """Return the registry of one escrow, final at ``depth`` blocks."""
    return load_registry(write_contract_file(directory, chain_id, address, 0, Finality(depth=depth)))


class World:
    """One escrow on a FakeChain, and the use cases over a document store (a new ``store`` unless given)."""

    store: ClassVar[Callable[[], Documents]] = MemoryDocuments

    def __init__(
        self, directory: Path, documents: Documents | None = None, settings: ReconcileSettings | None = None
    ) -> None:
        self.registry = registry(directory)
        self.spec: ContractSpec = self.registry.contracts[0]
        self.chain = FakeChain()
        self.chain.deploy(ADDRESS)
        self.chain.on_call = self._answer
        self.tokenised: set[str] = set()
        self.levels: dict[str, int] = {}
        self.documents = documents or type(self).store()
        self.clock = FakeClock()
        self.bus = MemoryBus(clock=self.clock)
        self.alerts = Alerts()
        self.metrics = MemoryMetrics()
        self.projection = ProjectEvents(self.documents, self.clock, self.metrics)
        self.log = EventLog(self.documents, self.clock, "handle_chain_event")
        self.settings = settings or ReconcileSettings()
        self.handler = self.new_handler()
        self.counter = 0
        self.listener_health: ListenerHealth | None = None

    def new_handler(self) -> HandleChainEvent:
        """Return a handler as a fresh instance of the function would have it."""
        return HandleChainEvent(
            self.registry, self.log, self.projection, self.bus, self.alerts,
            SettleDisputes(self.documents, self.log, self.alerts, self.metrics), self.clock, self.metrics,
            wallets=self.settings.platform_wallets,
        )  # fmt: skip

    @property
    def reconcile(self) -> Reconcile:
        """A reconciler as a fresh instance of the function would have it."""
        return Reconcile(
            self.documents, {1: self.chain}, self.registry, EventLog(self.documents, self.clock, "reconcile"),
            self.projection, self.clock, self.watch, self.settings,
        )  # fmt: skip

    @property
    def watch(self) -> Watch:
        """What tells operators of a reconciliation, and of the listeners where there is health of any."""
        return Watch(
            self.documents, self.alerts, self.metrics, self.clock, self.listener_health, mismatches=5
        )

    def run(self, **options: Any) -> Document:
        """Reconcile as a person would at the command line."""
        return self.reconcile.run(**{"manual": True, **options})

    def assert_straight(self) -> None:
        """Demand that a further run finds nothing, and that no state differs from its events."""
        again = self.run()
        assert is_straight(again), again
        assert not again["createdCount"]
        assert not self.projection.rebuild_all(check_only=True).different

    # The application.

    def start(self, transfer_id: str, *, mapped: bool = True) -> None:
        """Start a transfer as the application does: an event, and the mapping of its hash."""
        event = {
            "eventId": f"started-{transfer_id}",
            "eventType": "rollover.started",
            "rolloverId": transfer_id,
            "timestamp": "2023-11-14T22:00:00Z",
            "sourceCustodianId": "alpha",
            "destinationCustodianId": "beta",
            "participants": ["alpha", "beta"],
            "data": {},
        }
        self.log.append(event)
        self.projection.project([event])
        if mapped:
            self.documents.put(MAPPINGS, transfer_hash(transfer_id), {"transferId": transfer_id})

    # The chain.

    def act(self, transfer_id: str, *steps: str, sees: bool = True, calldata: bytes = b"") -> list[RawLog]:
        """Mine one transaction that takes these steps; the live path sees it unless told otherwise."""
        key = transfer_hash(transfer_id)
        if set(steps) & {"minted", "burned"}:
            self.tokenised.add(key)
        sent = "0x" + transfer_hash(f"{transfer_id}{steps}{len(self.chain.blocks)}")[2:]
        logs = [{**self._log(key, step), "transactionHash": sent} for step in steps]
        transaction = TransactionInfo(sent, SENDER, ADDRESS, calldata, None, None, ok=True)
        header = self.chain.mine(logs, [transaction])
        reached = _REACHED[steps[-1]]
        if steps == ("agree_receive",) and not self._agreed(key):
            reached = 1
        self.chain.set_state(header.number, ADDRESS, key, reached)
        raw = self.chain.logs(header.number, header.number, [ADDRESS])
        if sees:
            self.see(raw)
        return raw

    def no_projecting(self) -> None:
        """Let every write of a state fail, as a store does where others hold the document."""

        def contended(_operation: str, collection: str, key: str) -> None:
            if collection == STATES:
                raise Conflict(f"{collection}/{key} is contended")

        self.documents.fail_at = contended  # type: ignore[attr-defined]

    def live(self, transfer_id: str, transactions: list[list[str]], *, sees: bool = True) -> None:
        """Take a whole life, transaction by transaction."""
        for steps in transactions:
            self.act(transfer_id, *steps, sees=sees)

    def see(self, logs: list[RawLog], *, removed: bool = False) -> None:
        """Let the live path handle logs."""
        batch = LogBatch(REMOVED if removed else LOGS, 1, self.counter, logs)
        self.handler.handle(batch.encode())

    def _agreed(self, key: str) -> bool:
        return any(key in log["topics"] for block in self.chain.blocks[:-1] for log in block.logs)

    def _log(self, key: str, step: str) -> dict[str, Any]:
        name, types, values = _EVENTS[step]
        topic = next(topic for topic, rule in self.spec.rules.items() if rule.decoder.name == name)
        topics = [topic, key]
        if name == "TransferAgreed":
            topics.append("0x" + (SENDER if step == "agree_send" else RECEIVER)[2:].rjust(64, "0"))
        return {"address": ADDRESS, "topics": topics, "data": "0x" + encode(types, values).hex()}

    def _answer(self, call: Call, block_number: int) -> bytes:
        selector, argument = "0x" + call.data[:4].hex(), "0x" + call.data[4:36].hex()
        reads = self.spec.reads
        if reads.tokenised and selector == reads.tokenised.selector:
            return (argument in self.tokenised).to_bytes(32)
        if reads.level and selector == reads.level.selector:
            return self.levels.get("0x" + argument[26:], 0).to_bytes(32)
        return self.chain._state_of(call, block_number)

    # The database.

    def state(self, transfer_id: str) -> Document | None:
        """Return the projected state."""
        return self.documents.get(STATES, transfer_id)

    def events(self, transfer_id: str) -> list[Document]:
        """Return the stored events of a transfer."""
        return self.log.events_of(transfer_id)
