"""Reading: what is stored of a transfer and how final it is, and how the whole stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.app.chain_heads import CHAIN_HEADS
from shared.app.project_events import unreadable
from shared.app.reconcile_report import REPORTS
from shared.domain.events import EVENTS, REINSTATED, SUPERSEDED, as_stored
from shared.domain.hashing import is_hash, transfer_hash
from shared.domain.state import STATES, is_intact
from shared.domain.transfers import MAPPINGS, mapped_id
from shared.errors import CorruptEvent, NotFound
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.app.deadletters import DeadLetters
    from shared.app.listener_health import ListenerHealth
    from shared.ports import Clock, Document, Documents

_LETTERS: Final = 1_000
_PAGE: Final = 500
_CHAIN_DIGITS: Final = 20
"""More of them no chain id has; what the application calls a chain may be any text."""


@dataclass(slots=True)
class Health:
    """Each thing looked at, and the verdict: healthy only if every one of them is; unknown is not."""

    chains: dict[str, Document] = field(default_factory=dict)
    reconciliation: Document = field(default_factory=dict)
    dead_letters: int | None = None
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> Document:
        """Return it as JSON."""
        return {
            "healthy": not self.problems,
            "problems": self.problems,
            "chains": self.chains,
            "reconciliation": self.reconciliation,
            "deadLetters": self.dead_letters,
        }


class Observe:
    """Answers questions from the store alone; ``reconciled_within_s``: how old the last run may be."""

    def __init__(
        self,
        documents: Documents,
        listeners: ListenerHealth,
        letters: DeadLetters,
        clock: Clock,
        *,
        reconciled_within_s: float = 900.0,
    ) -> None:
        self._documents = documents
        self._listeners = listeners
        self._letters = letters
        self._clock = clock
        self._reconciled_within_s = reconciled_within_s

    def resolve(self, transfer: str) -> str:
        """Return the rollover id of a transfer given by its id or its hash: its hash while it is unmapped."""
        mapped = mapped_id(transfer.lower(), self._documents.get(MAPPINGS, transfer.lower()) or {})
        if mapped is not None:
            return mapped
        if not is_hash(transfer.lower()) and self._documents.get(STATES, transfer) is None:
            # Of a transfer that is not mapped yet the events are kept under its hash.
            bare = transfer_hash(transfer)
            return bare if self._documents.get(STATES, bare) else transfer
        return transfer

    def known(self, transfer: str) -> str:
        """Return the rollover id of a transfer (see ``resolve``); NotFound where nothing is stored of it."""
        rollover_id = self.resolve(transfer)
        if self._documents.get(STATES, rollover_id) is None:
            self._stream(transfer)
        return rollover_id

    def events(self, transfer: str | None = None) -> Iterator[Document]:
        """Yield stored events with ``finality`` and ``superseded`` added, those of a transfer by time.

        One that does not count has its reason in ``unreadable``; it may lack any other field but its id.
        """
        if transfer is not None:
            stream = self._stream(transfer)
            verdicts = _verdicts(stream)
            yield from (self._shown(key, event, verdicts) for key, event in sorted(stream, key=_place))
            return
        after: tuple[Any, ...] | None = None
        while True:
            page = self._documents.query(EVENTS, Query(order_by="rolloverId", limit=_PAGE, after=after))
            for key, stored in page:
                event = as_stored(key, stored)
                after = (event["rolloverId"], key)
                judged = self._documents.query(EVENTS, Query(where=(("metadata.originalEventId", key),)))
                yield self._shown(key, event, _verdicts(judged))
            if len(page) < _PAGE:
                return

    def state(self, transfer: str) -> Document:
        """Return the state of a transfer, with the finality of each milestone.

        Raises NotFound if there is none, CorruptEvent if it is not as the projection wrote it.
        """
        state = self._documents.get(STATES, self.resolve(transfer))
        if state is None:
            raise NotFound(f"no state of transfer {transfer}")
        if not is_intact(state):
            raise CorruptEvent(f"the state of {transfer} was edited by hand; plumbline rebuild puts it right")
        chain = str(state["contractKey"]).partition(":")[0]
        chain_id = int(chain) if chain.isdecimal() and len(chain) < _CHAIN_DIGITS else None
        milestones = {
            name: {**milestone, "finality": self._finality(chain_id, milestone["blockNumber"])}
            for name, milestone in state["milestones"].items()
        }
        return {**state, "milestones": milestones}

    def timeline(self, transfer: str) -> list[Document]:
        """Return what happened to a transfer, in order of time, one short entry an event that counts."""
        return [
            {
                "timestamp": event["timestamp"],
                "eventType": event["eventType"],
                "correctedEventType": event.get("data", {}).get("correctedEventType"),
                "by": event.get("userId"),
                "finality": event["finality"],
                "superseded": event["superseded"],
                "transactionHash": event.get("data", {}).get("transactionHash"),
                "eventId": event["eventId"],
            }
            for event in self.events(transfer)
            if "unreadable" not in event
        ]

    def status(self) -> Document:
        """Return how each chain's listener does, the last reconciliation, dead letters, and the verdict."""
        listeners = self._listeners.read()
        health = Health(chains=listeners["chains"], problems=listeners["problems"])
        self._reconciled(health)
        health.dead_letters = len(self._letters.list(_LETTERS))
        if health.dead_letters:
            health.problems.append(f"{health.dead_letters} dead letters")
        return health.as_dict()

    def _stream(self, transfer: str) -> list[tuple[str, Document]]:
        found = self._documents.query(EVENTS, Query(where=(("rolloverId", self.resolve(transfer)),)))
        if not found:
            raise NotFound(f"no event of transfer {transfer}")
        return [(key, as_stored(key, event)) for key, event in found]

    def _shown(self, key: str, event: Document, verdicts: Mapping[str, list[Any]]) -> Document:
        error = unreadable(event)
        if error:
            told = {"eventId": key, "finality": None, "superseded": False, "unreadable": str(error)}
            return {**event, **told}
        data = event.get("data", {})
        return {
            **event,
            "finality": self._finality(data.get("chainId"), data.get("blockNumber")),
            "superseded": not verdicts.get(key, [0, True])[1],
        }

    def _finality(self, chain_id: object, block: object) -> str | None:
        """Derive the finality of a block from the heads last seen: finalized, safe or latest."""
        if not isinstance(chain_id, int) or not isinstance(block, int):
            return None
        heads = self._documents.get(CHAIN_HEADS, str(chain_id)) or {}
        for name in ("finalized", "safe"):
            if name in heads and block <= heads[name]["number"]:
                return name
        return "latest"

    def _reconciled(self, health: Health) -> None:
        found = self._documents.query(REPORTS, Query(order_by="startedAt", descending=True, limit=1))
        if not found:
            health.problems.append("never reconciled")
            return
        report = found[0][1]
        names = ("reportId", "finishedAt", "checked", "mismatchCount", "errorCount", "createdCount")
        health.reconciliation = {name: report[name] for name in names}
        age_s = (self._clock.now() - datetime.fromisoformat(report["finishedAt"])).total_seconds()
        if age_s > self._reconciled_within_s:
            health.problems.append(f"last reconciled {age_s:.0f} s ago")
        if report["errorCount"]:
            health.problems.append(f"the last reconciliation had {report['errorCount']} errors")


def _verdicts(stream: list[tuple[str, Document]]) -> dict[str, list[Any]]:
    verdicts: dict[str, list[Any]] = {}
    for _, event in stream:
        if event.get("eventType") in (SUPERSEDED, REINSTATED) and not unreadable(event):
            data = event["data"]
            verdict = [data.get("verdictSeq", 0), event["eventType"] == REINSTATED]
            verdicts[data["targetEventId"]] = max(verdict, verdicts.get(data["targetEventId"], verdict))
    return verdicts


def _place(item: tuple[str, Document]) -> tuple[str, int, int, str]:
    key, event = item
    data = event.get("data")
    at = [data.get(name) for name in ("blockNumber", "logIndex")] if isinstance(data, dict) else [0, 0]
    block, index = (each if isinstance(each, int) else 0 for each in at)
    return str(event.get("timestamp") or ""), block, index, key
