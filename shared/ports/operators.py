"""What people who operate it look at, and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Processes(Protocol):
    """The processes of this machine, by names that no other process ever has, here or elsewhere."""

    @property
    def this(self) -> str | None:
        """The name of this process; None where the machine gives none."""

    def has_ended(self, name: str) -> bool:
        """Say whether the process is known to have ended; False of what is not of this machine."""


class Metrics(Protocol):
    """Figures for operators. Names are those of ``shared.domain.metrics``; labels are few and bounded.

    Keeping a figure never waits and never fails, but for a name, kind or label that is not in the table:
    KeyError, a mistake in the code. Writing figures somewhere never fails either; what failed is counted.
    """

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a figure that goes up and down."""

    def observe(self, name: str, value: float, times: int = 1, **labels: str) -> None:
        """Add to a distribution an observation that was made so many times."""

    def flush(self, wait_s: float = 0.0, *, now: bool = False) -> None:
        """Write what is kept to where it goes, if that is due; return after ``wait_s`` seconds at most.

        ``now``: as soon as the place takes it, rather than when it is due.
        """

    def close(self) -> None:
        """Write what is left; the process ends."""


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> datetime:
        """Return the time now, UTC-aware."""

    def monotonic_s(self) -> float:
        """Return seconds that never go backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person must look at; ``key`` is the same for the same trouble.

    ``severity``: critical, error or warning. ``detail``: what to know of it now. ``passing``: nobody will
    say that it is over; it is once it has not been raised for a while.
    """

    key: str
    severity: str
    title: str
    detail: Mapping[str, Any]
    passing: bool = False


OPENED: Final = "opened"
REPEATED: Final = "repeated"
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a sink tells people of an alert: that it opened, stands still, or closed.

    ``raised``: how many times it was raised since ``opened_at``.
    """

    kind: str
    alert: Alert
    opened_at: datetime
    raised: int


class AlertSink(Protocol):
    """Where alerts go; ``name`` tells sinks apart, in the alerts' state and in the figures."""

    @property
    def name(self) -> str:
        """Its name."""

    def send(self, notice: Notice) -> None:
        """Deliver the notice within seconds; SinkUnavailable where it cannot be."""
