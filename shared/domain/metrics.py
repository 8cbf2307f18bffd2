"""The figures that Plumbline keeps for operators: name, kind, unit, labels and meaning of each, in one table.

Adapters, dashboards and alert policies take their names from here. Units are UCUM codes, as Cloud Monitoring
takes them (``s``, ``1``, ``{block}``). Labels are few and bounded: never a transfer, a hash, or a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure; ``labels`` are the names of what it is told apart by, all of them in ``LABELS``.

    ``buckets``: of a histogram, the upper bounds, ascending; there is one more bucket above the last.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    labels: tuple[str, ...] = ("chain",)
    buckets: tuple[float, ...] = ()


LABELS: Final = {
    "chain": "the chain's id; only chains of the registry",
    "code": "the code of an error of shared/errors.py, or unforeseen",
    "cause": "of a dead letter an error's code, of a mismatch its cause class (shared/domain/comparison.py)",
    "source": "of a dead letter the topic, or 'events'; of an event who recorded it, or 'other'",
    "outcome": "how a run ended: straight, crooked, unfinished, or the code of the error that ended it",
    "kind": "opened, repeated or closed",
    "sink": "where alerts go: log, slack, ses; or 'store', where their state could not be kept",
}
"""What each label says, and what bounds its values."""

BLOCKS_BEHIND: Final = "plumbline_blocks_behind"
LAG: Final = "plumbline_lag_seconds"
HEAD_BLOCK: Final = "plumbline_head_block"
READ_THROUGH: Final = "plumbline_read_through_block"
LISTENER_STOPPED: Final = "plumbline_listener_stopped"
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

EVENTS_STORED: Final = "plumbline_events_stored_total"
EVENTS_ALREADY_THERE: Final = "plumbline_events_already_there_total"
EVENTS_CONFLICTING: Final = "plumbline_events_conflicting_total"
EVENTS_REFUTED: Final = "plumbline_events_refuted_total"
LOGS_IGNORED: Final = "plumbline_logs_ignored_total"
LEFT_TO_TRIGGERS: Final = "plumbline_events_left_to_triggers_total"
DEAD_LETTERS: Final = "plumbline_dead_letters_total"
HANDLE_TIME: Final = "plumbline_handle_seconds"

LOG_TO_STATE: Final = "plumbline_log_to_state_seconds"

RECONCILE_RUNS: Final = "plumbline_reconcile_runs_total"
RECONCILE_CHECKED: Final = "plumbline_reconcile_checked_total"
RECONCILE_MISMATCHES: Final = "plumbline_reconcile_mismatches_total"
RECONCILE_CREATED: Final = "plumbline_reconcile_created_total"
RECONCILE_SUPERSEDED: Final = "plumbline_reconcile_superseded_total"
RECONCILE_ERRORS: Final = "plumbline_reconcile_errors_total"
RECONCILE_TIME: Final = "plumbline_reconcile_seconds"
RECONCILE_AGE: Final = "plumbline_reconcile_last_good_age_seconds"
RECONCILE_LAST_MISMATCHES: Final = "plumbline_reconcile_last_mismatches"
RECONCILE_LAST_ERRORS: Final = "plumbline_reconcile_last_errors"

QUOTES: Final = "plumbline_quotes_total"
QUOTE_CACHE_HITS: Final = "plumbline_quote_cache_hits_total"
QUOTE_UPSTREAM: Final = "plumbline_quote_upstream_batches_total"
QUOTES_REFUSED: Final = "plumbline_quotes_refused_total"
QUOTE_TIME: Final = "plumbline_quote_seconds"

ALERTS_SENT: Final = "plumbline_alerts_sent_total"
ALERTS_FAILED: Final = "plumbline_alerts_failed_total"
METRICS_FAILED: Final = "plumbline_metrics_failed_total"

_DURATIONS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LATENCIES: Final = (0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300)

_LISTENER: Final = (
    Metric(BLOCKS_BEHIND, GAUGE, "{block}", "blocks between the best known head and the last block read"),
    Metric(LAG, GAUGE, "s", "age of the oldest known block that is unread; 0 where none is"),
    Metric(HEAD_BLOCK, GAUGE, "{block}", "height of the best known head"),
    Metric(READ_THROUGH, GAUGE, "{block}", "height through which logs are read and published"),
    Metric(LISTENER_STOPPED, GAUGE, "1", "1 where the chain's listener stopped for good, else 0"),
    Metric(
        BLOCK_LATENCY, HISTOGRAM, "s", "from a block's own time to its logs being published, while live",
        buckets=_LATENCIES,
    ),
    Metric(REORGS, COUNTER, "1", "reorganisations that took back blocks read"),
    Metric(
        REORG_DEPTH, HISTOGRAM, "{block}", "blocks taken back by one reorg",
        buckets=(1, 2, 3, 7, 16, 32, 64, 128),
    ),
    Metric(LOGS_PUBLISHED, COUNTER, "{log}", "logs published"),
    Metric(LOGS_REMOVED, COUNTER, "{log}", "logs published as taken back"),
    Metric(DOUBTS, COUNTER, "1", "answers that could not be (missing block, wrong hash, missing logs)"),
    Metric(DIFFERENCES, COUNTER, "1", "ranges whose second reading had other logs than the first"),
    Metric(ROTATIONS, COUNTER, "1", "changes from one endpoint to another"),
    Metric(RANGE_BLOCKS, GAUGE, "{block}", "blocks asked for in one log query at present"),
    Metric(CERTIFICATE_AGE, GAUGE, "s", "age of the last completeness certificate"),
    Metric(PROVED_THROUGH, GAUGE, "{block}", "height through which every block is proved or witnessed"),
    Metric(FEE_RECORD_FAILURES, COUNTER, "1", "blocks' fees, or receipts, that were not recorded at once"),
    Metric(ERRORS, COUNTER, "1", "errors of the listener, waited out or final, by code", ("chain", "code")),
)  # fmt: skip
_HANDLER: Final = (
    Metric(EVENTS_STORED, COUNTER, "{event}", "events of logs and verdicts that were stored"),
    Metric(EVENTS_ALREADY_THERE, COUNTER, "{event}", "events that were stored already: a redelivery"),
    Metric(EVENTS_CONFLICTING, COUNTER, "{event}", "events found stored with another content"),
    Metric(EVENTS_REFUTED, COUNTER, "{event}", "events taken back as their block is proved not to hold them"),
    Metric(LOGS_IGNORED, COUNTER, "{log}", "logs of a known contract that mean no event"),
    Metric(LEFT_TO_TRIGGERS, COUNTER, "{event}", "events stored whose projection is left to their triggers"),
    Metric(DEAD_LETTERS, COUNTER, "{letter}", "dead letters made, by cause", ("source", "cause")),
    Metric(HANDLE_TIME, HISTOGRAM, "s", "duration of handling one message of logs", (), _DURATIONS),
)
_PROJECTION: Final = (
    Metric(
        LOG_TO_STATE, HISTOGRAM, "s", "from a log's block time to its state, by who recorded the event",
        ("chain", "source"), (*_LATENCIES, 900, 3_600, 86_400),
    ),
)  # fmt: skip
_RECONCILIATION: Final = (
    Metric(RECONCILE_RUNS, COUNTER, "{run}", "whole runs by how they ended", ("outcome",)),
    Metric(RECONCILE_CHECKED, COUNTER, "{transfer}", "transfers checked", ()),
    Metric(RECONCILE_MISMATCHES, COUNTER, "{transfer}", "mismatches found, by cause class", ("cause",)),
    Metric(RECONCILE_CREATED, COUNTER, "{event}", "events appended by runs", ()),
    Metric(RECONCILE_SUPERSEDED, COUNTER, "{event}", "events superseded by runs", ()),
    Metric(RECONCILE_ERRORS, COUNTER, "1", "errors of runs", ()),
    Metric(RECONCILE_TIME, HISTOGRAM, "s", "duration of a finished run", (), (*_DURATIONS, 600, 1_800)),
    Metric(RECONCILE_AGE, GAUGE, "s", "age of the last whole run that ended without an error", ()),
    Metric(RECONCILE_LAST_MISMATCHES, GAUGE, "{transfer}", "mismatches of the last whole run", ()),
    Metric(RECONCILE_LAST_ERRORS, GAUGE, "1", "errors of the last whole run", ()),
)
_QUOTES: Final = (
    Metric(QUOTES, COUNTER, "{quote}", "gas quotes served"),
    Metric(QUOTE_CACHE_HITS, COUNTER, "{quote}", "gas quotes served without asking the chain"),
    Metric(QUOTE_UPSTREAM, COUNTER, "{batch}", "batches of requests to the chain for quotes"),
    Metric(QUOTES_REFUSED, COUNTER, "{quote}", "gas quotes refused, by code", ("code",)),
    Metric(QUOTE_TIME, HISTOGRAM, "s", "duration of one gas quote", ("chain",), _DURATIONS),
)
_OPERATION: Final = (
    Metric(ALERTS_SENT, COUNTER, "{notice}", "notices of alerts delivered", ("sink", "kind")),
    Metric(ALERTS_FAILED, COUNTER, "{notice}", "notices of alerts that a sink did not take", ("sink",)),
    Metric(METRICS_FAILED, COUNTER, "1", "writes of figures that failed; the next one makes up for it", ()),
)

METRICS: Final = {
    metric.name: metric
    for group in (_LISTENER, _HANDLER, _PROJECTION, _RECONCILIATION, _QUOTES, _OPERATION)
    for metric in group
}
"""Every figure by its name."""


def metric_of(name: str, kind: str, labels: Collection[str]) -> Metric:
    """Return the figure; KeyError where there is none of this name, kind and these label names."""
    metric = METRICS[name]
    if metric.kind != kind:
        raise KeyError(f"{name} is a {metric.kind}, not a {kind}")
    if set(labels) != set(metric.labels):
        raise KeyError(f"{name} has labels {metric.labels}")
    return metric
