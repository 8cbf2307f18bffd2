"""Taking back what a node had made up or altered, once its block is proved to hold something else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shared.app.disputes import Disputes
from shared.app.event_log import Appended
from shared.domain.events import SUPERSEDED, is_external
from shared.domain.metrics import EVENTS_REFUTED
from shared.ports import Alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.alerts import Alerts
    from shared.app.disputes import Dispute
    from shared.app.event_log import EventLog
    from shared.app.log_batch import LogBatch
    from shared.domain.events import Event
    from shared.ports import Documents, Metrics

_LOG: Final = logging.getLogger(__name__)
_NAMED: Final = 20
_MADE_UP: Final = "its block is proved not to hold such a log"
_ALTERED: Final = "its block is proved to hold its log with another content, or not the log that it hangs on"


class SettleDisputes:
    """Holds events against what is on file of disputed blocks, whichever of the two comes first.

    What is proved is on file before a message says so, and events are stored before they are held against
    it: so either the message finds the event, or who stores the event finds what is on file.
    """

    def __init__(self, documents: Documents, event_log: EventLog, alerts: Alerts, metrics: Metrics) -> None:
        self._disputes = Disputes(documents)
        self._event_log = event_log
        self._alerts = alerts
        self._metrics = metrics

    def settle(self, batch: LogBatch, events: Sequence[Event], appended: Appended) -> Appended:
        """Refute what the message's events, or the stored ones of blocks that it proves, make up.

        ``events`` are the message's, ``appended`` what became of them: those that conflict with what is
        proved are restated, and conflict no more. Returns what was appended.
        """
        if batch.proved:
            settled = self._proved(batch, events, appended)
        else:
            on_file = self._on_file(batch.chain_id, events)
            made_up = [event for event in events if any(each.refutes(event) for each in on_file)]
            settled = self._event_log.refute(made_up, _MADE_UP)
        self._tell(batch.chain_id, settled)
        return settled

    def _proved(self, batch: LogBatch, events: Sequence[Event], appended: Appended) -> Appended:
        on_file = self._disputes.on_file(batch.proved)
        conflicting = set(appended.conflicting)
        altered = [
            event
            for event in events
            if event["eventId"] in conflicting and any(each.confirms(event) for each in on_file)
        ]
        made_up = [event for each in on_file for event in self._disputes.made_up(each)]
        refuted = {event["eventId"] for event in made_up}
        external = [event for event in events if refuted and is_external(event)]
        settled = Appended()
        if altered or external:
            settled.add(self._event_log.restate([*altered, *external], _ALTERED, refuted))
            restated = {event["metadata"]["originalEventId"] for event in settled.events}
            appended.conflicting = [key for key in appended.conflicting if key not in restated]
        settled.add(self._event_log.refute(made_up, _MADE_UP))
        return settled

    def _on_file(self, chain_id: int, events: Sequence[Event]) -> list[Dispute]:
        blocks = [event["data"]["blockNumber"] for event in events]
        return self._disputes.covering(chain_id, min(blocks), max(blocks)) if blocks else []

    def _tell(self, chain_id: int, settled: Appended) -> None:
        told = [event for event in settled.events if event["eventType"] == SUPERSEDED]
        if not told:
            return
        self._metrics.count(EVENTS_REFUTED, len(told), chain=str(chain_id))
        for event in told:
            _LOG.critical(
                "an event is refuted: %s", event["reason"],
                extra={"fields": {"eventId": event["data"]["targetEventId"], "chainId": chain_id}},
            )  # fmt: skip
        ids = [event["data"]["targetEventId"] for event in told[:_NAMED]]
        title = "A node had told of logs that are none, or are others"
        detail = {"chainId": chain_id, "eventIds": ids}
        self._alerts.open(Alert("refuted_events", "critical", title, detail, passing=True))
