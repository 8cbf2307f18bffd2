"""From a message of raw logs to events, each exactly once, and on to states; a poison log apart."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from shared.app.deadletters import RAW, Burial
from shared.app.event_log import Appended
from shared.app.log_batch import REMOVED, LogBatch
from shared.domain.events import Event, chain_event, external_events
from shared.domain.limits import TIME_LIMIT
from shared.domain.log_coordinates import log_coordinates, number_below
from shared.domain.metrics import (
    EVENTS_ALREADY_THERE,
    EVENTS_CONFLICTING,
    EVENTS_STORED,
    HANDLE_TIME,
    LEFT_TO_TRIGGERS,
    LOGS_IGNORED,
)
from shared.errors import InvalidInput, PlumblineError, UndecodableLog
from shared.logging import event_fields
from shared.ports import Alert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from shared.app.alerts import Alerts
    from shared.app.event_log import EventLog
    from shared.app.project_events import ProjectEvents
    from shared.app.settle_disputes import SettleDisputes
    from shared.domain.contract import Registry
    from shared.ports import Bus, Clock, Metrics, RawLog


_LOG: Final = logging.getLogger(__name__)
_NAMED: Final = 20
"""Events that an alert names; each has a line of the log."""
_TRANSFERS_A_TRANSACTION: Final = 50
"""Firestore takes 500 writes in one, and who waits for one of its documents waits for all of them."""


@dataclass(slots=True)
class Handled:
    """What became of a message; ``unprojected`` counts events whose projection is left to the trigger."""

    appended: Appended = field(default_factory=Appended)
    ignored: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    unprojected: int = 0
    chain_id: int | None = None

    def told(self) -> dict[str, Any]:
        """Return what a log line tells of it: of one event all there is to say, of more what they share."""
        events = self.appended.events
        blocks = [block for event in events if isinstance(block := event["data"].get("blockNumber"), int)]
        told: dict[str, Any] = {
            "stored": len(events),
            "alreadyThere": len(self.appended.already_there),
            "ignored": self.ignored,
            "dead": dict(self.dead),
            "unprojected": self.unprojected,
        }
        if self.chain_id is not None:
            told["chainId"] = self.chain_id
        if len(events) == 1:
            return {**told, **event_fields(events[0])}
        if blocks:
            told |= {"firstBlock": min(blocks), "lastBlock": max(blocks)}
        if events:
            told["rolloverIds"] = list(dict.fromkeys(event["rolloverId"] for event in events))[:_NAMED]
        return told


class HandleChainEvent:
    """Decodes the logs of a message, appends their events or the verdicts on them, and projects those.

    A transaction that none of the platform's ``wallets`` (lower-case; none: not looked at) sent gives an
    event of its own besides. Projecting a batch at once spares one trigger an event its work. The triggers
    still come, and are what it rests on: events that were there already, by a delivery that died after it
    stored them, are theirs.
    """

    def __init__(
        self,
        registry: Registry,
        event_log: EventLog,
        projection: ProjectEvents,
        bus: Bus,
        alerts: Alerts,
        disputes: SettleDisputes,
        clock: Clock,
        metrics: Metrics,
        *,
        wallets: AbstractSet[str] = frozenset(),
    ) -> None:
        self._registry = registry
        self._event_log = event_log
        self._projection = projection
        self._burial = Burial(bus, alerts, metrics)
        self._alerts = alerts
        self._disputes = disputes
        self._clock = clock
        self._metrics = metrics
        self._wallets = wallets

    def handle(self, data: bytes) -> Handled:
        """Handle one message.

        A log that cannot be understood goes to the dead letters with its cause, the rest of the batch is
        done. Retryable errors propagate: the platform delivers the whole message again.
        """
        begun_s = self._clock.monotonic_s()
        handled = Handled()
        try:
            batch = LogBatch.decode(data)
        except InvalidInput as error:
            self._burial.bury({RAW: data.decode("utf-8", "backslashreplace")}, error)
            self._burial.tell()
            handled.dead[error.code] += 1
            return handled
        handled.chain_id = batch.chain_id
        try:
            self._handle(batch, handled)
        finally:
            self._burial.tell()
        self._count(batch, handled)
        self._metrics.observe(HANDLE_TIME, self._clock.monotonic_s() - begun_s)
        return handled

    def _handle(self, batch: LogBatch, handled: Handled) -> None:
        appearing: list[Event] = []
        removed: list[Event] = []
        for log in batch.logs:
            try:
                event = self._event(batch, log)
            except PlumblineError as error:
                self._bury(batch, log, error, handled)
                continue
            if event is None:
                handled.ignored += 1
            else:
                (removed if batch.kind == REMOVED or log.get("removed") else appearing).append(event)
        senders = batch.transactions_from() if self._wallets else {}
        appearing += external_events(appearing, senders, self._wallets)
        removed += external_events(removed, senders, self._wallets)
        if appearing:
            handled.appended.add(
                self._event_log.append_chain(
                    batch.chain_id, appearing, batch.reorg_counter, returned=batch.returned
                )
            )
        if removed:
            reason = "a reorg took its block back"
            handled.appended.add(self._event_log.supersede(removed, batch.reorg_counter, reason))
        if appearing or batch.proved:
            handled.appended.add(self._disputes.settle(batch, appearing, handled.appended))
        self._project(handled)
        if handled.appended.conflicting:
            self._alarm(batch, handled.appended.conflicting)

    def _count(self, batch: LogBatch, handled: Handled) -> None:
        for name, amount in (
            (EVENTS_STORED, len(handled.appended.events)),
            (EVENTS_ALREADY_THERE, len(handled.appended.already_there)),
            (EVENTS_CONFLICTING, len(handled.appended.conflicting)),
            (LOGS_IGNORED, handled.ignored),
            (LEFT_TO_TRIGGERS, handled.unprojected),
        ):
            # A batch of which anything counts names a chain of the registry: labels stay few.
            if amount:
                self._metrics.count(name, amount, chain=str(batch.chain_id))

    def _project(self, handled: Handled) -> None:
        by_transfer: dict[str, list[Event]] = defaultdict(list)
        for event in handled.appended.events:
            by_transfer[event["rolloverId"]].append(event)
        transfers = list(by_transfer.values())
        for at in range(0, len(transfers), _TRANSFERS_A_TRANSACTION):
            part = [event for events in transfers[at : at + _TRANSFERS_A_TRANSACTION] for event in events]
            try:
                self._projection.project(part, sealed_here=True)
            except PlumblineError as error:
                # The events are stored, so the message is done: their triggers try again, or bury them.
                handled.unprojected = sum(len(events) for events in transfers[at:])
                _LOG.warning("%s events are left to their triggers: %s", handled.unprojected, error)
                return

    def _event(self, batch: LogBatch, log: Any) -> Event | None:
        if not isinstance(log, dict):
            raise UndecodableLog(f"log is not an object: {log!r}")
        coordinates = log_coordinates(batch.chain_id, log)
        spec = self._registry.find(batch.chain_id, coordinates["contract"])
        if spec is None:
            raise UndecodableLog(
                f"no contract {coordinates['contract']} on chain {batch.chain_id} in the registry"
            )
        decoded = spec.decode(log)
        if decoded is None:
            return None
        return chain_event(spec, decoded, coordinates, _timestamp(batch, log, coordinates["blockHash"]))

    def _bury(self, batch: LogBatch, log: Any, error: PlumblineError, handled: Handled) -> None:
        if error.retryable:
            raise error
        at = log if isinstance(log, dict) else {}
        named = ("blockNumber", "transactionHash", "logIndex", "address")
        fields = {"chainId": batch.chain_id, "cause": error.code, **{name: at.get(name) for name in named}}
        _LOG.error("log not understood: %s", error, extra={"fields": fields})
        one = replace(batch, logs=[log])
        self._burial.bury(one.as_dict(), error)
        handled.dead[error.code] += 1

    def _alarm(self, batch: LogBatch, identities: Sequence[str]) -> None:
        for identity in identities:
            _LOG.critical(
                "an event is stored with another content than its log has",
                extra={"fields": {"eventId": identity, "chainId": batch.chain_id}},
            )
        detail = {"chainId": batch.chain_id, "eventIds": list(identities[:_NAMED])}
        self._alerts.open(
            Alert("event_conflict", "critical", "An event disagrees with its log", detail, passing=True)
        )


def _timestamp(batch: LogBatch, log: RawLog, block_hash: str) -> int:
    known = batch.timestamps.get(block_hash, log.get("blockTimestamp"))
    if known is None:
        raise UndecodableLog(f"no timestamp for block {block_hash}: neither in the message nor in the log")
    return number_below(TIME_LIMIT, known, "timestamp")
