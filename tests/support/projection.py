"""The projection by itself, for tests that look at states and at no figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.no_metrics import NoMetrics
from shared.adapters.system_clock import SystemClock
from shared.app.project_events import ProjectEvents

if TYPE_CHECKING:
    from shared.ports import Documents


def projection_on(documents: Documents) -> ProjectEvents:
    """Return the projection over a store."""
    return ProjectEvents(documents, SystemClock(), NoMetrics())
