"""A page of transfers that are due, and where the next one starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.app.reconcile_page import Candidate
    from shared.domain.state import State

After = list[Any] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Transfers to check next; ``after`` is where the following page starts, None at the end.

    ``cursor`` is what the next run is to remember once this page has been put right, and not before.
    ``misfits``: hashes that are mapped to the transfer of another one. ``stand_ins``: states of bare hashes
    that were joined to their transfers.
    """

    candidates: list[Candidate]
    after: After
    cursor: Mapping[str, Any] = field(default_factory=dict)
    misfits: tuple[str, ...] = ()
    stand_ins: tuple[State, ...] = ()
