"""A gRPC server that speaks Cloud Monitoring's MetricService and refuses what the service refuses.

Limits: https://cloud.google.com/monitoring/quotas (200 series a request, a point each 5 s, 30 labels, keys of
100 and values of 1024 characters, 200 buckets). Times: TimeInterval in google/monitoring/v3/common.proto.
Stricter than the service in one thing: a series without a descriptor is refused, not described by guess.
"""

from __future__ import annotations

import re
from concurrent import futures
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import grpc
from google.api.metric_pb2 import MetricDescriptor
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport
from google.protobuf import empty_pb2

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from google.cloud.monitoring_v3 import TimeSeries

_SERIES = 200
_APART = timedelta(seconds=5)
_TASK = {"project_id", "location", "namespace", "job", "task_id"}
_Kind = MetricDescriptor.MetricKind
_Value = MetricDescriptor.ValueType
_FIELD = {
    _Value.DOUBLE: "double_value",
    _Value.INT64: "int64_value",
    _Value.DISTRIBUTION: "distribution_value",
}

Identity = tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


class Refused(Exception):
    """What the service answers INVALID_ARGUMENT to."""


class MonitoringServer:
    """Listens on a free port; ``now`` tells its time. ``points`` holds what was written, by series.

    ``denied``, ``broken``: methods that are; ``asked``: all that were asked, one after the other.
    ``fault``: a status to answer every request with; ``silent``: it never answers.
    """

    def __init__(self, project: str, now: Callable[[], datetime]) -> None:
        self._name = f"projects/{project}"
        self._now = now
        self.descriptors: dict[str, MetricDescriptor] = {}
        self.points: dict[Identity, list[Any]] = {}
        self.calls: list[int] = []
        self.created: list[str] = []
        self.refusals: list[str] = []
        self.fault: grpc.StatusCode | None = None
        self.denied: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.silent_s = 0.0
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        types = monitoring_v3
        handlers = {
            "CreateTimeSeries": (self._create_series, types.CreateTimeSeriesRequest, empty_pb2.Empty),
            "CreateMetricDescriptor": (
                self._create_descriptor, types.CreateMetricDescriptorRequest, MetricDescriptor,
            ),
            "ListMetricDescriptors": (
                self._list, types.ListMetricDescriptorsRequest, types.ListMetricDescriptorsResponse,
            ),
        }  # fmt: skip
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "google.monitoring.v3.MetricService",
                    {
                        name: grpc.unary_unary_rpc_method_handler(
                            self._guarded(name, handle), request.deserialize, _serializer(answer)
                        )
                        for name, (handle, request, answer) in handlers.items()
                    },
                )
            ]
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def connect(self) -> monitoring_v3.MetricServiceClient:
        """Return Google's client, connected to this server."""
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        return monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))

    def last(self, name: str, **labels: str) -> Any:
        """Return the newest value of a figure's one series: a float, or a distribution; None if none is."""
        wanted = tuple(sorted(labels.items()))
        found = [
            points[-1]
            for (kind, told, _), points in self.points.items()
            if kind == f"custom.googleapis.com/{name}" and told == wanted
        ]
        if not found:
            return None
        (point,) = found
        value = monitoring_v3.TypedValue.pb(point.value)
        return getattr(value, value.WhichOneof("value"))

    def _guarded(self, name: str, handle: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            if self.silent_s:
                # Until the caller gives up, or the test is over.
                futures.wait([futures.Future()], timeout=self.silent_s)
            if self.fault:
                context.abort(self.fault, "as the test wants it")
            self.asked.append(name)
            if name in self.broken:
                context.abort(grpc.StatusCode.UNAVAILABLE, f"{name} is broken")
            if name in self.denied:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{name} is denied")
            if request.name != self._name:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no {request.name}")
            try:
                return handle(request)
            except Refused as error:
                self.refusals.append(str(error))
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

        return answer

    def _list(self, request: Any) -> Any:
        start = re.fullmatch(r'metric\.type = starts_with\("([^"]+)"\)', request.filter)
        if not start:
            raise Refused(f"filter not understood: {request.filter}")
        found = [each for kind, each in self.descriptors.items() if kind.startswith(start[1])]
        return monitoring_v3.ListMetricDescriptorsResponse(metric_descriptors=found)

    def _create_descriptor(self, request: Any) -> MetricDescriptor:
        wanted = MetricDescriptor()
        wanted.CopyFrom(request.metric_descriptor)
        if not re.fullmatch(r"(custom|workload)\.googleapis\.com/[A-Za-z0-9_/]{1,180}", wanted.type):
            raise Refused(f"type {wanted.type}")
        if len(wanted.labels) > 30:
            raise Refused("more than 30 labels")
        for label in wanted.labels:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", label.key):
                raise Refused(f"label key {label.key}")
        if wanted.metric_kind == _Kind.DELTA or wanted.value_type not in _FIELD:
            raise Refused("neither this kind nor this type can be written")
        known = self.descriptors.get(wanted.type)
        if known and (known.metric_kind, known.value_type) != (wanted.metric_kind, wanted.value_type):
            raise Refused(f"{wanted.type} is of another kind")
        if known:
            there = {label.key for label in wanted.labels}
            wanted.labels.extend(label for label in known.labels if label.key not in there)
        self.descriptors[wanted.type] = wanted
        self.created.append(wanted.type)
        return wanted

    def _create_series(self, request: Any) -> empty_pb2.Empty:
        self.calls.append(len(request.time_series))
        if len(request.time_series) > _SERIES:
            raise Refused(f"{len(request.time_series)} series in one request")
        refused: list[str] = []
        seen: set[Identity] = set()
        for series in request.time_series:
            identity = _identity(series)
            try:
                self._check(series, identity, seen)
            except Refused as error:
                refused.append(f"{series.metric.type}: {error}")
            else:
                self.points.setdefault(identity, []).append(series.points[0])
        if refused:  # the others are written, as with the service
            raise Refused(f"One or more TimeSeries could not be written: {'; '.join(refused)}")
        return empty_pb2.Empty()

    def _check(self, series: TimeSeries, identity: Identity, seen: set[Identity]) -> None:
        if identity in seen:
            raise Refused("two points of one series in one request")
        seen.add(identity)
        known = self.descriptors.get(series.metric.type)
        if known is None:
            raise Refused("there is no descriptor")
        if series.metric_kind != known.metric_kind or series.value_type != known.value_type:
            raise Refused("kind or value type is not the descriptor's")
        if not set(series.metric.labels) <= {label.key for label in known.labels}:
            raise Refused("a label is not in the descriptor")
        if any(len(value) > 1024 for value in series.metric.labels.values()):
            raise Refused("a label's value is too long")
        if series.resource.type != "generic_task" or set(series.resource.labels) != _TASK:
            raise Refused("the monitored resource is no generic_task with all its labels")
        if len(series.points) != 1:
            raise Refused("not exactly one point")
        point = series.points[0]
        if monitoring_v3.TypedValue.pb(point.value).WhichOneof("value") != _FIELD[known.value_type]:
            raise Refused("the value is of another type")
        if known.value_type == _Value.DISTRIBUTION:
            _check_distribution(point.value.distribution_value)
        self._check_times(point.interval, known, self.points.get(identity))

    def _check_times(self, interval: Any, known: MetricDescriptor, before: list[Any] | None) -> None:
        now, start, end = self._now(), interval.start_time, interval.end_time
        if not end:
            raise Refused("no end time")
        if end < now - timedelta(hours=25) or end > now + timedelta(minutes=5):
            raise Refused("the end time is more than 25 hours ago or more than 5 minutes ahead")
        if known.metric_kind == _Kind.GAUGE and start and start != end:
            raise Refused("a gauge has no interval")
        if known.metric_kind == _Kind.CUMULATIVE and not (start and start < end):
            raise Refused("a cumulative point needs an interval")
        if not before:
            return
        last = before[-1].interval
        if end <= last.end_time:
            raise Refused("points must be written in order")
        if end - last.end_time < _APART:
            raise Refused("points are written more frequently than the maximum sampling period")
        if known.metric_kind == _Kind.CUMULATIVE and start != last.start_time and start <= last.end_time:
            raise Refused("the start time lies within the interval before")


def _check_distribution(value: Any) -> None:
    bounds = list(value.bucket_options.explicit_buckets.bounds)
    if not bounds or bounds != sorted(set(bounds)) or len(bounds) + 1 > 200:
        raise Refused("bucket bounds do not rise, or are too many")
    if len(value.bucket_counts) > len(bounds) + 1 or sum(value.bucket_counts) != value.count:
        raise Refused("the buckets' counts do not add up")


def _identity(series: TimeSeries) -> Identity:
    metric, resource = series.metric, series.resource
    return metric.type, tuple(sorted(metric.labels.items())), tuple(sorted(resource.labels.items()))


def _serializer(answer: Any) -> Callable[[Any], bytes]:
    return answer.serialize if hasattr(answer, "serialize") else answer.SerializeToString
