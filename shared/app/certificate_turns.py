"""Whose turn it is to be read again: certificates, one after the other, so that none holds up the others."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.domain.completeness import SINGLE, WITNESSED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.app.certificates import Certificate, Certificates
    from shared.app.follow_settings import FollowSettings
    from shared.ports import Clock

PROVE_AGAIN_S: Final = 10.0
"""First pause until what could not be proved is tried again."""
_LONGEST_PAUSE_S: Final = 3_600.0
"""Longest such pause; each is twice the one before, until receipts are seen to be served."""


class CertificateTurns:
    """Gives certificates that were read once, and such as were witnessed and may be proved, alternately.

    Those read once come from the lowest upwards, the others from the head downwards.
    """

    def __init__(self, certificates: Certificates, clock: Clock, settings: FollowSettings) -> None:
        self._certificates = certificates
        self._clock = clock
        self._settings = settings
        self._once_is_next = True
        self._once: int | None = None
        self._once_from = 0.0
        self._proving: int | None = None
        self._prove_from = 0.0
        self._pause_s = PROVE_AGAIN_S
        self._due = {SINGLE, WITNESSED}

    def begin(self) -> None:
        """Look for certificates without the pause of before: another listener may have written some."""
        self._prove_from, self._pause_s = 0.0, PROVE_AGAIN_S
        self.look_again()

    def look_again(self) -> None:
        """Look for certificates once more: some may have been written by a step that failed."""
        self._due = {SINGLE, WITNESSED}

    def written(self, grades: Iterable[str]) -> None:
        """Take note that certificates of these grades were written."""
        self._due.update(grades)

    def not_proved(self) -> None:
        """Let the next try to prove something wait, longer each time."""
        self._prove_from = self._clock.monotonic_s() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def served_again(self, within_s: float = PROVE_AGAIN_S) -> None:
        """Let the next try come soon: receipts are served, or were served again after they had not been."""
        self._pause_s = PROVE_AGAIN_S
        self._prove_from = min(self._prove_from, self._clock.monotonic_s() + within_s)

    def next(self, head: int) -> Certificate | None:
        """Return the one whose turn it is; None while none is due."""
        if self._once_is_next:
            found = self._read_once() or self._to_prove(head)
        else:
            found = self._to_prove(head) or self._read_once()
        if found is not None:
            self._once_is_next = found.segment.grade != SINGLE
        return found

    def _read_once(self) -> Certificate | None:
        """Return what was read once only and long enough ago."""
        now = self._clock.monotonic_s()
        if SINGLE not in self._due or now < self._once_from:
            return None
        lowest = self._certificates.lowest(SINGLE)
        if lowest is None:
            self._due.discard(SINGLE)
            return None
        above = None if self._once is None else self._certificates.lowest(SINGLE, self._once)
        # The highest one may grow all the time, and never be old enough: the others do not wait for it.
        once = above if above is not None and self._waits_s(above) <= 0.0 else lowest
        if self._waits_s(once) > 0.0:
            self._once_from = now + self._waits_s(once)
            return None
        self._once = once.segment.first
        return once

    def _waits_s(self, once: Certificate) -> float:
        age_s = (self._clock.now() - datetime.fromisoformat(once.read_at)).total_seconds()
        return self._settings.second_reading_s - age_s

    def _to_prove(self, head: int) -> Certificate | None:
        """Return what was only witnessed while it could not be proved."""
        if WITNESSED not in self._due or self._clock.monotonic_s() < self._prove_from:
            return None
        found = self._witnessed_near(head, self._proving) or self._witnessed_near(head)
        if found is None:
            self._due.discard(WITNESSED)
            return None
        self._proving = found.segment.first
        return found

    def _witnessed_near(self, head: int, below: int | None = None) -> Certificate | None:
        found = self._certificates.highest(WITNESSED, below)
        near = found is not None and found.segment.last > head - self._settings.prove_blocks
        return found if near else None
