"""How long what is missing counts as late: the live path may still bring it, but not for ever."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.app.notes import CURSORS, keep_note, read_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.app.reconcile_settings import ReconcileSettings
    from shared.domain.blocks import Header
    from shared.ports import Documents


class Lateness:
    """Says, at one pinned block of one chain, whether a missing step is late only.

    It may be while the listener has not read the pinned block, or the block is younger than ``grace_s``.
    It is not any more once the listener has left a pinned block unread for ``late_s``, or the same transfer
    was late at a block that the listener has passed since.
    """

    def __init__(
        self, documents: Documents, now: datetime, chain_id: int, settings: ReconcileSettings
    ) -> None:
        self._documents = documents
        self._now = now
        self._settings = settings
        self._key = f"listener {chain_id}"
        cursor = documents.get("chain_cursors", str(chain_id)) or {}
        read = cursor.get("readThrough")
        # In a document that somebody edited: as if the listener had not begun.
        self._read = read if isinstance(read, int) else -1
        self._excused = False

    def at(self, pin: Header, *, dry_run: bool) -> Lateness:
        """Take up a pinned block, and remember since when the listener was awaited there; return itself."""
        young = self._now.timestamp() - pin.timestamp < self._settings.grace_s
        self._excused = young if self._read >= pin.number else not self._overdue(pin, dry_run=dry_run)
        return self

    def excuses(self, known: list[Any] | None) -> bool:
        """Say whether what is missing is late only; ``known``: what ``remembered`` says of the transfer."""
        if not self._excused or known is None:
            return self._excused
        block, since = known
        limit = self._settings.grace_s if self._read >= block else self._settings.late_s
        return self._age_s(since) < limit

    def remembered(
        self, known: Mapping[str, list[Any]], late: Iterable[str], pin: int
    ) -> dict[str, list[Any]]:
        """Return, by transfer, at which block and since when it is late, for the next run."""
        return {key: known.get(key, [pin, self._now.isoformat()]) for key in late}

    def _overdue(self, pin: Header, *, dry_run: bool) -> bool:
        awaited = read_note(self._documents, CURSORS, self._key)
        if awaited and self._read < awaited["block"]:
            return self._age_s(awaited["since"]) >= self._settings.late_s
        if not dry_run:
            since = {"block": pin.number, "since": self._now.isoformat()}
            keep_note(self._documents, CURSORS, self._key, since)
        return False

    def _age_s(self, since: str) -> float:
        return (self._now - datetime.fromisoformat(since)).total_seconds()
