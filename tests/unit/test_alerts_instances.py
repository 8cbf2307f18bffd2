"""An alert that several instances raise, close and tend, in a storm, and after a hand has been at it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.app.alerts import ALERTS
from shared.domain.metrics import ALERTS_FAILED
from shared.ports import CLOSED, OPENED, REPEATED
from tests.support.alerts import PASSING, TROUBLE, MemorySink, Scene, away


@pytest.fixture
def scene() -> Scene:
    """Return an empty one."""
    return Scene()


def test_a_second_instance_tells_nothing_twice(scene: Scene) -> None:
    """What one has told, or is telling this very moment, another leaves alone."""
    other = scene.instance()
    scene.sink.first = lambda notice: other.open(TROUBLE) if notice.kind == OPENED else None
    scene.alerts.open(TROUBLE)
    scene.sink.first = None
    other.open(TROUBLE)
    scene.instance().open(TROUBLE)
    scene.instance().close("trouble")
    other.close("trouble")
    assert scene.sink.told == [(OPENED, "trouble"), (CLOSED, "trouble")]


def test_an_instance_that_died_while_it_told_leaves_the_notice_to_the_next(scene: Scene) -> None:
    """Once a minute is over the opening counts as not sent, and is sent."""

    class Killed(BaseException):
        """Ends an instance on the spot."""

    scene.sink.failure = Killed()  # type: ignore[assignment]
    with pytest.raises(Killed):
        scene.alerts.open(TROUBLE)
    scene.sink.failure = None
    scene.instance().open(TROUBLE)
    assert scene.sink.told == []
    scene.clock.advance(61)
    scene.instance().open(TROUBLE)
    assert scene.sink.told == [(OPENED, "trouble")]


def test_it_closes_while_its_opening_is_on_its_way(scene: Scene) -> None:
    """The end is told after all, by whoever tends the alerts next."""
    other = scene.instance()
    scene.sink.first = lambda notice: other.close("trouble") if notice.kind == OPENED else None
    scene.alerts.open(TROUBLE)
    scene.alerts.tend()
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "trouble"), (CLOSED, "trouble")]


def test_it_opens_again_while_its_end_is_on_its_way(scene: Scene) -> None:
    """Whoever has just heard of the end hears of the new beginning as one."""
    other = scene.instance()
    scene.alerts.open(TROUBLE)
    scene.clock.advance(600)
    scene.sink.first = lambda notice: other.open(TROUBLE) if notice.kind == CLOSED else None
    scene.alerts.close("trouble")
    scene.sink.first = None
    scene.alerts.tend()
    assert [kind for kind, _ in scene.sink.told] == [OPENED, CLOSED, OPENED]


def test_who_tends_what_one_sink_did_not_take_repeats_nothing_to_another() -> None:
    """Only trouble that is seen again is said again."""
    broken = away()
    scene = Scene(broken)
    scene.alerts.open(TROUBLE)
    scene.clock.advance(10_000)
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "trouble")]
    assert scene.metrics.counters[ALERTS_FAILED, "away"] == 2


def test_trouble_in_a_storm_is_one_transaction_each_half_minute(scene: Scene) -> None:
    """A thousand dead letters a minute do not queue up at one document."""
    for _ in range(1_000):
        scene.alerts.open(PASSING)
        scene.clock.advance(0.06)
    assert scene.documents.get(ALERTS, "letters")["raised"] <= 3


@pytest.mark.parametrize(
    "change",
    [
        {"open": "yes"},
        {"openedAt": 5},
        {"openedAt": "2026-01-01T00:00:00"},
        {"sinks": []},
        {"sinks": {"memory": {"notices": "many", "dueAt": "2026-01-01T00:00:00+00:00"}}},
        {"sinks": {"memory": {"notices": 1}}},
        {"raised": None},
        {"overSince": "yesterday"},
        {"detail": "text"},
    ],
)
def test_a_document_that_somebody_edited_opens_anew(scene: Scene, change: dict[str, Any]) -> None:
    """What is no alert's state any more stops nothing and hides nothing."""
    scene.alerts.open(TROUBLE)
    stored = scene.documents.get(ALERTS, "trouble")
    scene.documents.put(ALERTS, "trouble", {**stored, **change})
    scene.clock.advance(120)
    scene.alerts.tend()
    scene.alerts.open(TROUBLE)
    assert scene.sink.told == [(OPENED, "trouble"), (OPENED, "trouble")]


def test_a_sink_that_is_configured_later_is_told_of_what_stands(scene: Scene) -> None:
    """Nobody has to wait for the next trouble to see that it works."""
    scene.alerts.open(TROUBLE)
    late = MemorySink("late")
    scene.sinks.append(late)
    scene.clock.advance(120)
    scene.instance().open(TROUBLE)
    assert late.told == [(OPENED, "trouble")]
    assert scene.sink.told == [(OPENED, "trouble")]


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "tend", "wait"]),
        st.integers(0, 2),
        st.sampled_from(["works", "fails"]),
    ),
    max_size=40,
)


@settings(max_examples=200)
@example([("open", 0, "works"), ("close", 0, "fails"), ("open", 0, "fails"), ("close", 0, "works")], 0.0)
@given(steps=_STEPS, settle_s=st.sampled_from([0.0, 540.0]))
def test_every_sink_hears_a_story_that_makes_sense(
    steps: list[tuple[str, int, str]], settle_s: float
) -> None:
    """Whatever instances do in whatever order: opened, then repeated, then closed, then opened again."""
    scene = Scene(settle_s=settle_s)
    instances = [scene.instance() for _ in range(3)]
    for action, number, sink in steps:
        scene.sink.failure = OSError("away") if sink == "fails" else None
        if action == "wait":
            scene.clock.advance(1_800)
        elif action == "tend":
            instances[number].tend()
        elif action == "open":
            scene.clock.advance(31)
            instances[number].open(TROUBLE)
        else:
            instances[number].close("trouble")
    scene.sink.failure = None
    scene.clock.advance(61)
    instances[0].tend()
    last = CLOSED
    for kind, _ in scene.sink.told:
        # A new life may begin before the end of the one before could be told.
        assert (last, kind) not in {(CLOSED, REPEATED), (CLOSED, CLOSED)}
        last = kind
    stored = scene.documents.get(ALERTS, "trouble")
    assert (last != CLOSED) == bool(stored and stored["open"])
