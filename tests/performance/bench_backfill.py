"""Back-fill whole lives, against a plain web3.py loop that decodes and inserts row by row.

Run: ``python -m tests.performance.bench_backfill [--lives 10000]``. Exits 1 below 5 times the loop.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from pathlib import Path

from web3 import HTTPProvider, Web3

from shared.local.escrow.calldata import artefact, whole_life
from tests.performance.rig import Rig, filled_chain, peak_mb, stopwatch
from tests.support.chain import parties

TARGET_RATIO = 5
_RANGE = 50


def main() -> int:
    """Run, print, and say whether the target was reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lives", type=int, default=10_000)
    lives = parser.parse_args().lives
    calls = [call for number in range(lives) for call in whole_life(f"bench-{number}", parties(3, 3))]
    with (
        filled_chain(calls, max(1, len(calls) // 400)) as (anvil, escrow, logs),
        tempfile.TemporaryDirectory() as directory,
    ):
        plain = plain_loop(anvil.rpc_url, escrow.address, Path(directory))
        rig = Rig(Path(directory) / "rig", anvil.rpc_url, escrow.address)
        with stopwatch(f"store {logs:,} logs: listen, bus, handle", logs, "logs") as ours:
            with stopwatch("  of that: listen and publish", logs, "logs"):
                rig.listen()
            with stopwatch("  of that: handle and append", logs, "logs"):
                stored = rig.handle(project=False)
        if stored != logs:
            raise SystemExit(f"{stored} events of {logs} logs")
        with stopwatch("project all, by batches of a message", logs, "events"):
            project_all(rig)
    ratio = ours[0] / plain
    print(f"ratio {ratio:.1f} (target {TARGET_RATIO}), peak memory {peak_mb():.0f} MB")  # noqa: T201
    return 0 if ratio >= TARGET_RATIO else 1


def project_all(rig: Rig) -> None:
    """Project every stored event, 500 at a time."""
    position = None
    while changes := rig.documents.watch("events", position, 500):
        rig.projection.project([change.document for change in changes])
        position = changes[-1].position


def plain_loop(rpc_url: str, address: str, directory: Path) -> float:
    """Read, decode and insert as a script would; return logs per second."""
    web3 = Web3(HTTPProvider(rpc_url))
    contract = web3.eth.contract(address=Web3.to_checksum_address(address), abi=artefact()["abi"])
    decoders = {event().topic: event() for event in contract.events}
    database = sqlite3.connect(directory / "plain.sqlite")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE logs (tx TEXT, i INTEGER, name TEXT, args TEXT, PRIMARY KEY (tx, i))")
    head = web3.eth.block_number
    count = 0
    # A tenth of the chain is enough to know the rate of a loop.
    last = min(head, 40 + 10)
    blocks = range(1, last + 1, _RANGE)
    total = len(web3.eth.get_logs({"fromBlock": 1, "toBlock": last, "address": contract.address}))
    with stopwatch(f"plain web3.py loop over {total:,} logs", total, "logs") as rate:
        for first in blocks:
            until = min(first + _RANGE - 1, last)
            for log in web3.eth.get_logs({"fromBlock": first, "toBlock": until, "address": contract.address}):
                event = decoders["0x" + log["topics"][0].hex().removeprefix("0x")].process_log(log)
                row = (
                    log["transactionHash"].hex(),
                    log["logIndex"],
                    event["event"],
                    str(dict(event["args"])),
                )
                database.execute("INSERT OR IGNORE INTO logs VALUES (?, ?, ?, ?)", row)
                database.commit()
                count += 1
    return rate[0]


if __name__ == "__main__":
    sys.exit(main())
