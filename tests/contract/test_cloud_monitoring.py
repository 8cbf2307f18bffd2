"""Cloud Monitoring as it is: what the service refuses is never sent, and what fails is made up for."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
import pytest
from google.api.metric_pb2 import MetricDescriptor
from google.cloud import monitoring_v3

from shared.adapters.cloud_monitoring import CloudMonitoringMetrics
from shared.adapters.cloud_monitoring_shapes import descriptor, type_of
from shared.domain.metrics import (
    BLOCK_LATENCY,
    BLOCKS_BEHIND,
    COUNTER,
    ERRORS,
    GAUGE,
    METRICS,
    METRICS_FAILED,
    REORGS,
)
from tests.support.clock import FakeClock
from tests.support.monitoring_server import MonitoringServer

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOURCE = {"project_id": "p", "location": "r", "namespace": "plumbline", "job": "j", "task_id": "1"}
WAIT_S = 30.0


class Scene:
    """A process that keeps figures, and the service."""

    def __init__(self, server: MonitoringServer, clock: FakeClock) -> None:
        self.server = server
        self.clock = clock
        self.metrics = self.process("1")

    def process(self, task: str) -> CloudMonitoringMetrics:
        """Return the figures of another process."""
        resource = {**RESOURCE, "task_id": task}
        return CloudMonitoringMetrics("p", resource, self.clock, self.server.connect)

    def write(self, after_s: float = 10.0, *, now: bool = False) -> None:
        """Let time pass, and write."""
        self.clock.advance(after_s)
        self.metrics.flush(WAIT_S, now=now)
        if self.metrics._writer:
            # After a failure nobody is made to wait, but for this test.
            self.metrics._writer.join(WAIT_S)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Lend one."""
    clock = FakeClock()
    with MonitoringServer("p", clock.now) as server:
        yield Scene(server, clock)


def test_the_whole_table_is_described_and_taken(scene: Scene) -> None:
    """Every figure's descriptor is one that the service accepts, and so is a point of each."""
    for metric in METRICS.values():
        labels = dict.fromkeys(metric.labels, "1")
        if metric.kind == COUNTER:
            scene.metrics.count(metric.name, **labels)
        elif metric.kind == GAUGE:
            scene.metrics.gauge(metric.name, 1, **labels)
        else:
            scene.metrics.observe(metric.name, 1, **labels)
    scene.write()
    assert scene.server.refusals == []
    assert len(scene.server.points) == len(METRICS) == len(scene.server.descriptors)
    for metric in METRICS.values():
        assert scene.server.descriptors[type_of(metric)] == descriptor(metric)


def test_a_figure_is_described_once_and_again_where_the_table_says_otherwise(scene: Scene) -> None:
    """What the service knows already is not described again, unless its unit, meaning or labels differ."""
    for name in (REORGS, BLOCKS_BEHIND):
        scene.server.descriptors[type_of(METRICS[name])] = descriptor(METRICS[name])
    scene.server.descriptors[type_of(METRICS[BLOCKS_BEHIND])].description = "as a version before said"
    for process in (scene.metrics, scene.process("2")):
        process.count(REORGS, chain="1")
        process.gauge(BLOCKS_BEHIND, 1, chain="1")
        process.count(ERRORS, chain="1", code="conflict")
        scene.clock.advance(10)
        process.flush(WAIT_S)
        process.count(REORGS, chain="1")
        process.count(ERRORS, chain="1", code="conflict")
        scene.clock.advance(10)
        process.flush(WAIT_S)
    assert len(scene.server.calls) == 4
    assert sorted(scene.server.created) == [type_of(METRICS[BLOCKS_BEHIND]), type_of(METRICS[ERRORS])]
    assert scene.server.refusals == []


def test_more_than_two_hundred_series_go_in_several_requests(scene: Scene) -> None:
    """No request holds more than the service takes."""
    for code in range(450):
        scene.metrics.count(ERRORS, chain="1", code=f"code_{code}")
    scene.write()
    assert scene.server.calls == [200, 200, 50]
    assert len(scene.server.points) == 450
    assert scene.server.refusals == []


def test_no_series_is_written_oftener_than_the_service_accepts(scene: Scene) -> None:
    """However often it is asked to write: each ten seconds, five where somebody wants it now."""
    for _ in range(100):
        scene.metrics.count(REORGS, chain="1")
        scene.write(1.0)
    assert len(scene.server.calls) == 10
    for _ in range(100):
        scene.metrics.count(REORGS, chain="1")
        scene.write(1.0, now=True)
    assert 28 <= len(scene.server.calls) <= 30
    assert scene.server.refusals == []


def test_sums_are_cumulative_since_the_start_of_the_process(scene: Scene) -> None:
    """Every point of a counter or a distribution has the same start time and what came since then."""
    for _ in range(3):
        scene.metrics.count(REORGS, 2, chain="1")
        scene.metrics.observe(BLOCK_LATENCY, 0.5, chain="1")
        scene.write()
    counted, observed = ([*points] for points in scene.server.points.values())
    assert [point.value.double_value for point in counted] == [2, 4, 6]
    assert [point.value.distribution_value.count for point in observed] == [1, 2, 3]
    assert len({point.interval.start_time for point in (*counted, *observed)}) == 1
    assert scene.server.refusals == []


