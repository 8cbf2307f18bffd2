"""How a chain's listener stands, written down every few seconds for whoever asks, and as metrics.

``chain_listeners/{chainId}``: ``at``, ``startedAt``, ``head`` (number, timestamp) and ``headSeenAt``,
``readThrough``, ``behind``, ``oldestUnreadAt``, ``provedThrough``, ``witnessedThrough``, ``certifiedAt``,
``reorgs``, ``trouble``, ``stopped``, ``socket``, ``endpoints``, ``limits`` (what was learned of theirs).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shared.app.watch import tell_age
from shared.domain.completeness import PROVED, WITNESSED
from shared.domain.metrics import (
    BLOCKS_BEHIND,
    CERTIFICATE_AGE,
    HEAD_BLOCK,
    LAG,
    LISTENER_STOPPED,
    PROVED_THROUGH,
    READ_THROUGH,
    ROTATIONS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.app.certificates import Certificates
    from shared.app.chain_cursor import Cursor
    from shared.domain.blocks import Header
    from shared.ports import Chain, Clock, Document, Documents, EndpointHealth, Metrics

LISTENERS: Final = "chain_listeners"
_AGE_EVERY_S: Final = 60.0
_HEADS_KEPT: Final = 1_000


class ListenerReport:
    """Keeps the figures of one chain's listener and writes them every ``every_s`` seconds."""

    def __init__(
        self,
        chain: Chain,
        documents: Documents,
        clock: Clock,
        metrics: Metrics,
        certificates: Certificates,
        every_s: float,
        socket: Callable[[], bool] | None = None,
    ) -> None:
        self._chain = chain
        self._documents = documents
        self._clock = clock
        self._metrics = metrics
        self._certificates = certificates
        self._every_s = every_s
        self._socket = socket
        self._due = 0.0
        self._age_due = 0.0
        self._key = str(chain.chain_id)
        self._unread: list[tuple[int, int]] = []
        self._read_time: int | None = None
        self._rotations = 0
        self._told: Document = {
            "chainId": chain.chain_id,
            "startedAt": clock.now().isoformat(),
            "standby": False,
            "head": None,
            "headSeenAt": None,
            "readThrough": None,
            "behind": None,
            "oldestUnreadAt": None,
            "certifiedAt": None,
            "reorgs": 0,
        }

    def limits(self) -> Document:
        """Return what was learned of the endpoints' limits when a listener last wrote."""
        stored = self._documents.get(LISTENERS, self._key)
        return dict(stored.get("limits") or {}) if stored else {}

    def head(self, head: Header) -> None:
        """Take note of a head that an endpoint told."""
        known = self._told["head"]
        if (known is None or head.number > known["number"]) and len(self._unread) < _HEADS_KEPT:
            self._unread.append((head.number, head.timestamp))
        self._told["head"] = {"number": head.number, "timestamp": head.timestamp}
        self._told["headSeenAt"] = self._now()

    def read(self, cursor: Cursor, timestamp: int | None = None) -> None:
        """Take note of how far the chain is read; ``timestamp`` is that of the last block read, if known."""
        read = cursor.number
        self._read_time = timestamp or self._read_time
        self._unread = [seen for seen in self._unread if seen[0] > read]
        head = self._told["head"]
        behind = None if head is None else max(0, head["number"] - read)
        oldest = None
        if behind and self._unread:
            number, seen = self._unread[0]
            # The oldest unread block is no older than the last one read, and no younger than the next head.
            oldest = _iso(seen if number == read + 1 or self._read_time is None else self._read_time)
        self._told |= {"readThrough": read, "behind": behind, "oldestUnreadAt": oldest}

    def certified(self) -> None:
        """Take note that a certificate was written."""
        self._told["certifiedAt"] = self._now()

    def reorg(self) -> None:
        """Count a reorg."""
        self._told["reorgs"] += 1

    def write(
        self,
        cursor: Cursor | None,
        *,
        trouble: str | None = None,
        stopped: bool = False,
        other_history: bool = False,
        now: bool = False,
    ) -> None:
        """Write it down if it is due, or ``now``; ``other_history``: what is certified is contradicted."""
        moment = self._clock.monotonic_s()
        if moment < self._due and not now:
            return
        self._due = moment + self._every_s
        if cursor is not None:
            proved, witnessed = self._certificates.through(cursor.certified)
            self._told |= {
                "provedThrough": cursor.through(proved, (PROVED,)),
                "witnessedThrough": cursor.through(witnessed, (PROVED, WITNESSED)),
            }
        document = {
            **self._told,
            "at": self._now(),
            "trouble": trouble,
            "stopped": stopped,
            "otherHistory": other_history,
            "socket": self._socket() if self._socket else None,
            "endpoints": [_shown(each) for each in self._chain.endpoints()],
            "limits": self._chain.learned(),
        }
        self._documents.put(LISTENERS, self._key, document)
        self._gauges(stopped=stopped)
        if moment >= self._age_due:
            self._age_due = moment + _AGE_EVERY_S
            tell_age(self._documents, self._clock, self._metrics)
        self._metrics.flush()

    def _gauges(self, *, stopped: bool) -> None:
        head = self._told["head"] or {}
        certified = self._told["certifiedAt"]
        unread = self._told["oldestUnreadAt"]
        age = self._age_s(certified) if certified else None
        lag = self._age_s(unread) if unread else 0.0
        for name, value in (
            (HEAD_BLOCK, head.get("number")),
            (READ_THROUGH, self._told["readThrough"]),
            (BLOCKS_BEHIND, self._told["behind"]),
            (PROVED_THROUGH, self._told.get("provedThrough")),
            (CERTIFICATE_AGE, age),
            (LAG, lag if head else None),
            (LISTENER_STOPPED, int(stopped)),
        ):
            if value is not None:
                self._metrics.gauge(name, value, chain=self._key)
        rotations = self._chain.rotations
        self._metrics.count(ROTATIONS, rotations - self._rotations, chain=self._key)
        self._rotations = rotations

    def _age_s(self, moment: str) -> float:
        return max(0.0, (self._clock.now() - datetime.fromisoformat(moment)).total_seconds())

    def _now(self) -> str:
        return self._clock.now().isoformat()


def _iso(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()


def _shown(endpoint: EndpointHealth) -> dict[str, Any]:
    return {_camel(name): value for name, value in asdict(endpoint).items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
