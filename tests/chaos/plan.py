"""What is done to a chain and its listener, in which order: a seed's alone, whatever the machine does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.support.fault_answers import Fault

FAULTS: Final = (
    Fault("rpc error", 0.5), Fault("rpc error"), Fault("http 500"), Fault("http 502", 0.5),
    Fault("rate limit", 0.7, 1), Fault("stall"), Fault("slow", 1.0, 0.3), Fault("hang up", 0.5),
    Fault("garbage", 0.5), Fault("refuse"), Fault("range cap", 1.0, 10), Fault("result cap", 1.0, 5),
    Fault("lag", 1.0, 3), Fault("lag", 0.5, 8), Fault("empty logs"), Fault("partial logs"),
    Fault("last log missing"), Fault("doubled logs"), Fault("partial receipts", 0.5), Fault("no receipts"),
    Fault("hash gone", 0.5), Fault("null block", 0.5), Fault("wrong chain"), Fault("socket dropped"),
    Fault("socket refused"), Fault("socket silent"), Fault("socket doubled"), Fault("socket shuffled"),
    Fault("no block receipts"),
)  # fmt: skip
LIES: Final = (
    Fault("partial logs"), Fault("empty logs"), Fault("last log missing"), Fault("doubled logs"),
    Fault("made-up logs"), Fault("altered logs"),
)  # fmt: skip
"""What a log index that lies gives: the receipts are missing besides, else it is not asked."""
AT_START: Final = (
    Fault("slow", 1.0, 0.1), Fault("range cap", 1.0, 7), Fault("result cap", 1.0, 5), Fault("lag", 1.0, 5),
    Fault("partial logs"), Fault("last log missing"), Fault("no receipts"), Fault("http 502", 0.3),
    Fault("rate limit", 0.2, 1), Fault("socket refused"), Fault("hash gone", 0.3), Fault("hang up", 0.3),
    Fault("made-up logs"), Fault("altered logs"),
)  # fmt: skip
"""Faults under which a start, which wants an answer within seconds, is to succeed."""
KILLS: Final = ("all", "all at once", "all by SIGTERM", "listener", "functions", "delivery")
_WEIGHTS: Final = {"faults": 5, "lies": 1, "calm": 2, "reorg": 2, "reorgs": 1, "kill": 2}
_DEPTHS: Final = (1, 1, 2, 7, 7, 60)
_PAUSES_S: Final = (0.05, 0.25, 0.5)
_LASTS_S: Final = (0.5, 3.0)


@dataclass(frozen=True, slots=True)
class Reorg:
    """Take back so many blocks, of whose transactions this share is mined again, in other blocks."""

    depth: int
    again: float

    def __str__(self) -> str:
        return f"{self.depth} blocks back, {self.again:.0%} mined again"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that is done, and the pauses before each of the blocks that are mined meanwhile.

    ``faults`` stand from now on, at the endpoint ``at``, None: those that stand; ``reorgs`` come one after
    the other, the blocks spread between them; what is killed is started again at the end, under ``after``.
    """

    kind: str
    pauses_s: tuple[float, ...]
    faults: tuple[Fault, ...] | None = None
    reorgs: tuple[Reorg, ...] = ()
    kill: str | None = None
    after: tuple[Fault, ...] = ()
    at: int = 0

    def __str__(self) -> str:
        told = [self.kind, *map(_told, self.faults or ()), *map(str, self.reorgs)]
        told += ["at the other endpoint"] if self.at else []
        told += [self.kill] if self.kill else []
        told += [f"then {_told(fault)}" for fault in self.after]
        return ", ".join([*told, f"{len(self.pauses_s)} blocks in {sum(self.pauses_s):.1f} s"])


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is done: faults at the first start and a reorg meanwhile, then one thing after the other."""

    at_start: tuple[Fault, ...]
    while_filling: Reorg | None
    happenings: tuple[Happening, ...]

    def beginning(self, blocks: int) -> str:
        """Say how it begins, with so many blocks to read first."""
        told = [f"{blocks} blocks to read first", *map(_told, self.at_start)]
        return ", ".join([*told, f"meanwhile {self.while_filling}"] if self.while_filling else told)


def plan(seed: int, seconds: float, endpoints: int = 1) -> Plan:
    """Return what a seed does for about so many seconds, to one of so many endpoints at a time."""
    chance = random.Random(seed)
    at_start = _some(chance, AT_START, (0, 1, 2))
    filling = _reorg(chance) if chance.random() < 0.5 else None
    happenings: list[Happening] = []
    lasted = 0.0
    while lasted < seconds:
        happenings.append(_happening(chance, endpoints))
        lasted += sum(happenings[-1].pauses_s)
    return Plan(at_start, filling, tuple(happenings))


def _happening(chance: random.Random, endpoints: int) -> Happening:
    kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    pauses: list[float] = []
    lasts = chance.uniform(*_LASTS_S) * (3 if kind == "reorgs" else 1)
    while sum(pauses) < lasts:
        pauses.append(chance.choice(_PAUSES_S))
    blocks = tuple(pauses)
    if kind == "faults":
        return Happening(kind, blocks, _some(chance, FAULTS, (1, 1, 2)), at=chance.randrange(endpoints))
    if kind == "lies":
        lies = (Fault("no receipts"), chance.choice(LIES))
        return Happening(kind, blocks, lies, at=chance.randrange(endpoints))
    if kind == "calm":
        return Happening(kind, blocks, ())
    if kind in ("reorg", "reorgs"):
        return Happening(
            kind, blocks, reorgs=tuple(_reorg(chance) for _ in range(3 if kind == "reorgs" else 1))
        )
    meanwhile = (_reorg(chance),) if chance.random() < 0.5 else ()
    return Happening(
        kind, blocks, reorgs=meanwhile, kill=chance.choice(KILLS), after=_some(chance, AT_START, (0, 0, 1))
    )


def _reorg(chance: random.Random) -> Reorg:
    return Reorg(chance.choice(_DEPTHS), chance.choice((0.0, 0.5, 1.0)))


def _some(chance: random.Random, of: tuple[Fault, ...], how_many: tuple[int, ...]) -> tuple[Fault, ...]:
    return tuple(chance.sample(of, chance.choice(how_many)))


def _told(fault: Fault) -> str:
    return f"{fault.kind} {fault.chance:g} {fault.amount:g}"