def test_two_processes_never_write_one_series(scene: Scene) -> None:
    """Each has its own task, so neither takes the other's sum for a reset of its own."""
    other = scene.process("2")
    for process in (scene.metrics, other):
        process.count(REORGS, chain="1")
        scene.clock.advance(10)
        process.flush(WAIT_S)
    assert len(scene.server.points) == 2
    assert scene.server.refusals == []


def test_what_did_not_change_is_not_written_again(scene: Scene) -> None:
    """A series without news costs nothing."""
    scene.metrics.count(REORGS, chain="1")
    scene.metrics.gauge(BLOCKS_BEHIND, 3, chain="1")
    scene.write()
    scene.metrics.gauge(BLOCKS_BEHIND, 4, chain="1")
    scene.write()
    scene.write()
    assert scene.server.calls == [2, 1]


def test_a_distribution_tells_mean_spread_and_buckets(scene: Scene) -> None:
    """On a bound an observation belongs to the bucket above it, as the service counts."""
    for value, times in ((0.1, 1), (0.25, 1), (0.4, 1), (1_000, 2)):
        scene.metrics.observe(BLOCK_LATENCY, value, times, chain="1")
    scene.write()
    told = scene.server.last(BLOCK_LATENCY, chain="1")
    assert told.mean == pytest.approx(400.15)
    assert told.sum_of_squared_deviation == pytest.approx(1_199_400.1, rel=1e-5)
    assert list(told.bucket_counts) == [1, 2, *[0] * 8, 2]
    assert list(told.bucket_options.explicit_buckets.bounds) == list(METRICS[BLOCK_LATENCY].buckets)


