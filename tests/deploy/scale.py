"""The tables of docs/scale.md: measured operations times list prices.

python -m tests.deploy.scale        # writes them anew
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Final

from shared.app.reconcile_settings import ReconcileSettings
from shared.config_numbers import NUMBERS
from shared.domain.schedules import SCHEDULES
from tests.deploy.offline.wheel_schema import ROOT
from tests.deploy.operations import (
    Operations,
    Reconciling,
    bytes_stored,
    handling,
    listening,
    reconciling,
    triggering,
)

PAGE: Final = ROOT / "docs" / "scale.md"
_MONTH_S: Final = 30 * 86_400
_EVENTS_A_TRANSFER: Final = 7
_OPEN_DAYS: Final = 3
_MONTHS_KEPT: Final = 12
VOLUMES: Final = (10**3, 10**6, 10**9)


@dataclass(frozen=True, slots=True)
class Price:
    """A list price of Google Cloud in US dollars, Iowa (us-central1)."""

    what: str
    dollars: float
    per: float
    unit: str
    source: str


FIRESTORE: Final = "https://cloud.google.com/firestore/pricing"
PUBSUB: Final = "https://cloud.google.com/pubsub/pricing"
RUN: Final = "https://cloud.google.com/run/pricing"
PRICES: Final = {
    "read": Price("Firestore reads", 0.03, 1e5, "100,000", FIRESTORE),
    "write": Price("Firestore writes", 0.09, 1e5, "100,000", FIRESTORE),
    "delete": Price("Firestore deletes", 0.01, 1e5, "100,000", FIRESTORE),
    "stored": Price("Firestore storage", 0.15, 2**30, "GiB and month", FIRESTORE),
    "message": Price("Pub/Sub, publishing and pushing", 40.0, 2**40, "TiB", PUBSUB),
    "request": Price("Cloud Run requests", 0.40, 1e6, "million", RUN),
    "cpu": Price("Cloud Run processor, while it serves", 0.000024, 1, "second", RUN),
    "memory": Price("Cloud Run memory, while it serves", 0.0000025, 1, "GiB and second", RUN),
    "cpu always": Price("Cloud Run processor, always", 0.000018, 1, "second", RUN),
    "memory always": Price("Cloud Run memory, always", 0.000002, 1, "GiB and second", RUN),
}
"""As published in November 2026, without free quotas and discounts; Firestore's multi-regions cost double."""
_MEMORY_GIB: Final = 0.5
_REQUEST_S: Final = 0.1
"""Each request is billed by 100 ms begun; none here takes longer on average."""
_MESSAGE_BYTES: Final = 2_000
_INDEXED: Final = 3.0
"""Index entries and names take about twice the document again."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was counted."""

    handling: Operations
    trigger: Operations
    step: Operations
    block: Operations
    runs: Reconciling
    event_bytes: float
    state_bytes: float


def measure() -> Measured:
    """Count everything; half a minute."""
    event_bytes, state_bytes = bytes_stored()
    return Measured(
        handling(), triggering(), listening(0), listening(1), reconciling(), event_bytes, state_bytes
    )


def cost(name: str, amount: float) -> float:
    """Return the dollars of an amount."""
    price = PRICES[name]
    return amount * price.dollars / price.per


def of(operations: Operations) -> float:
    """Return the dollars of operations on Firestore."""
    return (
        cost("read", operations.reads) + cost("write", operations.writes) + cost("delete", operations.deletes)
    )


