"""Lies of a log index, and a listener's scene in which they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.listener import Scene
from tests.support.world import Alerts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.ports import RawLog

OTHER_TRANSFER = "0x" + "ee" * 32


def number_of(raw: RawLog) -> int:
    """Return the height of a log's block."""
    return int(raw["blockNumber"], 16)


def made_up(raw: RawLog) -> dict[str, Any]:
    """Return a log of the same transaction that there is not."""
    return {**raw, "logIndex": hex(int(raw["logIndex"], 16) + 50)}


def of_another_transaction(raw: RawLog) -> dict[str, Any]:
    """Return the log as if another transaction had it, at the same index."""
    return {**raw, "transactionHash": "0x" + "ab" * 32}


def altered(raw: RawLog) -> dict[str, Any]:
    """Return the log with another transfer in it."""
    return {**raw, "topics": [raw["topics"][0], OTHER_TRANSFER]}


LIES: dict[str, Callable[[RawLog], Sequence[RawLog]]] = {
    "made up": lambda raw: [raw, made_up(raw)],
    "altered": lambda raw: [altered(raw)],
    "of another transaction": lambda raw: [of_another_transaction(raw)],
    "hidden": lambda _: [],
    "hidden behind one made up": lambda raw: [made_up(raw)],
    "altered and one made up": lambda raw: [altered(raw), made_up(raw)],
}


def wait(scene: Scene, times: int = 40) -> None:
    """Let second readings fall due, so many times."""
    for _ in range(times):
        scene.clock.advance(scene.settings.second_reading_s + 1)
        scene.settle()


def lie_at(scene: Scene, lies: dict[int, str]) -> None:
    """Let the log index tell the lies of these heights."""
    scene.chain.index_says = lambda raw: LIES[lies[number_of(raw)]](raw) if number_of(raw) in lies else [raw]


def disputed_scene(**settings: Any) -> Scene:
    """Return a scene with a short window and short ranges, and alerts that may be raised."""
    scene = Scene(**{"window": 16, "max_range": 30, **settings})
    scene.alerts = Alerts()
    return scene
