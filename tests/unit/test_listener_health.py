from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.app.listener_health import ListenerHealth, ListenerObjectives
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments

_OBJECTIVES = ListenerObjectives(blocks_behind=10, lag_s=60, head_within_s=30, report_within_s=20)


def _judged(**changed: Any) -> tuple[bool, str]:
    """Return readiness and problems of a listener that keeps up, but for what is changed."""
    clock, documents = FakeClock(), MemoryDocuments()
    now = clock.now()
    report = {
        "at": now.isoformat(),
        "head": {"number": 100, "timestamp": 1},
        "headSeenAt": now.isoformat(),
        "behind": 0,
        "oldestUnreadAt": None,
        "trouble": None,
        "stopped": False,
        "limits": {"a": 1},
    }
    ages = {name: (now - timedelta(seconds=v)).isoformat() for name, v in changed.items() if name[-1] == "t"}
    documents.put("chain_listeners", "1", {**report, **changed, **ages})
    found = ListenerHealth(documents, [1], clock, _OBJECTIVES).read()
    assert "limits" not in found["chains"]["1"]
    assert found["ready"] == (not found["problems"])
    return found["ready"], "; ".join(found["problems"])


def test_a_listener_that_keeps_up_is_ready() -> None:
    """Nothing missed, nothing said."""
    assert _judged() == (True, "")
    assert _judged(behind=10, oldestUnreadAt=60, headSeenAt=30, at=20) == (True, "")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"behind": 11}, "chain 1: 11 blocks behind (at most 10)"),
        ({"behind": None}, "unknown"),
        ({"oldestUnreadAt": 61}, "unread for 61 s (at most 60 s)"),
        ({"headSeenAt": 31}, "no head for 31 s (at most 30 s)"),
        ({"headSeenAt": 31, "trouble": "endpoint 1 hung up"}, "endpoint 1 hung up"),
        ({"at": 21}, "no word of the listener for 21 s"),
        (
            {"otherHistory": True, "trouble": "block 5 was certified"},
            "nothing is read: block 5 was certified",
        ),
        ({"stopped": True, "trouble": "block 5 was certified"}, "stopped for good: block 5 was certified"),
    ],
)
def test_each_objective_that_is_missed_is_named(changed: dict[str, Any], words: str) -> None:
    """A problem names the chain, the figure and the objective."""
    ready, problems = _judged(**changed)
    assert not ready
    assert words in problems


def test_unknown_is_unhealthy() -> None:
    """Where no listener ever wrote, or no head was ever seen, nothing is ready."""
    found = ListenerHealth(MemoryDocuments(), [1, 5], FakeClock(), _OBJECTIVES).read()
    assert found["problems"] == ["chain 1: no listener ever ran", "chain 5: no listener ever ran"]
    ready, problems = _judged(head=None, headSeenAt=10**6)
    assert not ready
    assert "no head for" in problems
