"""Alerts for tests: sinks that remember, and may fail, and a scene in which alerts live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.app.alerts import Alerts, AlertSettings
from shared.errors import SinkUnavailable
from shared.ports import Alert
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.metrics import MemoryMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ports import AlertSink, Notice


@dataclass
class MemorySink:
    """Keeps every notice; raises ``failure`` instead while there is one, and calls ``first`` before."""

    name: str = "memory"
    failure: Exception | None = None
    first: Callable[[Notice], None] | None = None
    notices: list[Notice] = field(default_factory=list)

    def send(self, notice: Notice) -> None:
        """Take a notice."""
        if self.first:
            self.first(notice)
        if self.failure:
            raise self.failure
        self.notices.append(notice)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Kind and key of each notice."""
        return [(notice.kind, notice.alert.key) for notice in self.notices]


def away(name: str = "away") -> MemorySink:
    """Return a sink that takes nothing."""
    return MemorySink(name, SinkUnavailable("it is away"))


TROUBLE = Alert("trouble", "error", "There is trouble", {"count": 3})
PASSING = Alert("letters", "error", "Letters", {}, passing=True)


class Scene:
    """Alerts over a store in memory, at a time that stands still."""

    def __init__(self, *sinks: AlertSink, settle_s: float = 0.0) -> None:
        self.settings = AlertSettings(settle_s=settle_s)
        self.documents = MemoryDocuments()
        self.clock = FakeClock()
        self.metrics = MemoryMetrics()
        self.sink = MemorySink()
        self.sinks = [self.sink, *sinks]
        self.alerts = self.instance()

    def instance(self) -> Alerts:
        """Return the alerts of another instance of a function."""
        return Alerts(self.documents, self.sinks, self.clock, self.metrics, self.settings)

    def stands(self, hours: float) -> None:
        """Raise the same trouble each five minutes for so long."""
        for _ in range(round(hours * 12)):
            self.clock.advance(300)
            self.alerts.open(TROUBLE)
