"""From a block to the state document through ``plumbline local``, and how faults are lived through.

Run: ``python -m tests.performance.bench_latency [--seconds 40]``. Exits 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
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
from tests.support.chain import deploy_escrow, parties
from tests.support.fault_answers import Fault
from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from shared.local.escrow.client import EscrowClient

_MEDIAN_S: Final = 1.0
_LATE_S: Final = 3.0
_BEHIND: Final = 10
_RATE: Final = 3.0
_RESUMES_S: Final = 5.0
_FAULT_S: Final = 10.0
_LOOK_S: Final = 0.005
_GAS: Final = 1_000_000
_FAULTS: Final = (
    Fault("http 500"), Fault("rate limit", 1.0, 1), Fault("stall"), Fault("refuse"), Fault("null block"),
)  # fmt: skip


class Watch:
    """Mines blocks that each begin a transfer, and sees when its state document comes."""

    def __init__(self, escrow: EscrowClient, store: Path) -> None:
        self._escrow = escrow
        self._documents = SqliteDocuments(store)
        self._count = 0

    def block(self) -> str:
        """Mine a block with one agreement; return the key of the state that it makes."""
        self._count += 1
        name = f"latency-{self._count}-{id(self)}"
        self._escrow.send(calldata.agree_send(name, parties(3, 3)), gas=_GAS)
        self._escrow.rpc.call("evm_mine")
        return transfer_hash(name)

    def waited(self, key: str, deadline_s: float = 30.0) -> float:
        """Return the seconds until the state is there."""
        begun = time.monotonic()
        while self._documents.get("rollover_states", key) is None:
            if time.monotonic() - begun > deadline_s:
                raise SystemExit(f"no state within {deadline_s:g} s")
            time.sleep(_LOOK_S)
        return time.monotonic() - begun

    def behind(self) -> int:
        """Return how many blocks are unread."""
        cursor = self._documents.get("chain_cursors", "31337") or {}
        return chain_control.block_number(self._escrow.rpc) - int(cursor.get("readThrough", 0))

    def close(self) -> None:
        """Give back the file."""
        self._documents.close()


def main() -> int:
    """Run, print, and say whether the targets were reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=40.0)
    seconds = parser.parse_args().seconds
    with ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        anvil = opened.enter_context(Anvil())
        escrow = deploy_escrow(anvil)
        proxy = opened.enter_context(FaultProxy(anvil.rpc_url))
        file = write_contract_file(home / "contracts", 31337, escrow.address, 1, Finality(depth=64))
        store = home / "store.sqlite"
        options = ["--rpc-url", proxy.url, "--ws-url", proxy.ws_url, "--contract", str(file),
                   "--store", f"sqlite:///{store}", "--reconcile-every", "0"]  # fmt: skip
        opened.enter_context(RunningLocal(home / "var", options))
        watch = Watch(escrow, store)
        opened.callback(watch.close)
        chain_control.set_automine(anvil.rpc, on=False)
        watch.waited(watch.block())
        reached = _steady(watch, seconds)
        reached &= _fast(watch, seconds / 2)
        reached &= _after_reorg(watch, anvil)
        return 0 if _faults(watch, proxy) and reached else 1


def _steady(watch: Watch, seconds: float) -> bool:
    waits = []
    for _ in range(int(seconds / 2)):
        due = time.monotonic() + 2
        waits.append(watch.waited(watch.block()))
        time.sleep(max(0.0, due - time.monotonic()))
    median, late = statistics.median(waits), sorted(waits)[int(len(waits) * 0.99) - 1]
    _say(
        f"a block every 2 s: median {median:.2f} s (target {_MEDIAN_S}), 99th {late:.2f} s (target {_LATE_S})"
    )
    return median < _MEDIAN_S and late < _LATE_S


def _fast(watch: Watch, seconds: float) -> bool:
    most, key = 0, ""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        due = time.monotonic() + 0.25
        key = watch.block()
        time.sleep(max(0.0, due - time.monotonic()))
        most = max(most, watch.behind())
    watch.waited(key)
    _say(f"a block every 0.25 s: {most} blocks behind at most (target {_BEHIND})")
    return most <= _BEHIND


def _after_reorg(watch: Watch, anvil: Anvil) -> bool:
    chain_control.reorg(anvil.rpc, 7)
    took = watch.waited(watch.block())
    _say(f"after a reorg of 7 blocks: {took:.2f} s (target 10)")
    return took < 10


def _faults(watch: Watch, proxy: FaultProxy) -> bool:
    reached = True
    time.sleep(2)
    begun = time.monotonic()
    while time.monotonic() < begun + _FAULT_S:
        watch.waited(watch.block())
        time.sleep(2)
    healthy = proxy.rate(begun, time.monotonic())
    for fault in _FAULTS:
        begun = time.monotonic()
        proxy.set(fault)
        key = watch.block()
        time.sleep(_FAULT_S)
        during = proxy.rate(begun, time.monotonic()) / healthy
        proxy.set()
        took = watch.waited(key)
        _say(f"{fault.kind}: {during:.2f} of the healthy {healthy:.1f} requests/s, {took:.2f} s to resume")
        reached &= during < _RATE and took < _RESUMES_S
    _say(f"targets: {_RATE} times the healthy rate, {_RESUMES_S} s to resume")
    return reached


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