def monthly(measured: Measured, events: int) -> dict[str, float]:
    """Return the dollars of a month, by part, with a year of transfers stored."""
    transfers = events / _EVENTS_A_TRANSFER
    stored = transfers * _MONTHS_KEPT
    settings = ReconcileSettings()
    open_ = transfers * _OPEN_DAYS / 30
    looked_at = open_ if open_ <= settings.every_run_limit else open_ / settings.rotation_runs
    in_turn = stored > settings.every_run_limit
    closed = measured.runs.closed_in_turn if in_turn else measured.runs.closed_transfer
    runs = _MONTH_S / SCHEDULES["reconcile"].every_s
    reconciliation = (
        measured.runs.run
        + measured.runs.open_transfer * looked_at
        + closed * (stored - open_)
        + measured.runs.swept_event * min(settings.sweep_limit, stored * (_EVENTS_A_TRANSFER + 1))
    )
    served = _REQUEST_S * (cost("cpu", 1) + cost("memory", _MEMORY_GIB)) + cost("request", 1)
    steps = _MONTH_S / 12  # a block of Ethereum each; docs/scale.md tells of faster chains
    reports = Operations(reads=1, writes=1) * (_MONTH_S / NUMBERS["report_s"].default)
    leases = Operations(reads=1, writes=1) * (_MONTH_S / (NUMBERS["listener_lease_s"].default / 3))
    kept = (measured.event_bytes * (_EVENTS_A_TRANSFER + 1) + measured.state_bytes) * _INDEXED
    return {
        "listener, running": _MONTH_S * (cost("cpu always", 1) + cost("memory always", _MEMORY_GIB)),
        "listener, Firestore": of(measured.step * steps + reports + leases + measured.block * events),
        "events and states, Firestore": of((measured.handling + measured.trigger) * events),
        "functions": served * 2 * events,
        "messages": cost("message", _MESSAGE_BYTES * 2 * events),
        "reconciliation, Firestore": of(reconciliation * runs),
        "storage after a year": cost("stored", stored * kept),
    }


def operations_table(measured: Measured) -> str:
    """Return what was counted."""
    rows = (
        ("an event, handled and projected live", measured.handling),
        ("… its trigger, which finds it projected", measured.trigger),
        ("a step of the listener without our logs", measured.step),
        ("a block with a log of ours", measured.block),
        ("a reconciliation at all", measured.runs.run),
        ("… for each open transfer", measured.runs.open_transfer),
        ("… for each closed one", measured.runs.closed_transfer),
        ("… past 20,000 that are mapped", measured.runs.closed_in_turn),
        ("… for each event that the sweeps look at, at most 5,000", measured.runs.swept_event),
    )
    lines = ["| | reads | writes | deletes | messages |", "|---|---|---|---|---|"]
    for name, each in rows:
        figures = (each.reads, each.writes, each.deletes, each.messages)
        lines.append(
            f"| {name} | " + " | ".join(f"{figure:.2f}".rstrip("0").rstrip(".") for figure in figures) + " |"
        )
    lines.append(
        f"\nAn event is {measured.event_bytes:,.0f} bytes of JSON,"
        f" a state after a whole life {measured.state_bytes:,.0f}."
    )
    return "\n".join(lines) + "\n"


def prices_table() -> str:
    """Return the prices."""
    lines = ["| | US dollars | per | source |", "|---|---|---|---|"]
    lines += [f"| {p.what} | {_plain(p.dollars)} | {p.unit} | {p.source} |" for p in PRICES.values()]
    return "\n".join(lines) + "\n"


def costs_table(measured: Measured) -> str:
    """Return the months."""
    months = [monthly(measured, events) for events in VOLUMES]
    lines = [
        "| events a month | " + " | ".join(f"{events:,}" for events in VOLUMES) + " |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {part} | " + " | ".join(_dollars(month[part]) for month in months) + " |" for part in months[0]
    ]
    lines.append(
        "| **all** | " + " | ".join(f"**{_dollars(sum(month.values()))}**" for month in months) + " |"
    )
    return "\n".join(lines) + "\n"


def _plain(number: float) -> str:
    return f"{number:.7f}".rstrip("0").rstrip(".")


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"


def blocks(measured: Measured) -> dict[str, str]:
    """Return every table by its mark on the page."""
    return {
        "operations": operations_table(measured),
        "prices": prices_table(),
        "costs": costs_table(measured),
    }


def written() -> dict[str, str]:
    """Return the tables that the page has."""
    text = PAGE.read_text("utf-8")
    return dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", text, re.DOTALL))


def main() -> int:
    """Write the page."""
    text = PAGE.read_text("utf-8")
    for mark, table in blocks(measure()).items():
        text = re.sub(
            rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)",
            lambda m, t=table: m[1] + t + m[2],
            text,
            flags=re.DOTALL,
        )
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
