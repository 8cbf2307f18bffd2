"""The table's figures in Cloud Monitoring's shapes: descriptors, and time series of one point each.

Types are ``custom.googleapis.com/`` and the figure's name. Counters and distributions are CUMULATIVE from
the start of the process, gauges GAUGE; all numbers are DOUBLE, but distributions. The monitored resource is
a ``generic_task``, whose ``task_id`` is this process's own: no two ever write one series.
Source: https://cloud.google.com/monitoring/custom-metrics/creating-metrics
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.api import label_pb2, metric_pb2
from google.cloud import monitoring_v3

from shared.adapters.kept_figures import Distribution
from shared.domain.metrics import GAUGE, HISTOGRAM, LABELS, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from shared.adapters.kept_figures import Kept
    from shared.domain.metrics import Metric

TYPE_PREFIX: Final = "custom.googleapis.com/"
OURS: Final = f'metric.type = starts_with("{TYPE_PREFIX}plumbline_")'
"""The filter that lists our descriptors."""
LABEL_VALUE: Final = 1024
"""Characters that a label's value may have (https://cloud.google.com/monitoring/quotas)."""
_Kind: Final = metric_pb2.MetricDescriptor.MetricKind
_Type: Final = metric_pb2.MetricDescriptor.ValueType


def type_of(metric: Metric) -> str:
    """Return the figure's type in Cloud Monitoring."""
    return TYPE_PREFIX + metric.name


def descriptor(metric: Metric) -> metric_pb2.MetricDescriptor:
    """Return the figure's descriptor."""
    return metric_pb2.MetricDescriptor(
        type=type_of(metric),
        metric_kind=_Kind.GAUGE if metric.kind == GAUGE else _Kind.CUMULATIVE,
        value_type=_Type.DISTRIBUTION if metric.kind == HISTOGRAM else _Type.DOUBLE,
        unit=metric.unit,
        description=metric.meaning,
        display_name=metric.name,
        labels=[
            label_pb2.LabelDescriptor(key=label, value_type="STRING", description=LABELS[label])
            for label in metric.labels
        ],
    )


def described_by(found: Iterable[metric_pb2.MetricDescriptor]) -> set[str]:
    """Return the names of the figures that the service's descriptors describe as the table does."""
    known = {each.type: each for each in found}
    return {
        name
        for name, metric in METRICS.items()
        if type_of(metric) in known and _describes(known[type_of(metric)], metric)
    }


def _describes(found: metric_pb2.MetricDescriptor, metric: Metric) -> bool:
    wanted = descriptor(metric)
    # Labels are never taken away there: one that a table before this one had stays.
    return (
        (found.metric_kind, found.value_type, found.unit, found.description)
        == (wanted.metric_kind, wanted.value_type, wanted.unit, wanted.description)
    ) and {label.key for label in found.labels} >= set(metric.labels)


def time_series(
    kept: Kept, resource: Mapping[str, str], start: datetime, end: datetime
) -> monitoring_v3.TimeSeries:
    """Return a figure as a series of one point: of the moment ``end``, or cumulative since ``start``."""
    metric = kept.metric
    shape = descriptor(metric)
    interval = {"end_time": end} if metric.kind == GAUGE else {"start_time": start, "end_time": end}
    labels = {label: value[:LABEL_VALUE] for label, value in kept.labels.items()}
    return monitoring_v3.TimeSeries(
        metric={"type": type_of(metric), "labels": labels},
        resource={"type": "generic_task", "labels": dict(resource)},
        metric_kind=shape.metric_kind,
        value_type=shape.value_type,
        points=[{"interval": interval, "value": _value(kept)}],
    )


def _value(kept: Kept) -> dict[str, object]:
    value = kept.value
    if not isinstance(value, Distribution):
        return {"double_value": value}
    return {
        "distribution_value": {
            "count": value.count,
            "mean": value.mean,
            "sum_of_squared_deviation": value.deviation,
            "bucket_options": {"explicit_buckets": {"bounds": list(kept.metric.buckets)}},
            "bucket_counts": value.buckets,
        }
    }
