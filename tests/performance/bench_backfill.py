"""Back-fill whole lives in one process, against a plain web3.py loop that decodes and inserts row by row.

Run: ``python -m tests.performance.bench_backfill [--lives 10000] [--profile]``. One thing after the other:
read and certify, publish, decode, append, project. It says where the time goes; how fast the real path is,
whose parts run at once, is ``bench_whole_way``'s to say. The floor, for comparison, only fetches the logs and
parses their JSON. Exits 1 where an event or a state is wrong.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from web3 import HTTPProvider, Web3

from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.domain.state import STATES
from shared.local.escrow.calldata import artefact, whole_life
from tests.performance.rig import Rig, filled_chain, peak_mb, stopwatch
from tests.support.chain import parties

_RANGE = 50
_SHOWN = 30


def main() -> int:
    """Run, print, and check what was stored."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lives", type=int, default=10_000)
    parser.add_argument("--profile", action="store_true", help="tell where the time goes, and nothing else")
    options = parser.parse_args()
    lives = options.lives
    calls = [call for number in range(lives) for call in whole_life(f"bench-{number}", parties(3, 3))]
    with (
        filled_chain(calls, max(1, len(calls) // 400)) as (anvil, escrow, logs),
        tempfile.TemporaryDirectory() as directory,
    ):
        rig = Rig(Path(directory) / "rig", anvil.rpc_url, escrow.address)
        if options.profile:
            profiled(rig)
            return 0
        plain = plain_loop(anvil.rpc_url, escrow.address, Path(directory))
        floor = floor_loop(anvil.rpc_url, escrow.address)
        with stopwatch(f"{logs:,} logs: listen, bus, handle, project", logs, "logs") as ours:
            with stopwatch("  of that: listen and publish", logs, "logs"):
                rig.listen()
            with stopwatch("  of that: handle, append and project", logs, "logs"):
                stored = rig.handle()
        if stored != logs:
            raise SystemExit(f"{stored} events of {logs} logs")
        if (right := rig.documents.count(STATES, (("open", False),))) != lives:
            raise SystemExit(f"{right} states of {lives} are right")
    ratio = ours[0] / plain
    print(f"ratio {ratio:.1f}, peak memory {peak_mb():.0f} MB")  # noqa: T201
    print(f"the floor of fetching and parsing is {floor / ours[0]:.1f} times as fast")  # noqa: T201
    return 0


def profiled(rig: Rig) -> None:
    """Print what the functions of reading and of handling take; a profile makes each call slower."""
    for work in (rig.listen, rig.handle):
        profile = cProfile.Profile()
        profile.runcall(work)
        pstats.Stats(profile).sort_stats("tottime").print_stats(_SHOWN)


def floor_loop(rpc_url: str, address: str) -> float:
    """Fetch all logs by ranges and parse their JSON, no more; return logs per second."""
    endpoint = JsonRpcEndpoint(rpc_url)
    head = int(endpoint.call("eth_blockNumber", []), 16)
    begun, count = time.perf_counter(), 0
    for first in range(1, head + 1, _RANGE):
        last = min(first + _RANGE - 1, head)
        criteria = {"fromBlock": hex(first), "toBlock": hex(last), "address": address}
        count += len(endpoint.call("eth_getLogs", [criteria]))
    rate = count / (time.perf_counter() - begun)
    print(f"{'the floor: fetch and parse':<46} {count / rate:8.2f} s {rate:12,.0f} logs/s")  # noqa: T201
    return rate


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
