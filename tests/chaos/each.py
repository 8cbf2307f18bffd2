"""``python -m tests.chaos.each [--fault KIND] [--endpoints E]``: every fault alone, its cost and its end.

While a fault stands the request rate is to stay below three times the healthy one, and when it is over a
log is to reach its state within five seconds. With a second endpoint, which is in order, the log is to do so
while the fault stands at the first. A busy machine spoils the figures. Exit 1 where one is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.adapters.sqlite import SqliteDocuments
from shared.domain.hashing import transfer_hash
from shared.local.escrow import calldata
from tests.chaos.plan import FAULTS
from tests.chaos.stage import staged
from tests.support.chain import parties

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.stage import Stage
    from tests.support.fault_answers import Fault

MOST_TIMES: Final = 3.0
RESUMES_WITHIN_S: Final = 5.0
_FAULT_S: Final = 6.0
_BLOCK_S: Final = 0.5
_LOOK_S: Final = 0.01
_GIVEN_UP_AFTER_S: Final = 60.0


def main() -> int:
    """Run, print a line for each fault, and say whether all are within bounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", action="append", help="only faults of this kind")
    parser.add_argument("--endpoints", type=int, default=1)
    options = parser.parse_args()
    kinds = options.fault
    faults = [fault for fault in FAULTS if not kinds or fault.kind in kinds]
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as directory,
        staged(Path(directory), endpoints=options.endpoints) as stage,
    ):
        stage.local.start()
        stage.load.map_some(stage.store)
        missed = measured(stage, faults)
        differs = stage.settled()
    _say("\n".join(differs) if differs else "events and states are the chain's")
    _say(f"out of bounds: {', '.join(missed)}" if missed else "all within bounds")
    return 1 if missed or differs else 0


def measured(stage: Stage, faults: Sequence[Fault]) -> list[str]:
    """Put in one fault after the other; return those that were out of bounds."""
    _rate(stage, ())
    healthy = _rate(stage, ())
    _say(f"healthy: {healthy:.1f} requests/s, a block every {_BLOCK_S} s")
    missed = []
    for number, fault in enumerate(faults):
        rate = _rate(stage, (fault,))
        took = _reached(stage, f"each-{number}")
        within = rate < MOST_TIMES * healthy and took < RESUMES_WITHIN_S
        name = f"{fault.kind} {fault.chance:g} {fault.amount:g}"
        mark = "" if within else "   <-- out of bounds"
        costs = f"{rate:6.1f} requests/s, {rate / healthy:4.1f} times"
        _say(f"{name:<24} {costs}; resumed after {took:5.2f} s{mark}")
        if not within:
            missed.append(name)
        _rate(stage, (), _FAULT_S / 3)
    return missed


def _rate(stage: Stage, faults: Sequence[Fault], seconds: float = _FAULT_S) -> float:
    stage.proxy.set(*faults)
    begun = time.monotonic()
    while (now := time.monotonic()) < begun + seconds:
        stage.load.block()
        time.sleep(max(0.0, now + _BLOCK_S - time.monotonic()))
    return sum(proxy.rate(begun, time.monotonic()) for proxy in stage.proxies)


def _reached(stage: Stage, name: str) -> float:
    """End the fault as a new transfer makes a log; return how long it takes until its state tells of it.

    Where there is another endpoint the fault goes on.
    """
    stage.escrow.send(calldata.agree_send(name, parties(3, 3)), gas=1_000_000)
    stage.escrow.rpc.call("evm_mine")
    documents = SqliteDocuments(stage.store)
    if len(stage.proxies) == 1:
        stage.proxy.set()
    begun = time.monotonic()
    try:
        while not documents.get("rollover_states", transfer_hash(name)):
            if time.monotonic() > begun + _GIVEN_UP_AFTER_S:
                return _GIVEN_UP_AFTER_S
            time.sleep(_LOOK_S)
    finally:
        documents.close()
    return time.monotonic() - begun


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
