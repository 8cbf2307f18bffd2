from __future__ import annotations

import pytest

from shared.domain.metrics import LISTENER_STOPPED
from shared.errors import FinalityViolation, RateLimited
from tests.support.listener import Scene


class _Stop:
    """A stop signal that lets a number of pauses pass."""

    def __init__(self, scene: Scene, pauses: int) -> None:
        self.waited: list[float] = []
        self._scene = scene
        self._pauses = pauses

    def is_set(self) -> bool:
        return len(self.waited) >= self._pauses

    def pause(self, timeout: float) -> bool:
        return self.wait(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        self._scene.clock.advance(timeout or 0.0)
        return self.is_set()


def test_running_backs_off_from_failures_and_recovers() -> None:
    """Pauses double up to the longest, then fall back to polling; the lease is given back at the end."""
    scene = Scene(backoff_s=1.0, max_backoff_s=4.0, poll_s=0.25)
    scene.grow(3)
    scene.chain.reachable = False
    stop = _Stop(scene, 4)
    scene.follow.run(stop)
    assert stop.waited == [1.0, 2.0, 4.0, 4.0]
    scene.chain.reachable = True
    stop = _Stop(scene, 2)
    scene.follow.run(stop)
    assert stop.waited == [0.25, 0.25]
    assert scene.logs() == scene.canonical()
    assert not scene.listener(owner="two").step().standby


def test_running_waits_as_long_as_the_endpoint_asks() -> None:
    """A Retry-After outlasts our own pause."""
    scene = Scene()
    scene.grow(3)

    def refuse() -> None:
        raise RateLimited("slow down", 17.0)

    scene.chain.before_request(2, refuse)
    stop = _Stop(scene, 1)
    scene.follow.run(stop)
    assert stop.waited == [17.0]


def test_running_ends_with_a_permanent_error_and_says_so() -> None:
    """What no retry can cure ends the run, and stands where whoever asks for health will find it."""
    scene = Scene(window=4, violation_s=0)
    scene.grow(20)
    scene.settle()
    scene.chain.reorg(10)
    with pytest.raises(FinalityViolation):
        scene.follow.run(_Stop(scene, 1))
    report = scene.store.get("chain_listeners", "1") or {}
    assert report["stopped"]
    assert scene.metrics.gauges[LISTENER_STOPPED, "1"] == 1
    assert "certified" in report["trouble"]
