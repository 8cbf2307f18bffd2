"""``python -m tests.chaos --seed N [--seeds K] [--seconds S] [--endpoints E]``.

Exit 1 where anything differs at the end of a seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.errors import PlumblineError
from tests.chaos.scenario import Chaos

_LAST_WORDS = 3000


def main() -> int:
    """Run the seeds in a row, and print each plan as it happens."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--endpoints", type=int, default=1, help="faults strike one of them at a time")
    options = parser.parse_args()
    failed = []
    for seed in range(options.seed, options.seed + options.seeds):
        print(f"seed {seed}", flush=True)  # noqa: T201 - its output
        with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
            try:
                differs = Chaos(Path(directory), seed, options.endpoints, tell=_say).run(options.seconds)
            except (PlumblineError, AssertionError, subprocess.TimeoutExpired) as error:
                differs = [f"{type(error).__name__}: {error}"]
            if differs:
                failed.append(seed)
                log = (Path(directory) / "var" / "local.log").read_text("utf-8", "replace")
                _say(log[-_LAST_WORDS:])
        _say("\n".join(differs[:20]) if differs else f"seed {seed}: events and states are the chain's")
    print(f"{options.seeds - len(failed)} of {options.seeds} seeds straight; failed: {failed}")  # noqa: T201
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
