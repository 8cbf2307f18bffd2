"""How logs are cut into messages and documents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.app.log_batch import LOGS, LogBatch, cut

_HASH = "0x" + "ab" * 32


def _log(data_bytes: int) -> dict[str, object]:
    place = {"blockHash": _HASH, "transactionHash": _HASH, "address": "0x" + "cd" * 20, "removed": False}
    numbers = dict.fromkeys(("blockNumber", "transactionIndex", "logIndex", "blockTimestamp"), "0x7fffffff")
    return {**place, **numbers, "topics": [_HASH] * 4, "data": "0x" + "00" * data_bytes}


@given(st.lists(st.integers(0, 3000), max_size=60), st.integers(1, 20), st.integers(1, 30_000))
def test_parts_are_small_and_lose_nothing(sizes: list[int], most_logs: int, most_bytes: int) -> None:
    """Parts hold all logs in order, none too many, and none too large that could be smaller."""
    logs = [_log(size) for size in sizes]
    parts = list(cut(logs, most_logs, most_bytes))
    assert [log for _, part in parts for log in part] == logs
    assert [at for at, _ in parts] == [sum(len(p) for _, p in parts[:n]) for n in range(len(parts))]
    for _, part in parts:
        assert 0 < len(part) <= most_logs
        assert len(part) == 1 or len(LogBatch(LOGS, 1, 0, part).encode()) <= most_bytes
