"""Projecting event 10,000 of one transfer against event 10.

Run: ``python -m tests.performance.bench_projection``. Exits 1 above 1.2 times.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from shared.adapters.sqlite import SqliteDocuments
from tests.support.projection import projection_on

TARGET_RATIO = 1.2
_LAST, _SAMPLE = 10_000, 200


def event(number: int) -> dict[str, Any]:
    """Return the start of a transfer, then one approval of a single document after the other."""
    return {
        "eventId": f"event-{number:06}",
        "eventType": "rollover.document_approved" if number else "rollover.started",
        "rolloverId": "one",
        "timestamp": f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "sourceCustodianId": "alpha",
        "destinationCustodianId": "beta",
        "data": {},
        "audit": {"storedAt": "2026-01-01T00:00:00+00:00"},
    }


def main() -> int:
    """Run, print, and say whether the target was reached."""
    with tempfile.TemporaryDirectory() as directory:
        documents = SqliteDocuments(Path(directory) / "store.sqlite")
        projection = projection_on(documents)
        took = []
        for number in range(_LAST + 1):
            one = event(number)
            documents.create("events", one["eventId"], one)
            begun = time.perf_counter()
            projection.project([one])
            took.append(time.perf_counter() - begun)
    early = statistics.median(took[10 : 10 + _SAMPLE])
    late = statistics.median(took[-_SAMPLE:])
    ratio = late / early
    print(  # noqa: T201
        f"events 10 to {10 + _SAMPLE}: {early * 1e6:.0f} µs each; the last {_SAMPLE} of {_LAST:,}: "
        f"{late * 1e6:.0f} µs each; ratio {ratio:.2f} (at most {TARGET_RATIO})"
    )
    return 0 if ratio <= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
