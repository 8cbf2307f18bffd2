"""Killing use cases between any two of their writes, restarting them, and comparing what they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.app.event_log import EventLog
from shared.app.log_batch import LOGS, LogBatch
from shared.app.project_events import ProjectEvents
from shared.app.reconcile_report import is_straight
from shared.domain.events import EVENTS, REINSTATED, SUPERSEDED
from shared.domain.state import STATES
from shared.domain.topics import CHAIN_LOGS_DEAD
from shared.ports import Query
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shared.ports import Document, RawLog

_VERDICTS = (SUPERSEDED, REINSTATED)


class Killed(BaseException):
    """The process is gone."""


class Kill:
    """Counts writes to store and bus alike, and kills before number ``at`` (from 0) takes effect."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.writes = 0

    def __call__(self, _operation: str, _place: str, _key: str) -> None:
        """Count one write."""
        self.writes += 1
        if self.writes - 1 == self.at:
            raise Killed


class Cloud:
    """What the platform keeps while processes die: messages that nobody acknowledged, trigger events."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.messages: list[bytes] = []
        self.position: str | None = None

    def send(self, logs: list[RawLog], kind: str = LOGS, counter: int = 0) -> None:
        """Publish a batch of logs."""
        self.messages.append(LogBatch(kind, 1, counter, logs).encode())

    def deliver(self) -> None:
        """Deliver every message, then every trigger event; each counts as done once its function returns."""
        while self.messages:
            self.world.handler.handle(self.messages[0])
            del self.messages[0]
        for change in self.world.documents.watch(EVENTS, self.position, 1000):
            self.world.projection.catch_up([change.document])
            self.position = change.position


Scene = tuple[World, "Callable[[], object]"]


def restart(world: World) -> None:
    """Start every process anew on what is stored; the lease of the dead one has run out."""
    world.projection = ProjectEvents(world.documents, world.clock, world.metrics)
    world.log = EventLog(world.documents, world.clock, "handle_chain_event")
    world.handler = world.new_handler()
    world.clock.advance(world.settings.lease_s + 1)


def run(scene: Scene, kill: Kill) -> World:
    """Do the scene's work under the kill; if it struck, restart and do again what is not done."""
    world, work = scene
    world.documents.fail_at = world.bus.fail_at = kill  # type: ignore[attr-defined]
    try:
        work()
    except Killed:
        kill.at = None
        restart(world)
        work()
    world.documents.fail_at = world.bus.fail_at = None  # type: ignore[attr-defined]
    return world


def stored_events(world: World) -> dict[Any, Document]:
    """Return all events by what they are.

    A verdict is known by its target: which value of the reorg counter it took tells how often a process
    died, not what happened.
    """
    events: dict[Any, Document] = {}
    for key, event in world.documents.query(EVENTS, Query()):
        audit = {name: value for name, value in event["audit"].items() if name != "storedAt"}
        known: Any = key
        if event["eventType"] in _VERDICTS:
            known = (event["eventType"], event["data"]["targetEventId"])
            event["data"].pop("verdictSeq")
            audit.pop("eventHash")
            event.pop("eventId")
        assert known not in events, f"twice: {known}"
        events[known] = {**event, "audit": audit}
    return events


def stored_states(world: World) -> dict[str, Document]:
    """Return all states, the numbers of verdicts apart (see ``stored_events``)."""
    states = dict(world.documents.query(STATES, Query()))
    for state in states.values():
        state["verdicts"] = {key: verdict[1] for key, verdict in state["verdicts"].items()}
        state.pop("stateHash")
    return states


def letters(world: World) -> set[tuple[str, bytes]]:
    """Return the dead letters: a death after burying buries again, so these are at least once."""
    buried = [message for topic, message in world.bus.published if topic == CHAIN_LOGS_DEAD]
    return {(message.attributes["cause"], message.data) for message in buried}


def assert_as_undisturbed(make: Callable[[Path], Scene], directory: Path) -> int:
    """Kill at every write in turn and demand the outcome of the run that nothing disturbed."""
    count = Kill()
    calm = run(make(directory / "calm"), count)
    wanted = (stored_events(calm), stored_states(calm), letters(calm))
    assert_straight(calm)
    for at in range(count.writes):
        world = run(make(directory / str(at)), Kill(at))
        outcome = (stored_events(world), stored_states(world), letters(world))
        for found, expected in zip(outcome, wanted, strict=True):
            assert found == expected, f"killed at {at}"
        assert_straight(world)
    return count.writes


def assert_straight(world: World) -> None:
    """Demand that every state is what its events say, and that a further reconciliation finds nothing."""
    assert not world.projection.rebuild_all(check_only=True).different
    again = world.run()
    assert is_straight(again), again
    assert not again["createdCount"]
    assert not again["supersededCount"]
