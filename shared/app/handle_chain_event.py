"""From a message of raw logs to events: each log exactly once, a poison log apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.app.deadletters import dead_letter
from shared.app.event_log import Appended
from shared.domain.events import (
    SAFE_INTEGER,
    TIME_LIMIT,
    Event,
    chain_event,
    log_coordinates,
    number_below,
)
from shared.errors import CorruptEvent, InvalidInput, PlumblineError, UndecodableLog
from shared.ports import Alert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.app.event_log import EventLog
    from shared.domain.contract import Registry
    from shared.ports import AlertSink, Bus, RawLog

LOGS: Final = "logs"
REMOVED: Final = "removed"


@dataclass(frozen=True, slots=True)
class LogBatch:
    """A message on ``chain-logs``: raw logs of one chain that appeared, or that a reorg took back.

    ``reorg_counter`` is the chain's at the time of publishing; ``timestamps`` gives the time of each
    block by hash, in seconds since 1970; ``returned`` names blocks that were taken back at a lower counter
    and are canonical again. ``senders`` gives, by transaction hash, who sent it (``from``) and the lowest
    ``logIndex`` of our logs in it, where that is asked for.
    """

    kind: str
    chain_id: int
    reorg_counter: int
    logs: Sequence[RawLog]
    timestamps: Mapping[str, int] = field(default_factory=dict)
    returned: Sequence[str] = ()
    senders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return orjson.dumps(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the message's JSON."""
        return {
            "kind": self.kind,
            "chainId": self.chain_id,
            "reorgCounter": self.reorg_counter,
            "timestamps": dict(self.timestamps),
            "returned": list(self.returned),
            "senders": dict(self.senders),
            "logs": list(self.logs),
        }

    @classmethod
    def decode(cls, data: bytes) -> LogBatch:
        """Read a message; InvalidInput names the field that is wrong."""
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"message is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InvalidInput("message is not a JSON object")
        for name, kind in (("chainId", int), ("reorgCounter", int), ("timestamps", dict), ("logs", list)):
            if not isinstance(value.get(name), kind) or isinstance(value[name], bool):
                raise InvalidInput(f"message field {name} is missing or not a {kind.__name__}")
        for name in ("chainId", "reorgCounter"):
            if not 0 <= value[name] < SAFE_INTEGER:
                raise InvalidInput(f"message field {name} is out of range: {value[name]}")
        if value.get("kind") not in (LOGS, REMOVED):
            raise InvalidInput(f"message field kind is neither {LOGS} nor {REMOVED}: {value.get('kind')!r}")
        returned = value.get("returned", [])
        if not isinstance(returned, list) or not all(isinstance(key, str) for key in returned):
            raise InvalidInput("message field returned is not a list of block hashes")
        senders = value.get("senders", {})
        if not isinstance(senders, dict) or not all(isinstance(each, dict) for each in senders.values()):
            raise InvalidInput("message field senders is not an object of objects")
        return cls(
            kind=value["kind"],
            chain_id=value["chainId"],
            reorg_counter=value["reorgCounter"],
            logs=value["logs"],
            timestamps=value["timestamps"],
            returned=returned,
            senders=senders,
        )


@dataclass(slots=True)
class Handled:
    """What became of a message."""

    appended: Appended = field(default_factory=Appended)
    ignored: int = 0
    dead: Counter[str] = field(default_factory=Counter)


class HandleChainEvent:
    """Decodes the logs of a message and appends their events, or the verdicts on them."""

    def __init__(self, registry: Registry, event_log: EventLog, bus: Bus, alerts: AlertSink) -> None:
        self._registry = registry
        self._event_log = event_log
        self._bus = bus
        self._alerts = alerts

    def handle(self, data: bytes) -> Handled:
        """Handle one message.

        A log that cannot be understood goes to the dead letters with its cause, the rest of the batch is
        done. Retryable errors propagate: the platform delivers the whole message again.
        """
        handled = Handled()
        try:
            batch = LogBatch.decode(data)
        except InvalidInput as error:
            dead_letter(self._bus, {"raw": data.decode("utf-8", "backslashreplace")}, error)
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
        return handled

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
        one = LogBatch(
            batch.kind, batch.chain_id, batch.reorg_counter, [log], batch.timestamps, batch.returned
        )
        dead_letter(self._bus, one.as_dict(), error)
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
