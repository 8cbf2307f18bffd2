"""What the benchmarks share: a filled chain, Plumbline's parts on SQLite, and the plain loops to beat."""

from __future__ import annotations

import gc
import resource
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shared.adapters.ethereum import EthereumChain
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.adapters.local_bus import LocalBus
from shared.adapters.no_metrics import NoMetrics
from shared.adapters.sqlite import SqliteDocuments
from shared.adapters.system_clock import SystemClock
from shared.app.event_log import MAPPINGS, EventLog
from shared.app.follow_chain import FollowChain, FollowSettings
from shared.app.handle_chain_event import HandleChainEvent
from shared.app.project_events import ProjectEvents
from shared.app.reconcile import Reconcile
from shared.app.reconcile_settings import ReconcileSettings
from shared.app.settle_disputes import SettleDisputes
from shared.app.watch import Watch
from shared.bootstrap import OBJECTS_BETWEEN_COLLECTIONS
from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.local.anvil import Anvil
from shared.local.escrow import bulk
from tests.support.chain import deploy_escrow
from tests.support.world import Alerts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.local.escrow.client import EscrowClient

SUBSCRIPTION = "handle-chain-event"


class Rig:
    """Plumbline's own parts on one SQLite file, over a chain that holds an escrow."""

    def __init__(self, directory: Path, rpc_url: str, address: str) -> None:
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)  # as every function does
        directory.mkdir(parents=True, exist_ok=True)
        file = write_contract_file(directory / "contracts", 31337, address, 1, Finality(depth=0))
        self.path = directory / "store.sqlite"
        self.registry = load_registry(file)
        self.clock = SystemClock()
        self.documents = SqliteDocuments(self.path)
        self.bus = LocalBus(self.path)
        self.chain = EthereumChain(31337, [JsonRpcEndpoint(rpc_url)])
        self.alerts = Alerts()
        self.metrics = NoMetrics()
        self.projection = ProjectEvents(self.documents, self.clock, self.metrics)
        log = EventLog(self.documents, self.clock, "handle_chain_event")
        disputes = SettleDisputes(self.documents, log, self.alerts, self.metrics)
        self.handler = HandleChainEvent(
            self.registry, log, self.projection, self.bus, self.alerts, disputes, self.clock, self.metrics
        )
        self.log = log

    def map(self, transfer_ids: list[str]) -> None:
        """Start and map transfers, as the application would."""
        self.documents.create_many(MAPPINGS, {transfer_hash(t): {"transferId": t} for t in transfer_ids})
        self.start(transfer_ids)

    def start(self, transfer_ids: list[str]) -> None:
        """Start transfers without mapping them."""
        started = {
            f"started-{t}": {
                "eventId": f"started-{t}", "eventType": "rollover.started", "rolloverId": t,
                "timestamp": "2026-01-01T00:00:00Z", "sourceCustodianId": "alpha",
                "destinationCustodianId": "beta", "participants": ["alpha", "beta"], "data": {},
                "audit": {"storedAt": "2026-01-01T00:00:00+00:00"},
            }
            for t in transfer_ids
        }  # fmt: skip
        self.documents.create_many(EVENTS, started)
        events = list(started.values())
        for at in range(0, len(events), 500):
            self.projection.project(events[at : at + 500])

    def listen(self) -> int:
        """Read the whole chain into the bus; return the number of logs published."""
        follow = FollowChain(
            self.chain, self.documents, self.bus, self.registry, self.clock, FollowSettings(max_range=50),
            metrics=self.metrics,
        )  # fmt: skip
        published = 0
        while True:
            progress = follow.step()
            published += progress.published
            if not progress.more:
                return published

    def handle(self) -> int:
        """Handle everything on the bus; return the number of events stored, and projected."""
        stored = 0
        while deliveries := self.bus.pull(SUBSCRIPTION, 10):
            for delivery in deliveries:
                handled = self.handler.handle(delivery.message.data)
                stored += len(handled.appended.stored) - handled.unprojected
            self.bus.ack(SUBSCRIPTION, [delivery.ack_id for delivery in deliveries])
        return stored

    def reconciler(self, settings: ReconcileSettings | None = None) -> Reconcile:
        """Return a reconciler."""
        watch = Watch(self.documents, self.alerts, self.metrics, self.clock, None, mismatches=5)
        return Reconcile(
            self.documents, {31337: self.chain}, self.registry,
            EventLog(self.documents, self.clock, "reconcile"), self.projection, self.clock, watch,
            settings or ReconcileSettings(),
        )  # fmt: skip


@contextmanager
def filled_chain(calls: list[bytes], per_block: int) -> Iterator[tuple[Anvil, EscrowClient, int]]:
    """Give a chain whose escrow has taken these calls, and the number of logs that they left."""
    with Anvil(extra=(*bulk.NODE_OPTIONS, "--prune-history", "1000")) as anvil:
        escrow = deploy_escrow(anvil)
        written = bulk.send_many(escrow, calls, per_block)
        yield anvil, escrow, written.logs


@contextmanager
def stopwatch(label: str, count: int, unit: str) -> Iterator[list[float]]:
    """Print how long it took and the rate; the list given out then holds the rate per second."""
    rate: list[float] = []
    begun = time.perf_counter()
    yield rate
    took = time.perf_counter() - begun
    rate.append(count / took)
    print(f"{label:<46} {took:8.2f} s {count / took:12,.0f} {unit}/s", flush=True)  # noqa: T201 - its output


def peak_mb() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peaks_mb(root: int) -> list[tuple[str, float]]:
    """Return what each process below ``root`` does, and the most memory that it has had, in MB."""
    parents, found = {root}, []
    for place in sorted(Path("/proc").glob("[0-9]*"), key=lambda place: int(place.name)):
        try:
            fields = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
            command = (place / "cmdline").read_text().split("\0")
        except OSError:
            continue  # it has just ended
        if int(fields["PPid"]) in parents and "VmHWM" in fields:
            parents.add(int(place.name))
            name = next((word.rpartition(".")[2] for word in command if word.startswith("shared.")), "worker")
            found.append((name, int(fields["VmHWM"].split()[0]) / 1024))
    return found
