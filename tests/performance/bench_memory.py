"""Memory of a reconciliation of 1,000 and of 100,000 open transfers, each in a process of its own.

Run: ``python -m tests.performance.bench_memory``. Exits 1 if the larger one takes over 1.2 times the smaller.
The transfers are started in the application and unknown to the contract: pages, multicalls and comparisons
are those of any transfer, and a chain of 100,000 agreements would take minutes to make.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from shared.app.reconcile_report import is_straight
from shared.local.anvil import Anvil
from shared.local.escrow.client import EscrowClient
from tests.performance.rig import Rig, peak_mb

TARGET_RATIO = 1.2
_SIZES = (1_000, 100_000)


def measured(count: int) -> None:
    """Fill a store in a child, reconcile in this process, print the peak in MB."""
    with Anvil() as anvil, tempfile.TemporaryDirectory() as directory:
        escrow = EscrowClient.deploy(anvil.rpc)
        fill = [
            sys.executable,
            "-m",
            __spec__.name,
            "fill",
            str(count),
            anvil.rpc_url,
            escrow.address,
            directory,
        ]
        subprocess.run(fill, check=True)
        rig = Rig(Path(directory), anvil.rpc_url, escrow.address)
        report = rig.reconciler().run(manual=True)
        if not is_straight(report) or report["checked"] != count:
            raise SystemExit(f"{report['checked']} of {count} checked: {report['causes']}")
        print(f"{peak_mb():.1f}", flush=True)  # noqa: T201


def fill(count: int, rpc_url: str, address: str, directory: str) -> None:
    """Start so many transfers, without the mapping documents that would be checked besides."""
    rig = Rig(Path(directory), rpc_url, address)
    for at in range(0, count, 10_000):
        rig.start([f"bench-{number}" for number in range(at, min(at + 10_000, count))])


def main() -> int:
    """Run both sizes, print, and say whether the target was reached."""
    peaks = []
    for count in _SIZES:
        command = [sys.executable, "-m", __spec__.name, "measure", str(count)]
        peaks.append(
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        )
        print(f"{count:>8,} open transfers: {peaks[-1]:.0f} MB at the most", flush=True)  # noqa: T201
    ratio = peaks[1] / peaks[0]
    print(f"ratio {ratio:.2f} (at most {TARGET_RATIO})")  # noqa: T201
    return 0 if ratio <= TARGET_RATIO else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measured(int(sys.argv[2]))
    elif sys.argv[1:2] == ["fill"]:
        fill(int(sys.argv[2]), *sys.argv[3:])
    else:
        sys.exit(main())
