"""Whether the listeners keep up, from what they write down of themselves: unknown is unhealthy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.app.listener_report import LISTENERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.ports import Clock, Document, Documents

_LEFT_OUT: Final = ("limits",)


@dataclass(frozen=True, slots=True)
class ListenerObjectives:
    """What a chain's listener is held to.

    ``blocks_behind``: blocks below the best known head that may be unread; ``lag_s``: age in seconds of the
    oldest of them; ``head_within_s``: seconds since an endpoint last told a head; ``report_within_s``: since
    the listener last wrote how it stands.
    """

    blocks_behind: int = 50
    lag_s: float = 60.0
    head_within_s: float = 30.0
    report_within_s: float = 30.0


class ListenerHealth:
    """Reads ``chain_listeners`` and judges it by the objectives."""

    def __init__(
        self,
        documents: Documents,
        chain_ids: Sequence[int],
        clock: Clock,
        objectives: ListenerObjectives,
    ) -> None:
        self._documents = documents
        self._chain_ids = chain_ids
        self._clock = clock
        self._objectives = objectives

    def read(self) -> Document:
        """Return ``ready``, ``problems`` (each names chain, figure and objective) and ``chains``.

        Raises StoreUnavailable: what cannot be read is no health either.
        """
        keys = [str(chain_id) for chain_id in self._chain_ids]
        found = self._documents.get_many(LISTENERS, keys)
        problems = [f"chain {key}: {problem}" for key in keys for problem in self._problems(found.get(key))]
        chains = {key: self._shown(found.get(key)) for key in keys}
        return {"ready": not problems, "problems": problems, "chains": chains}

    def problems(self) -> dict[str, list[str]]:
        """Return each chain's problems by its id, an empty list for one that keeps up."""
        keys = [str(chain_id) for chain_id in self._chain_ids]
        found = self._documents.get_many(LISTENERS, keys)
        return {key: list(self._problems(found.get(key))) for key in keys}

    def _problems(self, report: Document | None) -> Iterator[str]:
        if report is None:
            yield "no listener ever ran"
            return
        wanted = self._objectives
        if report["stopped"]:
            yield f"the listener stopped for good: {report['trouble']}"
        elif report.get("otherHistory"):
            yield f"nothing is read: {report['trouble']}"
        written = self._age_s(report["at"])
        if written is None or written > wanted.report_within_s:
            yield f"no word of the listener for {_seconds(written)} (at most {wanted.report_within_s:g} s)"
        seen = self._age_s(report["headSeenAt"])
        if seen is None or seen > wanted.head_within_s:
            trouble = f": {report['trouble']}" if report["trouble"] else ""
            yield f"no head for {_seconds(seen)} (at most {wanted.head_within_s:g} s){trouble}"
        behind = report["behind"]
        if behind is None:
            yield "how far it is behind is unknown"
        elif behind > wanted.blocks_behind:
            yield f"{behind} blocks behind (at most {wanted.blocks_behind})"
        lag = self._age_s(report["oldestUnreadAt"])
        if lag is not None and lag > wanted.lag_s:
            yield f"a block is unread for {lag:.0f} s (at most {wanted.lag_s:g} s)"

    def _shown(self, report: Document | None) -> dict[str, Any]:
        if report is None:
            return {}
        shown = {name: value for name, value in report.items() if name not in _LEFT_OUT}
        return {**shown, "lagS": self._age_s(report["oldestUnreadAt"]) or 0.0 if report["head"] else None}

    def _age_s(self, moment: str | None) -> float | None:
        if moment is None:
            return None
        return max(0.0, (self._clock.now() - datetime.fromisoformat(moment)).total_seconds())


def _seconds(age: float | None) -> str:
    return "ever" if age is None else f"{age:.0f} s"
