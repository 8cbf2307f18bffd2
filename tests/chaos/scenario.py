"""One life under chaos: load on the chain, faults before it, reorgs and kills, all by a seed."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.local import chain_control
from shared.local.anvil import Anvil
from tests.chaos.judge import Judge
from tests.chaos.load import Load
from tests.chaos.local import Local
from tests.chaos.plan import Happening, Plan, plan
from tests.support.chain import deploy_escrow
from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Chaos", "Local"]

CHAIN_ID: Final = 31337
FINALITY: Final = Finality(depth=64)
"""No reorg of a scenario goes deeper."""
_SETTLED_WITHIN_S: Final = 60.0
_LOOK_S: Final = 0.5
_LAST_BLOCKS: Final = 3


@dataclass
class Chaos:
    """A chain, a proxy, a ``plumbline local`` behind it, and what is done to them."""

    home: Path
    seed: int
    tell: Callable[[str], None] = print
    again: Callable[[Chaos, FaultProxy, Local], None] | None = None
    """Called once all has settled, for a further run over the same chain, which must settle as well."""
    map: Callable[[Path], None] = lambda _store: None

    @property
    def store(self) -> Path:
        """The file of the store."""
        return self.home / "store.sqlite"

    def run(self, seconds: float, *, back_fill: int = 80) -> list[str]:
        """Live through so many seconds; return what differs once all has settled, at best nothing."""
        return self.live(plan(self.seed, seconds), back_fill=back_fill)

    def live(self, what: Plan, *, back_fill: int = 80) -> list[str]:
        """Live through a plan; return what differs once all has settled, at best nothing."""
        with ExitStack() as opened:
            anvil = opened.enter_context(Anvil(chain_id=CHAIN_ID))
            escrow = deploy_escrow(anvil)
            proxy = opened.enter_context(FaultProxy(anvil.rpc_url, self.seed))
            file = write_contract_file(self.home / "contracts", CHAIN_ID, escrow.address, 1, FINALITY)
            chain_control.set_automine(anvil.rpc, on=False)
            load = Load(escrow, random.Random(self.seed))
            for _ in range(back_fill):
                load.block()
            settings = {"PLUMBLINE_PLATFORM_WALLETS": ",".join(sorted(load.wallets))}
            local = Local(self.home, proxy, file, self.store, settings)
            opened.callback(local.end)
            proxy.set(*what.at_start)
            self.tell(f"  {back_fill} blocks to read first, {[str(each.kind) for each in what.at_start]}")
            local.start()
            self.map = load.map_some
            self.map(self.store)
            if what.while_filling:
                load.reorg(what.while_filling)
                self.tell(f"  {what.while_filling} meanwhile")
            begun = time.monotonic()
            for happening in what.happenings:
                self.tell(f"  {time.monotonic() - begun:5.1f} s  {happening}")
                happen(happening, proxy, load, local)
            proxy.set()
            local.start()
            for _ in range(_LAST_BLOCKS):
                load.block()
            judge = Judge(self.store, escrow, load.hashes, load.mapped, load.wallets)
            differs = settled(judge, local)
            if self.again and not differs:
                self.again(self, proxy, local)
                differs = settled(judge, local)
            return differs


def happen(what: Happening, proxy: FaultProxy, load: Load, local: Local) -> None:
    """Do one thing, and mine its blocks meanwhile."""
    if what.faults is not None:
        proxy.set(*what.faults)
    if what.kill:
        local.kill(what.kill)
    reorg_before = {
        len(what.pauses_s) * at // max(1, len(what.reorgs)): r for at, r in enumerate(what.reorgs)
    }
    for at, pause_s in enumerate(what.pauses_s):
        if at in reorg_before:
            load.reorg(reorg_before[at])
        load.block()
        time.sleep(pause_s)
    if what.kill:
        proxy.set(*what.after)
        local.start()


def settled(judge: Judge, local: Local, within_s: float = _SETTLED_WITHIN_S) -> list[str]:
    """Wait until nothing differs and it is healthy; return what still does when the time is over."""
    deadline = time.monotonic() + within_s
    while True:
        differs = judge.differences()
        unready = None if differs else local.unready()
        if unready:
            differs = [f"not ready: {unready}"]
        if not differs:
            return [
                f"{' '.join(asked)}: {answer.stdout}{answer.stderr}"
                for asked in (("rebuild", "--check"), ("deadletters", "list"))
                if (answer := local.running.command(*asked)).returncode != 0
            ]
        if time.monotonic() > deadline:
            return differs
        time.sleep(_LOOK_S)
