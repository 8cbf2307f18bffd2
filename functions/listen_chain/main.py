"""Always on: follows every chain that a configured contract is on, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from shared.app.doorbell import Doorbell
from shared.bootstrap import plumbline

if TYPE_CHECKING:
    from shared.app.follow_chain import FollowChain

_LOG = logging.getLogger("plumbline.listen_chain")


def main() -> int:
    """Follow each chain in a thread of its own; return 0 after SIGTERM, 1 where a chain cannot go on.

    A chain that stops for good does not stop the others.
    """
    stop = Doorbell()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parts = plumbline()
    failed: list[int] = []
    threads = []
    for chain_id in parts.registry.chains:
        follow = parts.follow_chain(chain_id)
        thread = threading.Thread(target=_follow, args=(follow, chain_id, stop, failed), name=str(chain_id))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return 1 if failed else 0


def _follow(follow: FollowChain, chain_id: int, stop: Doorbell, failed: list[int]) -> None:
    try:
        follow.run(stop)
    except Exception:  # noqa: BLE001 - it ends in the exit code; a thread's own traceback is not redacted
        _LOG.critical("chain %s: the listener stopped for good", chain_id, exc_info=True)
        failed.append(chain_id)


if __name__ == "__main__":
    sys.exit(main())
