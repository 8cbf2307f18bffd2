"""From a message of raw logs to events, each exactly once, and on to states; a poison log apart."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from shared.app.event_log import Appended
from shared.app.log_batch import REMOVED, LogBatch
from shared.domain.events import (
    TIME_LIMIT,
    Event,
    chain_event,
    external_events,
    log_coordinates,
    number_below,
)
from shared.errors import CorruptEvent, InvalidInput, PlumblineError, UndecodableLog
from shared.ports import Alert

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from shared.app.event_log import EventLog
    from shared.app.project_events import ProjectEvents
    from shared.domain.contract import Registry
    from shared.ports import AlertSink, RawLog


_LOG: Final = logging.getLogger(__name__)
_TRANSFERS_A_TRANSACTION: Final = 50
"""Firestore takes 500 writes in one, and who waits for one of its documents waits for all of them."""


@dataclass(slots=True)
class Handled:
    """What became of a message; ``unprojected`` counts events whose projection is left to the trigger."""

    appended: Appended = field(default_factory=Appended)
    ignored: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    unprojected: int = 0


class HandleChainEvent:
    """Decodes the logs of a message, appends their events or the verdicts on them, and projects those.

    A transaction that none of the platform's ``wallets`` (lower-case; none: not looked at) sent gives an
    event of its own besides. ``bury`` makes a dead letter of a message that can never be handled (see
    ``dead_letter``). Projecting a batch at once spares one trigger an event its work. The triggers
    still come, and are what it rests on: events that were there already, by a delivery that died after it
    stored them, are theirs.
    """

    def __init__(
        self,
        registry: Registry,
        event_log: EventLog,
        projection: ProjectEvents,
        bury: Callable[[dict[str, Any], PlumblineError], object],
        alerts: AlertSink,
        *,
        wallets: AbstractSet[str] = frozenset(),
    ) -> None:
        self._registry = registry
        self._event_log = event_log
        self._projection = projection
        self._bury_payload = bury
        self._alerts = alerts
        self._wallets = wallets

    def handle(self, data: bytes) -> Handled:
        """Handle one message.

        A log that cannot be understood goes to the dead letters with its cause, the rest of the batch is
        done. Retryable errors propagate: the platform delivers the whole message again.
        """
        handled = Handled()
        try:
            batch = LogBatch.decode(data)
        except InvalidInput as error:
            self._bury_payload({"raw": data.decode("utf-8", "backslashreplace")}, error)
            handled.dead[error.code] += 1
            return handled
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
        for identity in handled.appended.conflicting:
            self._alarm(identity)
        self._project(handled)
        return handled

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
        one = replace(batch, logs=[log])
        self._bury_payload(one.as_dict(), error)
        handled.dead[error.code] += 1

    def _alarm(self, identity: str) -> None:
        error = CorruptEvent(f"event {identity} is stored with another content than its log has")
        self._alerts.send(
            Alert(
                f"{error.code}:{identity}",
                "critical",
                "An event disagrees with its log",
                {"eventId": identity},
            )
        )


def _timestamp(batch: LogBatch, log: RawLog, block_hash: str) -> int:
    known = batch.timestamps.get(block_hash, log.get("blockTimestamp"))
    if known is None:
        raise UndecodableLog(f"no timestamp for block {block_hash}: neither in the message nor in the log")
    return number_below(TIME_LIMIT, known, "timestamp")
