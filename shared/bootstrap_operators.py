"""Wires what operators look at: where figures and alerts go. Part of ``shared.bootstrap``."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from shared.config_operators import MONITORING, PROMETHEUS
from shared.logging import cloud_name

if TYPE_CHECKING:
    from shared.app.alerts import Alerts
    from shared.config import Settings
    from shared.config_operators import MetricsPlace
    from shared.ports import AlertSink, Clock, Documents, Metrics


def metrics_at(place: MetricsPlace, clock: Clock) -> Metrics:
    """Return the figures of this process, which go to this place."""
    if place.kind == PROMETHEUS:
        from shared.adapters.prometheus import PrometheusMetrics

        return PrometheusMetrics()
    if place.kind == MONITORING:
        from shared.adapters.cloud_monitoring import CloudMonitoringMetrics

        resource = {
            "project_id": place.project,
            "location": place.region,
            "namespace": "plumbline",
            "job": cloud_name() or "plumbline",
            "task_id": uuid.uuid4().hex,
        }
        return CloudMonitoringMetrics(place.project, resource, clock)
    from shared.adapters.no_metrics import NoMetrics

    return NoMetrics()


def alerts_by(settings: Settings, documents: Documents, clock: Clock, metrics: Metrics) -> Alerts:
    """Return the alerts, to the log and to wherever else the settings say."""
    from shared.adapters.log_alerts import LogAlerts
    from shared.app.alerts import Alerts, AlertSettings

    places = settings.alerts
    sinks: list[AlertSink] = [LogAlerts()]
    if places.slack_url:
        from shared.adapters.slack_alerts import SlackAlerts

        sinks.append(SlackAlerts(places.slack_url))
    if places.email_to:
        from shared.adapters.ses_alerts import SesAlerts

        sinks.append(SesAlerts(places.email_from, places.email_to, places.email_region))
    chosen = AlertSettings(
        repeat_s=settings.number("alert_repeat_s"),
        longest_s=settings.number("alert_longest_s"),
        quiet_s=settings.number("alert_quiet_s"),
        settle_s=settings.number("alert_settle_s"),
    )
    return Alerts(documents, sinks, clock, metrics, chosen)
