"""The figures that Plumbline keeps for operators: name, kind and meaning of each, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure; ``labels`` are the names of what it is told apart by."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ("chain",)
    buckets: tuple[float, ...] = ()


BLOCKS_BEHIND: Final = "plumbline_blocks_behind"
HEAD_BLOCK: Final = "plumbline_head_block"
READ_THROUGH: Final = "plumbline_read_through_block"
BLOCK_LATENCY: Final = "plumbline_block_to_publish_seconds"
REORGS: Final = "plumbline_reorgs_total"
REORG_DEPTH: Final = "plumbline_reorg_depth_blocks"
LOGS_PUBLISHED: Final = "plumbline_logs_published_total"
LOGS_REMOVED: Final = "plumbline_logs_removed_total"
DOUBTS: Final = "plumbline_doubts_total"
DIFFERENCES: Final = "plumbline_certificate_differences_total"
ROTATIONS: Final = "plumbline_endpoint_rotations_total"
RANGE_BLOCKS: Final = "plumbline_range_blocks"
CERTIFICATE_AGE: Final = "plumbline_certificate_age_seconds"
PROVED_THROUGH: Final = "plumbline_proved_through_block"
FEE_RECORD_FAILURES: Final = "plumbline_fee_record_failures_total"
ERRORS: Final = "plumbline_listener_errors_total"

METRICS: Final = {
    metric.name: metric
    for metric in (
        Metric(BLOCKS_BEHIND, GAUGE, "blocks between the best known head and the last block read"),
        Metric(HEAD_BLOCK, GAUGE, "height of the best known head"),
        Metric(READ_THROUGH, GAUGE, "height through which logs are read and published"),
        Metric(
            BLOCK_LATENCY,
            HISTOGRAM,
            "seconds from a block's own time to its logs being published, while live",
            buckets=(0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300),
        ),
        Metric(REORGS, COUNTER, "reorganisations that took back blocks read"),
        Metric(
            REORG_DEPTH, HISTOGRAM, "blocks taken back by one reorg", buckets=(1, 2, 3, 7, 16, 32, 64, 128)
        ),
        Metric(LOGS_PUBLISHED, COUNTER, "logs published"),
        Metric(LOGS_REMOVED, COUNTER, "logs published as taken back"),
        Metric(DOUBTS, COUNTER, "answers that could not be (missing block, wrong hash, missing logs)"),
        Metric(DIFFERENCES, COUNTER, "ranges whose second reading had other logs than the first"),
        Metric(ROTATIONS, COUNTER, "changes from one endpoint to another"),
        Metric(RANGE_BLOCKS, GAUGE, "blocks asked for in one log query at present"),
        Metric(CERTIFICATE_AGE, GAUGE, "seconds since the last completeness certificate was written"),
        Metric(PROVED_THROUGH, GAUGE, "height through which every block is proved or witnessed"),
        Metric(FEE_RECORD_FAILURES, COUNTER, "blocks' fees, or receipts, that could not be recorded at once"),
        Metric(ERRORS, COUNTER, "errors of the listener that were waited out, by code", ("chain", "code")),
    )
}
"""Every figure by its name."""
