"""The life of an alert: opened once, repeated ever more rarely, closed; whatever sinks and store do."""

from __future__ import annotations

import pytest

from shared.app.alerts import ALERTS
from shared.domain.metrics import ALERTS_FAILED, ALERTS_SENT
from shared.errors import StoreUnavailable
from shared.ports import CLOSED, OPENED, REPEATED
from tests.support.alerts import PASSING, TROUBLE, Scene, away


@pytest.fixture
def scene() -> Scene:
    """Return an empty one."""
    return Scene()


def test_it_opens_once_and_closes_once(scene: Scene) -> None:
    """However often the same trouble is seen within the hour there is one notice, and one at its end."""
    scene.alerts.open(TROUBLE)
    scene.stands(0.9)
    scene.alerts.close("trouble")
    scene.alerts.close("trouble")
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "trouble"), (CLOSED, "trouble")]
    assert scene.metrics.counters[ALERTS_SENT, "memory", OPENED] == 1
    assert scene.metrics.counters[ALERTS_SENT, "memory", CLOSED] == 1


def test_what_never_opened_does_not_close(scene: Scene) -> None:
    """Saying each five minutes that all is well tells nobody anything, and writes nothing."""
    scene.alerts.close("trouble")
    assert scene.sink.told == []
    assert scene.documents.count(ALERTS) == 0


def test_while_it_stands_it_is_repeated_ever_more_rarely(scene: Scene) -> None:
    """After one hour, two, four, and so on, at last once a day; with what is known by then."""
    scene.alerts.open(TROUBLE)
    begun = scene.clock.now()
    told_after = []
    for _ in range(12 * 24 * 5):
        before = len(scene.sink.notices)
        scene.stands(1 / 12)
        if len(scene.sink.notices) > before:
            told_after.append(round((scene.clock.now() - begun).total_seconds() / 3600))
    assert told_after == [1, 3, 7, 15, 31, 55, 79, 103]
    assert {notice.kind for notice in scene.sink.notices[1:]} == {REPEATED}
    assert scene.sink.notices[-1].raised > 1_000
    assert scene.sink.notices[-1].opened_at == begun


def test_it_opens_anew_after_it_was_closed(scene: Scene) -> None:
    """Another life begins with an opening and the first pause."""
    scene.alerts.open(TROUBLE)
    scene.stands(5)
    scene.alerts.close("trouble")
    scene.clock.advance(60)
    scene.alerts.open(TROUBLE)
    scene.stands(1.1)
    assert [kind for kind, _ in scene.sink.told[-3:]] == [CLOSED, OPENED, REPEATED]
    assert scene.sink.notices[-1].raised < 20


def test_trouble_that_comes_and_goes_is_one_alert() -> None:
    """Every other run finds it: one opening, repetitions as due, and one end, once it stays away."""
    scene = Scene(settle_s=540)
    for _ in range(24):
        scene.alerts.open(TROUBLE)
        scene.clock.advance(300)
        scene.alerts.close("trouble")
        scene.clock.advance(300)
    assert [kind for kind, _ in scene.sink.told] == [OPENED, REPEATED, REPEATED]
    assert scene.sink.notices[-1].raised == 19
    scene.instance().close("trouble")
    scene.clock.advance(300)
    scene.alerts.close("trouble")
    assert [kind for kind, _ in scene.sink.told][3:] == [CLOSED]
    scene.alerts.open(TROUBLE)
    assert [kind for kind, _ in scene.sink.told][4:] == [OPENED]


def test_what_is_over_closes_though_nobody_says_so_again() -> None:
    """Who tends the alerts ends what has stayed away; while it may come back nothing is repeated."""
    scene = Scene(settle_s=7_200)
    scene.alerts.open(TROUBLE)
    scene.alerts.close("trouble")
    scene.clock.advance(7_000)
    scene.alerts.close("trouble")
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "trouble")]
    scene.clock.advance(201)
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "trouble"), (CLOSED, "trouble")]


def test_a_passing_alert_closes_when_nothing_more_comes(scene: Scene) -> None:
    """Nobody says that it is over; an hour without news does."""
    scene.alerts.open(PASSING)
    scene.clock.advance(3_000)
    scene.alerts.open(PASSING)
    scene.clock.advance(3_000)
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "letters")]
    scene.clock.advance(600)
    scene.alerts.tend()
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "letters"), (CLOSED, "letters")]


def test_what_stands_is_not_closed_by_silence(scene: Scene) -> None:
    """An alert that has an end of its own waits for it."""
    scene.alerts.open(TROUBLE)
    scene.clock.advance(1_000_000)
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "trouble")]


def test_a_sink_that_fails_holds_up_no_other_and_is_tried_again() -> None:
    """It is counted; once it is back it gets the opening, and the other one is told nothing twice."""
    broken = away()
    scene = Scene(broken)
    scene.alerts.open(TROUBLE)
    assert scene.sink.told == [(OPENED, "trouble")]
    assert scene.metrics.counters[ALERTS_FAILED, "away"] == 1
    broken.failure = None
    scene.clock.advance(61)
    scene.alerts.tend()
    scene.alerts.tend()
    assert broken.told == [(OPENED, "trouble")]
    assert scene.sink.told == [(OPENED, "trouble")]


def test_a_sink_that_never_heard_of_it_is_not_told_of_its_end() -> None:
    """A closing without an opening would only puzzle."""
    broken = away()
    scene = Scene(broken)
    scene.alerts.open(TROUBLE)
    scene.clock.advance(120)
    broken.failure = None
    scene.alerts.close("trouble")
    scene.alerts.tend()
    assert broken.told == []
    assert scene.sink.told == [(OPENED, "trouble"), (CLOSED, "trouble")]
    assert not scene.documents.get(ALERTS, "trouble")["untold"]


def test_a_closing_that_was_not_taken_is_tried_again(scene: Scene) -> None:
    """Nobody goes on believing in trouble that is over."""
    scene.alerts.open(TROUBLE)
    scene.sink.failure = RuntimeError("a fault of the sink's own")
    scene.clock.advance(600)
    scene.alerts.close("trouble")
    scene.sink.failure = None
    scene.clock.advance(61)
    scene.alerts.tend()
    scene.alerts.tend()
    assert scene.sink.told == [(OPENED, "trouble"), (CLOSED, "trouble")]


@pytest.mark.parametrize("failure", [RuntimeError("a bug"), TypeError("none"), OSError("no network")])
def test_no_fault_of_a_sink_fails_the_work(scene: Scene, failure: Exception) -> None:
    """Whatever a vendor's library raises ends here, counted."""
    scene.sink.failure = failure
    scene.alerts.open(TROUBLE)
    scene.alerts.close("trouble")
    scene.alerts.tend()
    assert scene.metrics.counters[ALERTS_FAILED, "memory"] >= 1


def test_a_store_that_is_away_does_not_fail_the_work(scene: Scene) -> None:
    """That the alert's state could not be kept is counted; nothing is told that nobody could take back."""

    def fail(*_: str) -> None:
        raise StoreUnavailable("it is away")

    scene.documents.fail_at = fail
    scene.alerts.open(TROUBLE)
    scene.alerts.close("trouble")
    scene.alerts.tend()
    assert scene.sink.told == []
    assert scene.metrics.counters[ALERTS_FAILED, "store"] == 1
