"""The life of an alert: opened once, repeated ever more rarely, closed; whatever sinks and store do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.app.alerts import ALERTS, Alerts, AlertSettings
from shared.domain.metrics import ALERTS_FAILED, ALERTS_SENT
from shared.errors import StoreUnavailable
from shared.ports import CLOSED, OPENED, REPEATED, Alert
from tests.support.alerts import MemorySink, away
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.metrics import MemoryMetrics

if TYPE_CHECKING:
    from shared.ports import AlertSink

TROUBLE = Alert("trouble", "error", "There is trouble", {"count": 3})
PASSING = Alert("letters", "error", "Letters", {}, passing=True)


class Scene:
    """Alerts over a store in memory, at a time that stands still."""

    def __init__(self, *sinks: AlertSink) -> None:
        self.documents = MemoryDocuments()
        self.clock = FakeClock()
        self.metrics = MemoryMetrics()
        self.sink = MemorySink()
        self.sinks = [self.sink, *sinks]
        self.alerts = self.instance()

    def instance(self) -> Alerts:
        """Return the alerts of another instance of a function."""
        return Alerts(self.documents, self.sinks, self.clock, self.metrics, AlertSettings())

    def stands(self, hours: float) -> None:
        """Raise the same trouble each five minutes for so long."""
        for _ in range(round(hours * 12)):
            self.clock.advance(300)
            self.alerts.open(TROUBLE)


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
@example([("open", 0, "works"), ("close", 0, "fails"), ("open", 0, "fails"), ("close", 0, "works")])
@given(steps=_STEPS)
def test_every_sink_hears_a_story_that_makes_sense(steps: list[tuple[str, int, str]]) -> None:
    """Whatever instances do in whatever order: opened, then repeated, then closed, then opened again."""
    scene = Scene()
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
