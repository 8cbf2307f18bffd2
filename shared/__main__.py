"""The program: ``python -m shared`` and ``plumbline`` both begin here."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line."""
    if "local" in sys.argv[1:]:
        # Importing the rest takes most of a second. Told to end meanwhile it has nothing to put in order yet,
        # and ends as well as it does later, when it handles these by itself.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
    from shared.cli import main as command_line  # noqa: PLC0415 - see above

    command_line()


if __name__ == "__main__":
    main()
