"""What every implementation of the Metrics port does alike."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest

from shared.adapters.cloud_monitoring import CloudMonitoringMetrics
from shared.adapters.no_metrics import NoMetrics
from shared.adapters.prometheus import PrometheusMetrics
from shared.domain.metrics import (
    BLOCK_LATENCY,
    BLOCKS_BEHIND,
    DEAD_LETTERS,
    ERRORS,
    HANDLE_TIME,
    METRICS,
    RECONCILE_CHECKED,
    REORG_DEPTH,
    REORGS,
)
from tests.support.clock import FakeClock
from tests.support.metrics import MemoryMetrics
from tests.support.monitoring_server import MonitoringServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.ports import Metrics

RESOURCE = {"project_id": "p", "location": "r", "namespace": "plumbline", "job": "j", "task_id": "1"}


class Bench:
    """Metrics under test; ``read`` returns a sum or a value, of a distribution how many and their sum."""

    def __init__(self, metrics: Metrics, read: Callable[..., object]) -> None:
        self.metrics = metrics
        self.read = read


@pytest.fixture(params=["memory", "prometheus", "cloud_monitoring"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give each implementation that keeps figures its turn."""
    if request.param == "memory":
        memory = MemoryMetrics()
        yield Bench(memory, lambda name, **labels: _of_memory(memory, name, labels))
    elif request.param == "prometheus":
        prometheus = PrometheusMetrics()
        yield Bench(prometheus, lambda name, **labels: _of_text(prometheus.exposition(), name, labels))
    else:
        clock = FakeClock()
        with MonitoringServer("p", clock.now) as server:
            cloud = CloudMonitoringMetrics("p", RESOURCE, clock, server.connect)

            def read(name: str, **labels: str) -> object:
                clock.advance(10)
                cloud.flush(30)
                told = server.last(name, **labels)
                return (told.count, pytest.approx(told.count * told.mean)) if hasattr(told, "mean") else told

            yield Bench(cloud, read)
            assert server.refusals == []


@pytest.fixture(params=[MemoryMetrics, PrometheusMetrics, NoMetrics, "cloud_monitoring"])
def metrics(request: pytest.FixtureRequest) -> Metrics:
    """Give every implementation its turn, also what keeps nothing."""
    if request.param == "cloud_monitoring":
        return CloudMonitoringMetrics("p", RESOURCE, FakeClock(), _unreachable)
    made: Metrics = request.param()
    return made


def _unreachable() -> object:
    raise OSError("no network here")


def _of_memory(memory: MemoryMetrics, name: str, labels: dict[str, str]) -> object:
    key = (name, *(labels[label] for label in METRICS[name].labels))
    if key in memory.observed:
        return len(memory.observed[key]), pytest.approx(sum(memory.observed[key]))
    return memory.gauges.get(key, memory.counters.get(key))


def _of_text(text: bytes, name: str, labels: dict[str, str]) -> object:
    told = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
    series = re.escape(f"{{{told}}}" if told else "")
    numbers = [
        float(found[1]) if (found := re.search(rf"(?m)^{name}{part}{series} (\S+)$", text.decode())) else None
        for part in ("", "_count", "_sum")
    ]
    return numbers[0] if numbers[0] is not None else (numbers[1], pytest.approx(numbers[2]))


def test_counters_add_up(bench: Bench) -> None:
    """A counter tells the sum of what was added, for each set of labels by itself."""
    bench.metrics.count(REORGS, chain="1")
    bench.metrics.count(REORGS, 2, chain="1")
    bench.metrics.count(REORGS, 5, chain="10")
    bench.metrics.count(ERRORS, chain="1", code="rate_limited")
    assert bench.read(REORGS, chain="1") == 3
    assert bench.read(REORGS, chain="10") == 5
    assert bench.read(ERRORS, chain="1", code="rate_limited") == 1


def test_a_gauge_tells_its_last_value(bench: Bench) -> None:
    """What was set before is gone."""
    bench.metrics.gauge(BLOCKS_BEHIND, 7, chain="1")
    bench.metrics.gauge(BLOCKS_BEHIND, 3, chain="1")
    assert bench.read(BLOCKS_BEHIND, chain="1") == 3
    bench.metrics.gauge(BLOCKS_BEHIND, 0, chain="1")
    assert bench.read(BLOCKS_BEHIND, chain="1") == 0


def test_a_distribution_tells_how_many_and_how_much(bench: Bench) -> None:
    """Each observation counts as often as it was made, on a bound and beyond the last one too."""
    for depth, times in ((1, 1), (2, 2), (7, 1), (1_000, 3)):
        bench.metrics.observe(REORG_DEPTH, depth, times, chain="1")
    assert bench.read(REORG_DEPTH, chain="1") == (7, 3_012)


def test_a_figure_may_have_no_label(bench: Bench) -> None:
    """Some figures are of the whole."""
    bench.metrics.count(RECONCILE_CHECKED, 12)
    bench.metrics.observe(HANDLE_TIME, 0.25)
    assert bench.read(RECONCILE_CHECKED) == 12
    assert bench.read(HANDLE_TIME) == (1, 0.25)


def test_threads_lose_nothing(bench: Bench) -> None:
    """Every addition of every thread is in the sum."""

    def work() -> None:
        for _ in range(500):
            bench.metrics.count(DEAD_LETTERS, source="chain-logs", cause="invalid_input")
            bench.metrics.observe(BLOCK_LATENCY, 0.5, chain="1")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.read(DEAD_LETTERS, source="chain-logs", cause="invalid_input") == 4_000
    assert bench.read(BLOCK_LATENCY, chain="1") == (4_000, 2_000)


def test_only_figures_of_the_table_are_taken(metrics: Metrics) -> None:
    """A name, a kind or a label that is not declared is a mistake in the code, and found at once."""
    with pytest.raises(KeyError):
        metrics.count("plumbline_nonsense_total", chain="1")
    with pytest.raises(KeyError):
        metrics.gauge(REORGS, 1, chain="1")
    with pytest.raises(KeyError):
        metrics.observe(BLOCKS_BEHIND, 1, chain="1")
    with pytest.raises(KeyError):
        metrics.count(REORGS, chain="1", transfer="abc")
    with pytest.raises(KeyError):
        metrics.count(REORGS)


def test_writing_never_fails_and_never_waits_longer(metrics: Metrics) -> None:
    """Whatever becomes of the figures, the work goes on."""
    metrics.count(REORGS, chain="1")
    metrics.flush()
    metrics.flush(0.1, now=True)
    metrics.close()
    metrics.count(REORGS, chain="1")
    metrics.close()
