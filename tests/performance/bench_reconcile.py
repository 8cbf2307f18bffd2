"""Reconcile straight transfers, against the plain loop: two eth_calls and one event query a transfer.

Run: ``python -m tests.performance.bench_reconcile [--transfers 10000]``. Exits 1 below the targets: 50 times
the transfers per second of the loop, at most 0.01 requests per transfer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from web3 import HTTPProvider, Web3

from shared.app.reconcile_report import is_straight
from shared.local.escrow.calldata import artefact, whole_life
from shared.ports import Query
from tests.performance.rig import Rig, filled_chain, peak_mb, stopwatch
from tests.support.chain import parties

SAMPLE = 500
TARGET_RATIO, TARGET_REQUESTS = 50, 0.01


def main() -> int:
    """Run, print, and say whether the targets were reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--transfers", type=int, default=10_000)
    count = parser.parse_args().transfers
    ids = [f"bench-{number}" for number in range(count)]
    # Three of the five calls of a life: agreed twice and stated, open at contract state 4.
    calls = [call for name in ids for call in whole_life(name, parties(3, 3))[:3]]
    with filled_chain(calls, 1000) as (anvil, escrow, _), tempfile.TemporaryDirectory() as directory:
        rig = Rig(Path(directory), anvil.rpc_url, escrow.address)
        rig.map(ids)
        rig.listen()
        rig.handle()
        plain = plain_loop(rig, anvil.rpc_url, escrow.address, ids[:SAMPLE])
        before, memory = rig.chain.requests, peak_mb()
        with stopwatch(f"reconcile {count:,} transfers", count, "transfers") as ours:
            report = rig.reconciler().run()
        requests = (rig.chain.requests - before) / count
        with stopwatch("by hand: every closed one and event besides", count, "transfers"):
            rig.reconciler().run(manual=True)
        if not is_straight(report) or report["checked"] != count:
            print(report, file=sys.stderr)  # noqa: T201
            return 1
    ratio = ours[0] / plain
    print(  # noqa: T201
        f"ratio {ratio:.1f} (target {TARGET_RATIO}), {requests:.4f} requests per transfer "
        f"(target {TARGET_REQUESTS}), peak memory {peak_mb():.0f} MB, {memory:.0f} MB before"
    )
    return 0 if ratio >= TARGET_RATIO and requests <= TARGET_REQUESTS else 1


def plain_loop(rig: Rig, rpc_url: str, address: str, ids: list[str]) -> float:
    """Check transfers one by one as a script would; return transfers per second."""
    web3 = Web3(HTTPProvider(rpc_url))
    contract = web3.eth.contract(address=Web3.to_checksum_address(address), abi=artefact()["abi"])
    straight = 0
    with stopwatch(f"plain loop over {len(ids)} of them", len(ids), "transfers") as rate:
        for name in ids:
            key = Web3.keccak(text=name)
            number = contract.functions.getTransferState(key).call()
            contract.functions.transfers(key).call()
            events = rig.documents.query("events", Query(where=(("rolloverId", name),)))
            straight += number == 4 and len(events) == 4
    if straight != len(ids):
        raise SystemExit(f"the loop found {straight} straight of {len(ids)}")
    return rate[0]


if __name__ == "__main__":
    sys.exit(main())
