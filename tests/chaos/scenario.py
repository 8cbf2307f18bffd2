"""One life under chaos: load on the chain, faults before it, reorgs and kills, all by a seed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.chaos.plan import Happening, Plan, plan
from tests.chaos.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LAST_BLOCKS: Final = 3


@dataclass(frozen=True)
class Chaos:
    """Plays a seed's plan in a folder of its own, and says what is done."""

    home: Path
    seed: int
    endpoints: int = 1
    tell: Callable[[str], None] = print
    again: Callable[[Stage], None] | None = None
    """Called once all has settled, for a further run over the same chain, which must settle as well."""

    def run(self, seconds: float, *, back_fill: int = 80) -> list[str]:
        """Live through so many seconds; return what differs once all has settled, at best nothing."""
        return self.live(plan(self.seed, seconds, self.endpoints), back_fill=back_fill)

    def live(self, what: Plan, *, back_fill: int = 80) -> list[str]:
        """Live through a plan; return what differs once all has settled, at best nothing."""
        with staged(self.home, self.seed, endpoints=self.endpoints) as stage:
            for _ in range(back_fill):
                stage.load.block()
            self.tell(f"  {what.beginning(back_fill)}")
            stage.load.map_some(stage.store)
            stage.proxy.set(*what.at_start)
            stage.local.start()
            if what.while_filling:
                stage.load.reorg(what.while_filling)
            begun = time.monotonic()
            for happening in what.happenings:
                self.tell(f"  {time.monotonic() - begun:5.1f} s  {happening}")
                happen(happening, stage)
            stage.calm()
            stage.local.start()
            for _ in range(_LAST_BLOCKS):
                stage.load.block()
            differs = self._settled(stage)
            if self.again and not differs:
                self.again(stage)
                differs = self._settled(stage)
            return differs

    def _settled(self, stage: Stage) -> list[str]:
        begun = time.monotonic()
        differs = stage.settled()
        self.tell(f"  {'not ' if differs else ''}settled after {time.monotonic() - begun:.1f} s")
        return differs


def happen(what: Happening, stage: Stage) -> None:
    """Do one thing, and mine its blocks meanwhile."""
    if what.kind == "calm":
        stage.calm()
    elif what.faults is not None:
        stage.proxies[what.at].set(*what.faults)
    if what.kill:
        stage.local.kill(what.kill)
    blocks = len(what.pauses_s)
    due = {blocks * at // len(what.reorgs): reorg for at, reorg in enumerate(what.reorgs)}
    for at, pause_s in enumerate(what.pauses_s):
        if at in due:
            stage.load.reorg(due[at])
        stage.load.block()
        time.sleep(pause_s)
    if what.kill:
        stage.calm()
        stage.proxy.set(*what.after)
        stage.local.start()
