"""A chain, a proxy before it, and a ``plumbline local`` behind that: what every chaos plays on."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.local import chain_control
from shared.local.anvil import Anvil
from tests.chaos.judge import Judge
from tests.chaos.load import Load
from tests.chaos.local import Local
from tests.support.chain import deploy_escrow
from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shared.local.escrow.client import EscrowClient

CHAIN_ID: Final = 31337
FINALITY: Final = Finality(depth=64)
"""No reorg of a scenario goes deeper."""
SETTLED_WITHIN_S: Final = 60.0
_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts; ``local`` does not run yet, and nothing is mined but by whoever asks for it."""

    escrow: EscrowClient
    proxies: Sequence[FaultProxy]
    load: Load
    local: Local
    store: Path

    @property
    def proxy(self) -> FaultProxy:
        """The first endpoint."""
        return self.proxies[0]

    def calm(self) -> None:
        """Let every endpoint be without faults."""
        for proxy in self.proxies:
            proxy.set()

    @property
    def judge(self) -> Judge:
        """The judge of its store."""
        return Judge(self.store, self.escrow, self.load.hashes, self.load.mapped, self.load.wallets)

    def settled(self, within_s: float = SETTLED_WITHIN_S) -> list[str]:
        """Wait until nothing differs and it is healthy; return what still does when the time is over."""
        judge = self.judge
        deadline = time.monotonic() + within_s
        while True:
            differs = judge.differences()
            unready = None if differs else self.local.unready()
            if unready:
                differs = [f"not ready: {unready}"]
            if not differs:
                return self._found_wrong(("rebuild", "--check"), ("deadletters", "list"))
            if time.monotonic() > deadline:
                return differs
            time.sleep(_LOOK_S)

    def _found_wrong(self, *commands: Sequence[str]) -> list[str]:
        return [
            f"{' '.join(command)}: {answer.stdout}{answer.stderr}"
            for command in commands
            if (answer := self.local.running.command(*command)).returncode != 0
        ]


@contextmanager
def staged(
    home: Path, seed: int = 1, *, endpoints: int = 1, empty_blocks: int = 0, options: Sequence[str] = ()
) -> Iterator[Stage]:
    """Set it up: ``empty_blocks`` before the contract; further ``options`` of ``plumbline local``."""
    with ExitStack() as opened:
        anvil = opened.enter_context(Anvil(chain_id=CHAIN_ID))
        proxies = [opened.enter_context(FaultProxy(anvil.rpc_url, seed + at)) for at in range(endpoints)]
        if empty_blocks:
            chain_control.mine(anvil.rpc, empty_blocks)
        escrow = deploy_escrow(anvil)
        file = write_contract_file(home / "contracts", CHAIN_ID, escrow.address, empty_blocks + 1, FINALITY)
        chain_control.set_automine(anvil.rpc, on=False)
        load = Load(escrow, random.Random(seed))
        store = home / "store.sqlite"
        settings = {"PLUMBLINE_PLATFORM_WALLETS": ",".join(sorted(load.wallets))}
        local = Local(home, proxies, file, store, settings, options)
        opened.callback(local.end)
        yield Stage(escrow, proxies, load, local, store)
