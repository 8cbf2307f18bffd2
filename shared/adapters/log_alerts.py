"""Alerts as log lines: the sink that is always there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shared.ports import CLOSED

if TYPE_CHECKING:
    from shared.ports import Notice

_LOG: Final = logging.getLogger("plumbline.alerts")
_LEVELS: Final = {"critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING}


class LogAlerts:
    """Writes each notice as one line of the alert's severity, a closing one as information."""

    name: Final = "log"

    def send(self, notice: Notice) -> None:
        """Write what it is about, the alert's key and its detail."""
        alert = notice.alert
        level = logging.INFO if notice.kind == CLOSED else _LEVELS.get(alert.severity, logging.ERROR)
        fields = {
            "alert": alert.key,
            "notice": notice.kind,
            "openedAt": notice.opened_at.isoformat(),
            "raised": notice.raised,
            **alert.detail,
        }
        _LOG.log(level, "%s: %s", notice.kind, alert.title, extra={"fields": fields})
