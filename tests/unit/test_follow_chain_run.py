from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.metrics import LISTENER_STOPPED
from shared.errors import (
    ChainUnavailable,
    Conflict,
    FinalityViolation,
    PlumblineError,
    RateLimited,
    StoreUnavailable,
)
from tests.support.listener import Fuse, Scene

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.mark.parametrize(
    ("took_s", "pauses"), [(0.0, [1, 2, 4, 4]), (1.5, [1, 1, 2.5, 2.5]), (5.0, [1, 1, 1, 1])]
)
def test_what_a_failure_took_is_part_of_its_pause(took_s: float, pauses: list[float]) -> None:
    """A time-out was a pause already: after it only the first one, the shortest, is made besides."""
    scene = Scene(backoff_s=1.0, max_backoff_s=4.0)
    stop = _Stop(scene, len(pauses))

    def time_out() -> None:
        scene.chain.before_request(1, time_out)
        scene.clock.advance(took_s)
        raise ChainUnavailable("it did not answer in time")

    scene.chain.before_request(1, time_out)
    scene.follow.run(stop)
    assert stop.waited == pauses


def test_a_contradicted_history_is_told_at_once_and_taken_back_once_it_is_over() -> None:
    """Before it is believed, nothing is read, and whoever asks for health learns of it."""
    scene = Scene(window=4)
    scene.grow(20)
    scene.settle()
    ours = list(scene.chain.blocks)
    scene.chain.reorg(10)
    scene.follow.run(_Stop(scene, 1))
    assert (scene.store.get("chain_listeners", "1") or {})["otherHistory"]
    scene.chain.blocks = ours
    scene.grow(1)
    scene.clock.advance(scene.settings.report_s)
    scene.follow.run(_Stop(scene, 1))
    assert not (scene.store.get("chain_listeners", "1") or {})["otherHistory"]
    scene.assert_straight()


def test_another_chain_is_told_for_as_long_as_it_lasts() -> None:
    """The node is asked again and again, and health says all the while that nothing is read."""
    scene = Scene()
    scene.grow(20)
    scene.settle()
    scene.chain.reorg(10)
    scene.chain.serves(5)
    for _ in range(3):
        scene.follow.run(_Stop(scene, 3))
        assert (scene.store.get("chain_listeners", "1") or {})["otherHistory"]
    assert scene.logs(removed=True) == []


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


class _Away(Fuse):
    """Writes fail with an error while ``away``."""

    def __init__(self, error: PlumblineError) -> None:
        super().__init__()
        self.away = False
        self._error = error

    def write(self, work: Callable[[], Any]) -> Any:
        """Write, or fail."""
        if self.away:
            raise self._error
        return super().write(work)


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full"), Conflict("too much contention")])
def test_a_store_that_is_away_is_waited_for(error: PlumblineError) -> None:
    """Not even the report can be written then: the run goes on, and is where it should be once it is back."""
    scene, store = Scene(), _Away(error)
    follow = scene.listener(store)
    scene.grow(5)
    follow.run(_Stop(scene, 1))
    scene.grow(5)
    store.away = True
    follow.run(_Stop(scene, 20))
    store.away = False
    follow.run(_Stop(scene, 1))
    assert scene.cursor()["readThrough"] == 10
    scene.assert_straight()


def test_a_violation_that_cannot_be_written_down_ends_the_run_all_the_same() -> None:
    """What stops the listener is raised, whatever the store does."""
    scene, store = Scene(window=4, violation_s=0), _Away(StoreUnavailable("the disk is full"))
    follow = scene.listener(store)
    scene.grow(20)
    scene.settle(follow)
    scene.chain.reorg(10)

    def leave() -> None:
        store.away = True

    scene.chain.before_request(3, leave)
    with pytest.raises(FinalityViolation):
        follow.run(_Stop(scene, 3))
