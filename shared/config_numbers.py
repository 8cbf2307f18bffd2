"""Every numeric setting: its variable, its default and least value, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric setting: its variable, default and least value, and what it is for."""

    variable: str
    default: float
    least: float
    meaning: str


NUMBERS: Final = {
    "start_block": Number(
        "PLUMBLINE_START_BLOCK", -1, -1, "first block to read; -1: the contracts' deployment block"
    ),
    "poll_s": Number("PLUMBLINE_POLL_S", 0.5, 0.05, "seconds between two looks at an unchanged head"),
    "tags_s": Number("PLUMBLINE_TAGS_S", 5.0, 0.1, "seconds between two looks at safe and finalized"),
    "max_range": Number("PLUMBLINE_MAX_RANGE", 2000, 1, "most blocks in one log query"),
    "max_logs": Number("PLUMBLINE_MAX_LOGS", 10_000, 1, "logs in a window past which the next is narrower"),
    "window": Number("PLUMBLINE_WINDOW", 128, 1, "blocks below the head that a reorg may take back"),
    "publish_batch": Number("PLUMBLINE_PUBLISH_BATCH", 1000, 1, "most logs in one message"),
    "listener_lease_s": Number(
        "PLUMBLINE_LISTENER_LEASE_S", 10.0, 1, "seconds a dead listener keeps another waiting"
    ),
    "max_backoff_s": Number(
        "PLUMBLINE_MAX_BACKOFF_S", 3.0, 0.1, "longest pause of the listener after failures"
    ),
    "max_retry_after_s": Number(
        "PLUMBLINE_MAX_RETRY_AFTER_S",
        5.0,
        0.1,
        "longest pause that an endpoint is granted which asks for one (Retry-After); then it is asked again",
    ),
    "second_reading_s": Number(
        "PLUMBLINE_SECOND_READING_S", 5.0, 0, "age at which blocks read once are read again"
    ),
    "violation_s": Number(
        "PLUMBLINE_VIOLATION_S",
        10.0,
        0,
        "seconds a certified block must have another hash until the listener stops for good",
    ),
    "prove_blocks": Number(
        "PLUMBLINE_PROVE_BLOCKS",
        10_000,
        0,
        "blocks this near to the head are then proved, older ones witnessed",
    ),
    "report_s": Number("PLUMBLINE_REPORT_S", 2.0, 0.1, "seconds between two reports of the listener"),
    "socket_silent_s": Number(
        "PLUMBLINE_SOCKET_SILENT_S", 60.0, 1, "silence after which a websocket is opened anew"
    ),
    "probe_s": Number(
        "PLUMBLINE_PROBE_S", 15.0, 1, "seconds between two looks at the other endpoints' heads"
    ),
    "max_lag": Number("PLUMBLINE_MAX_LAG", 5, 1, "blocks that an endpoint's head may be behind another's"),
    "fee_blocks": Number(
        "PLUMBLINE_FEE_BLOCKS", 1000, 0, "blocks whose fees the listener keeps, in hundreds; 0: none"
    ),
    "health_port": Number(
        "PLUMBLINE_HEALTH_PORT",
        8080,
        0,
        "port of the listener's health and metrics, unless PORT is set; 0: any",
    ),
    "request_timeout_s": Number(
        "PLUMBLINE_REQUEST_TIMEOUT_S", 30.0, 0.1, "longest time-out of one RPC request"
    ),
    "page_size": Number("PLUMBLINE_RECONCILE_PAGE", 1000, 1, "transfers in one multicall"),
    "budget_s": Number(
        "PLUMBLINE_RECONCILE_BUDGET_S", 240.0, 1, "seconds after which a run stops and the next goes on"
    ),
    "every_run_limit": Number(
        "PLUMBLINE_RECONCILE_EVERY_RUN",
        20_000,
        0,
        "open transfers of a contract, or mapped ones, up to which all are looked at",
    ),
    "rotation_runs": Number(
        "PLUMBLINE_RECONCILE_ROTATION", 72, 1, "beyond that, runs within which each is checked once"
    ),
    "grace_s": Number("PLUMBLINE_RECONCILE_GRACE_S", 60.0, 0, "seconds a step is late, not missing"),
    "late_s": Number(
        "PLUMBLINE_RECONCILE_LATE_S",
        3600.0,
        0,
        "seconds after which what the listener left unread is missing",
    ),
    "reconcile_lease_s": Number(
        "PLUMBLINE_RECONCILE_LEASE_S", 60.0, 1, "seconds a killed run keeps the next one waiting"
    ),
    "alert_mismatches": Number(
        "PLUMBLINE_ALERT_MISMATCHES", 5, 0, "mismatches beyond which a run raises the alert"
    ),
    "lag_s": Number(
        "PLUMBLINE_LAG_S", 60.0, 1, "age of an unread block past which the listener is not ready"
    ),
    "head_within_s": Number(
        "PLUMBLINE_HEAD_WITHIN_S", 30.0, 1, "seconds without a head past which the listener is not ready"
    ),
    "report_within_s": Number(
        "PLUMBLINE_REPORT_WITHIN_S", 30.0, 1, "seconds without a report past which the listener is not ready"
    ),
    "alert_repeat_s": Number(
        "PLUMBLINE_ALERT_REPEAT_S",
        3600.0,
        60,
        "seconds until an alert that stands is said again; then doubled",
    ),
    "alert_longest_s": Number(
        "PLUMBLINE_ALERT_LONGEST_S", 86_400.0, 60, "longest pause between two repetitions of an alert"
    ),
    "alert_quiet_s": Number(
        "PLUMBLINE_ALERT_QUIET_S", 3600.0, 60, "seconds without news after which a passing alert closes"
    ),
    "alert_settle_s": Number(
        "PLUMBLINE_ALERT_SETTLE_S",
        540.0,
        0,
        "seconds for which trouble must stay away before its alert closes",
    ),
    "blocks_behind": Number("PLUMBLINE_BLOCKS_BEHIND", 50, 0, "unread blocks past which status is bad"),
    "quote_history": Number(
        "PLUMBLINE_QUOTE_HISTORY", 300, 20, "blocks of fee history that quotes ask for at a cold start"
    ),
    "quote_records_s": Number(
        "PLUMBLINE_QUOTE_RECORDS_S", 30.0, 0, "seconds for which what receipts taught is not read again"
    ),
    "reconciled_within_s": Number(
        "PLUMBLINE_RECONCILED_WITHIN_S", 900.0, 1, "age of the last run past which status is bad"
    ),
}
"""Every numeric setting by its name in ``Settings.numbers``."""


def read_number(environ: Mapping[str, str], number: Number) -> float:
    """Return what is set, or the default; ConfigError names the variable that is wrong."""
    text = environ.get(number.variable, "").strip()
    if not text:
        return number.default
    try:
        value = float(text)
    except ValueError:
        # Neither the value nor Python's word on it: what was pasted here may be a URL with a key.
        raise ConfigError(f"{number.variable} must be a number of at least {number.least:g}") from None
    # Written so that NaN, which compares with nothing, is refused as well.
    if not number.least <= value < float("inf"):
        raise ConfigError(f"{number.variable} must be at least {number.least:g}, not {text}")
    if isinstance(number.default, int) and value != int(value):
        raise ConfigError(f"{number.variable} must be a whole number, not {text}")
    return value
