"""How closely a reconciliation looks at the transfers of each phase, and what that costs per run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.app.reconcile_settings import ReconcileSettings

ARRIVED: Final = "arrived"
_IN_TURN: Final = frozenset(("share", "closed_share", "unplaced_share"))
"""Phases that come to a transfer once in ``rotation_runs`` runs."""


@dataclass(frozen=True, slots=True)
class Scrutiny:
    """A closer look: at blocks of logs above ``above``, and at logs of weakly proved steps.

    ``searches`` says of a transfer hash whether the chain is searched for the log of a step that only the
    application or the contract's state proves.
    """

    above: int
    searches: Callable[[str], bool]


THOROUGH: Final = Scrutiny(-1, lambda _: True)
"""Everything, as for one transfer that somebody asks about."""


class Turns:
    """Gives each phase its scrutiny, from the ``cursor`` that the runs before have left.

    ``tiered``: open transfers come in turn, too. ``whole``: a person asked.
    """

    def __init__(
        self, cursor: Mapping[str, Any], settings: ReconcileSettings, *, tiered: bool, whole: bool
    ) -> None:
        self._confirmed = int(cursor.get("confirmedThrough", -1))
        self._pins = list(cursor.get("pins", []))
        self._turn = int(cursor.get("turn", 0))
        self._runs = settings.rotation_runs
        self._reorg_window = settings.reorg_window
        self._tiered = tiered
        self._whole = whole

    def of(self, phase: str) -> Scrutiny:
        """Return the scrutiny of a phase."""
        everyone = self._whole or phase in _IN_TURN or phase == ARRIVED
        return Scrutiny(self.confirmed_through(phase), THOROUGH.searches if everyone else self._is_its_turn)

    def confirmed_through(self, phase: str) -> int:
        """Return the block up to which a phase's logs were found on the chain, for good; -1: none yet.

        No reorg reaches further than its window below what was pinned then. What comes in turn was last
        looked at as many runs ago; what has arrived since, far below, was never looked at.
        """
        if phase == ARRIVED:
            return -1
        if self._tiered or phase in _IN_TURN:
            return max(min(self._pins, default=-1) - self._reorg_window, -1)
        return self._confirmed

    def after(self, pin: int) -> dict[str, Any]:
        """Return what the next runs must know of a run that pinned this height."""
        through = -1 if self._tiered else pin - self._reorg_window
        return {
            "confirmedThrough": max(self._confirmed, through),
            "pins": [*self._pins, pin][-self._runs :],
            "turn": self._turn + 1,
        }

    def _is_its_turn(self, transfer_hash: str) -> bool:
        return int(transfer_hash[2:10], 16) % self._runs == self._turn % self._runs
