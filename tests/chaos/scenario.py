"""One life under chaos: load on the chain, faults before it, reorgs and kills, all by a seed."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.adapters.sqlite import SqliteDocuments
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.hashing import transfer_hash
from shared.local import chain_control
from shared.local.anvil import Anvil
from shared.local.escrow import calldata
from shared.local.running import RunningLocal
from tests.chaos.judge import Judge
from tests.support.chain import deploy_escrow, parties
from tests.support.fault_answers import Fault
from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.local.escrow.client import EscrowClient

_CHAIN_ID: Final = 31337
_TRANSFERS: Final = 24
_GAS: Final = 1_000_000
_SETTLED_WITHIN_S: Final = 60.0
_LOOK_S: Final = 0.5
_LEVELS: Final = ((3, 3), (3, 2), (2, 2), (1, 3), (1, 1))
FAULTS: Final = (
    Fault("rpc error", 0.5), Fault("rpc error"), Fault("http 500"), Fault("http 502", 0.5),
    Fault("rate limit", 0.7, 1), Fault("stall"), Fault("slow", 1.0, 0.3), Fault("hang up", 0.5),
    Fault("garbage", 0.5), Fault("refuse"), Fault("range cap", 1.0, 10), Fault("result cap", 1.0, 5),
    Fault("lag", 1.0, 3), Fault("lag", 0.5, 8), Fault("empty logs"), Fault("partial logs"),
    Fault("last log missing"), Fault("doubled logs"), Fault("partial receipts", 0.5), Fault("no receipts"),
    Fault("hash gone", 0.5), Fault("null block", 0.5), Fault("wrong chain"), Fault("socket dropped"),
    Fault("socket refused"), Fault("socket silent"), Fault("socket doubled"), Fault("socket shuffled"),
)  # fmt: skip
_REORGS: Final = (1, 1, 2, 7, 7, 60)
_KILLS: Final = ("all", "all by SIGTERM", "a child")


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
        chance = random.Random(self.seed)
        with ExitStack() as opened:
            anvil = opened.enter_context(Anvil(chain_id=_CHAIN_ID))
            escrow = deploy_escrow(anvil)
            proxy = opened.enter_context(FaultProxy(anvil.rpc_url, self.seed))
            file = write_contract_file(
                self.home / "contracts", _CHAIN_ID, escrow.address, 1, Finality(depth=64)
            )
            chain_control.set_automine(anvil.rpc, on=False)
            load = Load(escrow, chance)
            for _ in range(back_fill):
                load.block()
            local = Local(self.home, proxy, file, self.store)
            opened.callback(local.end)
            local.start()
            self.map = load.map_some
            self.map(self.store)
            self.tell(f"  {back_fill} blocks to read first")
            self._live(seconds, chance, proxy, load, local)
            proxy.set()
            local.start()
            for _ in range(3):
                load.block()
            judge = Judge(self.store, escrow, load.hashes, load.mapped)
            differs = self._settled(judge, local)
            if self.again and not differs:
                self.again(self, proxy, local)
                differs = self._settled(judge, local)
            return differs

    def _live(
        self, seconds: float, chance: random.Random, proxy: FaultProxy, load: Load, local: Local
    ) -> None:
        begun = time.monotonic()
        while (now := time.monotonic() - begun) < seconds:
            happening = chance.choices(("faults", "calm", "reorg", "kill"), (6, 2, 2, 1))[0]
            lasts = chance.uniform(0.5, 3.0)
            detail = ""
            if happening == "faults":
                faults = chance.sample(FAULTS, chance.choice((1, 1, 2)))
                detail = ", ".join(f"{fault.kind} {fault.chance:g} {fault.amount:g}" for fault in faults)
                proxy.set(*faults)
            elif happening == "calm":
                proxy.set()
            elif happening == "reorg":
                detail = load.reorg(chance.choice(_REORGS), times=chance.choice((1, 1, 3)))
            else:
                detail = chance.choice(_KILLS)
                local.kill(detail, chance)
                if chance.random() < 0.5:
                    detail += f", and meanwhile {load.reorg(chance.choice(_REORGS))}"
            self.tell(f"  {now:5.1f} s  {happening} {detail}")
            until = time.monotonic() + lasts
            while time.monotonic() < until:
                load.block()
                time.sleep(chance.choice((0.05, 0.25, 0.5)))
            if happening == "kill":
                proxy.set()
                local.start()

    def _settled(self, judge: Judge, local: Local) -> list[str]:
        deadline = time.monotonic() + _SETTLED_WITHIN_S
        while True:
            differs = judge.differences()
            if not differs:
                check = local.running.command("rebuild", "--check")
                return [] if check.returncode == 0 else [f"rebuild --check: {check.stdout}{check.stderr}"]
            if time.monotonic() > deadline:
                return differs
            time.sleep(_LOOK_S)


class Load:
    """Transfers that go through their lives, some of them from an outside wallet."""

    def __init__(self, escrow: EscrowClient, chance: random.Random) -> None:
        self._escrow = escrow
        self._rpc = escrow.rpc
        self._chance = chance
        self._accounts = self._rpc.call("eth_accounts")[:3]
        self._lives = {
            f"chaos-{number}": parties(*_LEVELS[number % len(_LEVELS)]) for number in range(_TRANSFERS)
        }
        self.hashes = tuple(transfer_hash(name) for name in self._lives)
        self.mapped: dict[str, str] = {}

    def map_some(self, store: Path) -> None:
        """Map half of the transfers, as the application would."""
        documents = SqliteDocuments(store)
        for name in list(self._lives)[::2]:
            documents.create("transfer_hash_mappings", transfer_hash(name), {"transferId": name})
            self.mapped[transfer_hash(name)] = name
        documents.close()

    def block(self) -> None:
        """Mine a block in which some transfers take a step; calls that come too late revert."""
        for name in self._chance.sample(list(self._lives), self._chance.choice((0, 0, 1, 2, 4))):
            account = self._chance.choice(self._accounts)
            self._escrow.send(self._next(name), account, _GAS)
        self._rpc.call("evm_mine")

    def reorg(self, depth: int, times: int = 1) -> str:
        """Take back the last blocks; some of their transactions are mined again, in other blocks."""
        kept = 0
        for _ in range(times):
            depth = min(depth, chain_control.block_number(self._rpc) - 20)
            # In the order of their nonces, and none without those before it: else the node refuses.
            sent = self._last_transactions(depth)
            again = sent[: self._chance.randrange(len(sent) + 1)]
            places = sorted(self._chance.randrange(depth) for _ in again)
            self._rpc.call("anvil_dropAllTransactions")
            chain_control.reorg(self._rpc, depth, list(zip(again, places, strict=True)))
            kept += len(again)
        return f"of {depth} blocks, {times} times, {kept} transactions mined again"

    def _last_transactions(self, blocks: int) -> list[str]:
        head = chain_control.block_number(self._rpc)
        found: list[str] = []
        for number in range(head - blocks + 1, head + 1):
            block = self._rpc.call("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003 - JSON-RPC's own
            found += [chain_control.raw_transaction(self._rpc, each) for each in block["transactions"]]
        return found

    def _next(self, name: str) -> bytes:
        state = self._escrow.get_transfer_state(name)
        who = self._lives[name]
        return {
            0: self._chance.choice((calldata.agree_send, calldata.agree_receive))(name, who),
            1: calldata.agree_send(name, who),
            2: calldata.agree_receive(name, who),
            3: calldata.provide_financial_details(name),
            4: calldata.execute_transfer(name),
            5: calldata.mint_tokens(name),
            6: calldata.burn_tokens(name),
        }.get(state, calldata.execute_transfer(name))


class Local:
    """The ``plumbline local`` of a scenario, killed and started over the same store."""

    def __init__(self, home: Path, proxy: FaultProxy, file: Path, store: Path) -> None:
        self._arguments = (
            home / "var",
            ["--rpc-url", proxy.url, "--ws-url", proxy.ws_url, "--contract", str(file),
             "--store", f"sqlite:///{store}", "--reconcile-every", "0"],
        )  # fmt: skip
        self._running: RunningLocal | None = None

    @property
    def running(self) -> RunningLocal:
        """The one that runs."""
        if self._running is None:
            raise RuntimeError("it does not run")
        return self._running

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._running is None:
            self._running = RunningLocal(*self._arguments)
            self._running.__enter__()

    def kill(self, how: str, chance: random.Random) -> None:
        """Kill all of it, end it by SIGTERM, or kill one of its children, which it starts again."""
        if self._running is None:
            return
        if how == "a child":
            children = Path(f"/proc/{self._running.pid}/task/{self._running.pid}/children").read_text("utf-8")
            os.kill(int(chance.choice(children.split())), signal.SIGKILL)
            return
        code = self._running.stop(signal.SIGKILL if how == "all" else signal.SIGTERM)
        self._running = None
        if how != "all" and code != 0:
            raise AssertionError(f"SIGTERM ended it with {code}")

    def end(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.stop()
            self._running = None