def test_a_failure_is_counted_told_once_and_made_up_for(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """While the service fails, it is asked ever less often; once it is back, nothing is missing."""
    scene.server.fault = grpc.StatusCode.UNAVAILABLE
    with caplog.at_level(logging.WARNING):
        for _ in range(60):
            scene.metrics.count(REORGS, chain="1")
            scene.metrics.gauge(BLOCKS_BEHIND, 3, chain="1")
            scene.write(1.0)
    assert sum("figures not written" in record.message for record in caplog.records) == 1
    scene.server.fault = None
    scene.write(300)
    assert scene.server.last(REORGS, chain="1") == 60
    assert scene.server.last(BLOCKS_BEHIND, chain="1") == 3
    assert 1 <= scene.server.last(METRICS_FAILED) <= 10
    assert scene.server.refusals == []


def test_what_was_counted_once_before_a_failure_is_written_after_it(scene: Scene) -> None:
    """Though nothing more is counted: a failed write leaves its figures as changed."""
    scene.metrics.count(REORGS, chain="1")
    scene.server.fault = grpc.StatusCode.UNAVAILABLE
    scene.write()
    scene.server.fault = None
    scene.write(300)
    assert scene.server.last(REORGS, chain="1") == 1


def test_a_service_that_does_not_answer_holds_nobody_up(scene: Scene) -> None:
    """The work waits for a write as long as it said, and not again while that write is under way."""
    scene.server.silent_s = 2.0
    scene.metrics.count(REORGS, chain="1")
    scene.clock.advance(10)
    started = time.monotonic()
    scene.metrics.flush(0.05)
    scene.metrics.flush()
    assert time.monotonic() - started < 1.5
    scene.server.silent_s = 0.0
    scene.metrics.flush(WAIT_S)


def test_while_the_service_fails_nobody_waits_for_it(scene: Scene) -> None:
    """Only who meets the failure first may have waited; every other invocation ends at once."""
    scene.server.fault = grpc.StatusCode.UNAVAILABLE
    scene.metrics.count(REORGS, chain="1")
    scene.write()
    scene.server.fault = None
    scene.server.silent_s = 2.0
    scene.clock.advance(300)
    started = time.monotonic()
    scene.metrics.flush(WAIT_S)
    assert time.monotonic() - started < 1.0
    scene.server.silent_s = 0.0


def test_one_figure_that_is_refused_holds_up_no_other(scene: Scene) -> None:
    """A descriptor of another kind under our name costs that figure alone, and is counted."""
    foreign = MetricDescriptor(
        type=type_of(METRICS[BLOCKS_BEHIND]),
        metric_kind=MetricDescriptor.MetricKind.CUMULATIVE,
        value_type=MetricDescriptor.ValueType.DISTRIBUTION,
    )
    scene.server.descriptors[foreign.type] = foreign
    for _ in range(2):
        scene.metrics.gauge(BLOCKS_BEHIND, 3, chain="1")
        scene.metrics.count(REORGS, chain="1")
        scene.write()
    assert scene.server.last(REORGS, chain="1") == 2
    assert scene.server.last(BLOCKS_BEHIND, chain="1") is None
    assert scene.server.last(METRICS_FAILED) > 0


def test_descriptors_that_we_may_not_read_do_not_stop_the_points(scene: Scene) -> None:
    """Where a deployment described the figures, the right to write points is enough."""
    scene.server.descriptors[type_of(METRICS[REORGS])] = descriptor(METRICS[REORGS])
    scene.server.denied = {"ListMetricDescriptors", "CreateMetricDescriptor"}
    scene.metrics.count(REORGS, chain="1")
    scene.write()
    assert scene.server.last(REORGS, chain="1") == 1


def test_descriptors_that_cannot_be_made_just_now_are_tried_once_a_write(scene: Scene) -> None:
    """Not figure by figure: forty times three seconds would be longer than a process has to end."""
    scene.server.broken = {"CreateMetricDescriptor"}
    scene.metrics.count(REORGS, chain="1")
    scene.metrics.gauge(BLOCKS_BEHIND, 3, chain="1")
    scene.metrics.count(ERRORS, chain="1", code="x")
    scene.write()
    assert scene.server.asked.count("CreateMetricDescriptor") == 1
    scene.server.broken = set()
    scene.metrics.count(REORGS, chain="1")
    scene.write(300)
    assert scene.server.last(REORGS, chain="1") == 2
    assert scene.server.last(BLOCKS_BEHIND, chain="1") == 3


def test_a_label_that_is_too_long_is_cut(scene: Scene) -> None:
    """The service refuses values beyond 1024 characters."""
    scene.metrics.count(ERRORS, chain="1", code="x" * 2_000)
    scene.write()
    assert scene.server.refusals == []
    assert scene.server.last(ERRORS, chain="1", code="x" * 1_024) == 1


def test_the_end_of_a_process_writes_the_rest(scene: Scene) -> None:
    """What came after the last write waits until the service takes another point, and is written."""
    scene.metrics.count(REORGS, chain="1")
    scene.write()
    scene.metrics.count(REORGS, chain="1")
    scene.clock.advance(1)
    scene.metrics.close()
    assert scene.server.last(REORGS, chain="1") == 2
    assert scene.server.refusals == []


def test_a_process_that_ends_before_its_first_write_loses_nothing(scene: Scene) -> None:
    """A function that is called once and put away tells its figures at the end."""
    scene.metrics.count(REORGS, chain="1")
    scene.metrics.flush(WAIT_S)
    assert scene.server.calls == []
    scene.metrics.close()
    assert scene.server.last(REORGS, chain="1") == 1


def test_a_client_that_was_never_loaded_is_loaded_while_the_process_ends() -> None:
    """Python starts no thread and registers no thread pool by then, and the figures leave all the same."""
    child = """
import atexit, sys
from shared.adapters.cloud_monitoring import CloudMonitoringMetrics
from shared.adapters.system_clock import SystemClock

def connect():
    import grpc
    from google.cloud import monitoring_v3
    from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport
    channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1])
    return monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))

labels = ("project_id", "location", "namespace", "job", "task_id")
metrics = CloudMonitoringMetrics("p", dict.fromkeys(labels, "p"), SystemClock(), connect)
atexit.register(metrics.close)
metrics.count("plumbline_reorgs_total", chain="1")
assert "grpc" not in sys.modules
"""
    with MonitoringServer("p", lambda: datetime.now(UTC)) as server:
        subprocess.run([sys.executable, "-c", child, str(server.port)], check=True, timeout=60)
        assert server.last(REORGS, chain="1") == 1
        assert server.refusals == []


def test_a_clock_that_is_set_back_writes_nothing_out_of_order(scene: Scene) -> None:
    """Until the time is past the last point's again, figures are kept."""
    scene.metrics.count(REORGS, chain="1")
    scene.write()
    scene.metrics.count(REORGS, chain="1")
    scene.clock.advance(-3_600)
    scene.write(10, now=True)
    assert scene.server.calls == [1]
    scene.write(3_600, now=True)
    assert scene.server.last(REORGS, chain="1") == 2
    assert scene.server.refusals == []


def test_the_server_refuses_what_the_service_refuses(scene: Scene) -> None:
    """The limits that the tests above rest on are enforced: without them they would prove nothing."""
    scene.metrics.count(REORGS, chain="1")
    scene.write()
    (identity,) = scene.server.points
    client = scene.server.connect()
    point = scene.server.points[identity][0]
    series = monitoring_v3.TimeSeries(
        metric={"type": type_of(METRICS[REORGS]), "labels": {"chain": "1"}},
        resource={"type": "generic_task", "labels": RESOURCE},
        metric_kind="CUMULATIVE",
        value_type="DOUBLE",
        points=[point],
    )
    for wrong in ([series], [series, series], [series] * 201):
        with pytest.raises(Exception, match="400"):
            client.create_time_series(name="projects/p", time_series=wrong)
    refusals = " ".join(scene.server.refusals)
    assert "in order" in refusals
    assert "one series in one request" in refusals
    assert "201 series" in refusals
