"""Back-fill whole lives through ``plumbline local``: until all events are stored, and every state is right.

Run: ``python -m tests.performance.bench_whole_way [--lives 10000]``. The plain web3.py loop (decode, insert
row by row) runs over the same chain first. Exits 1 where, from the moment that ``plumbline local`` is ready,
events are stored at less than 8 times the loop; where, start-up included, states come at less than 2.5
times; or where a process took more than 250 MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shared.adapters.sqlite import SqliteDocuments
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.events import EVENTS
from shared.domain.state import STATES
from shared.local.escrow.calldata import whole_life
from tests.performance.bench_backfill import plain_loop
from tests.performance.rig import filled_chain, peaks_mb, stopwatch
from tests.support.chain import parties

TARGET_STORED = 8
TARGET_RATIO = 2.5
MOST_MB = 250
_DEADLINE_S = 600


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
        home = Path(directory)
        plain = plain_loop(anvil.rpc_url, escrow.address, home)
        contract = write_contract_file(home / "contracts", 31337, escrow.address, 1, Finality(depth=0))
        store = home / "store.sqlite"
        command = [
            sys.executable, "-m", "shared", "local", "--home", str(home / "var"), "--rpc-url", anvil.rpc_url,
            "--contract", str(contract), "--store", f"sqlite:///{store}", "--reconcile-every", "0",
        ]  # fmt: skip
        with stopwatch(f"{logs:,} logs to right states, start-up included", logs, "logs") as ours:
            local = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                if local.stdout is None or not json.loads(local.stdout.readline())["ready"]:
                    raise SystemExit("plumbline local did not get ready")
                ready = time.monotonic()
                stored = logs / (wait_for(store, f"31337:{escrow.address}", lives, logs) - ready)
                peaks = peaks_mb(local.pid)
            finally:
                local.terminate()
                local.wait()
    ratio = ours[0] / plain
    print(f"events stored: {stored / plain:.1f} times the loop (target {TARGET_STORED})")  # noqa: T201
    print(f"peak memory: {', '.join(f'{name} {mb:.0f} MB' for name, mb in peaks)}")  # noqa: T201
    print(f"ratio {ratio:.2f} (target {TARGET_RATIO})")  # noqa: T201
    reached = ratio >= TARGET_RATIO and stored / plain >= TARGET_STORED
    return 0 if reached and all(mb <= MOST_MB for _, mb in peaks) else 1


def wait_for(store: Path, contract_key: str, lives: int, logs: int) -> float:
    """Wait until every life is closed and every log is an event; return when all events were there."""
    documents = SqliteDocuments(store)
    deadline = time.monotonic() + _DEADLINE_S
    stored = 0.0
    while time.monotonic() < deadline:
        if not stored and documents.count(EVENTS) == logs:
            stored = time.monotonic()
        if stored and documents.count(STATES, (("contractKey", contract_key), ("open", False))) >= lives:
            return stored
        time.sleep(0.1)
    raise SystemExit("not done within the deadline")


if __name__ == "__main__":
    sys.exit(main())
