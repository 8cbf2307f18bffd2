"""Run every benchmark, each in a process of its own; exit 1 if one misses its target.

``python -m tests.performance``. Figures to quote are in docs/performance.md; a busy machine spoils them.
"""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = ("cold_start", "projection", "reconcile", "memory", "backfill", "whole_way", "latency", "quote")


def main() -> int:
    """Run them one after the other."""
    missed = []
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)  # noqa: T201 - its output
        module = f"tests.performance.bench_{name}"
        if subprocess.run([sys.executable, "-m", module], check=False).returncode:
            missed.append(name)
    print("all targets reached" if not missed else f"missed: {', '.join(missed)}")  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
