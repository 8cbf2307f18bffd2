"""Always on: follows every chain that a configured contract is on, until it is told to stop."""

from __future__ import annotations

import signal
import sys

from shared.bootstrap import plumbline


def main() -> int:
    """Follow each chain and serve health and metrics; return 0 after SIGTERM, 1 if a chain cannot go on.

    Raises ConfigError where the start is refused.
    """
    parts = plumbline()
    listeners = parts.listeners
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: listeners.stop())
    health = parts.health_server(listeners)
    health.start()
    listeners.start()
    return listeners.wait()


if __name__ == "__main__":
    sys.exit(main())
