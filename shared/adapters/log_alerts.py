"""Alerts as log lines: the sink that is always there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shared.ports import Alert

_LOG: Final = logging.getLogger("plumbline.alerts")
_LEVELS: Final = {"critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING}


class LogAlerts:
    """Writes each alert as one line of its severity."""

    def send(self, alert: Alert) -> None:
        """Write the alert, its key and its detail."""
        level = _LEVELS.get(alert.severity, logging.ERROR)
        _LOG.log(level, alert.title, extra={"fields": {"alert": alert.key, **alert.detail}})
