"""Sinks of alerts for tests: one that remembers, and may fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.errors import SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ports import Notice


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
