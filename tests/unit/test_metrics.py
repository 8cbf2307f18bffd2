from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from shared.adapters.prometheus import PrometheusMetrics
from shared.domain.metrics import (
    BLOCK_LATENCY,
    BLOCKS_BEHIND,
    COUNTER,
    ERRORS,
    HISTOGRAM,
    LABELS,
    METRICS,
    REORGS,
)
from tests.support.metrics import MemoryMetrics

if TYPE_CHECKING:
    from shared.ports import Metrics


@pytest.fixture(params=[PrometheusMetrics, MemoryMetrics])
def metrics(request: pytest.FixtureRequest) -> Metrics:
    """Give each implementation its turn."""
    made: Metrics = request.param()
    return made


def test_only_figures_of_the_table_are_taken(metrics: Metrics) -> None:
    """A name that is not declared is a mistake in the code, and found at once."""
    with pytest.raises(KeyError):
        metrics.count("plumbline_nonsense_total", chain="1")
    metrics.count(REORGS, chain="1")
    metrics.gauge(BLOCKS_BEHIND, 3, chain="1")
    metrics.observe(BLOCK_LATENCY, 0.4, chain="1")


def test_the_exposition_holds_what_was_kept() -> None:
    """Prometheus reads counters, gauges and distributions under the names of the table."""
    metrics = PrometheusMetrics()
    metrics.count(REORGS, 2, chain="1")
    metrics.count(ERRORS, chain="1", code="chain_unavailable")
    metrics.gauge(BLOCKS_BEHIND, 3, chain="1")
    metrics.observe(BLOCK_LATENCY, 0.4, chain="1")
    text = metrics.exposition().decode()
    assert 'plumbline_reorgs_total{chain="1"} 2.0' in text
    assert 'plumbline_listener_errors_total{chain="1",code="chain_unavailable"} 1.0' in text
    assert 'plumbline_blocks_behind{chain="1"} 3.0' in text
    assert 'plumbline_block_to_publish_seconds_bucket{chain="1",le="0.5"} 1.0' in text


def test_every_figure_says_what_it_means_and_has_bounded_labels() -> None:
    """No transfer, hash or text of an error may become a label; units are UCUM's."""
    for metric in METRICS.values():
        assert metric.meaning
        assert set(metric.labels) <= set(LABELS)
        assert re.fullmatch(r"1|s|\{[a-z]+\}", metric.unit)
        assert re.fullmatch(r"plumbline_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == COUNTER)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert bool(metric.buckets) == (metric.kind == HISTOGRAM)
    names = " ".join(LABELS)
    assert "transfer" not in names
    assert "rollover" not in names
    assert "hash" not in names
