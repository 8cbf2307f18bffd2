"""One listener per chain, each in a thread of its own: what stops one never holds up another."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from shared.app.doorbell import Doorbell, set_by_handler
from shared.domain.metrics import ERRORS
from shared.errors import PlumblineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.ports import Metrics

_LOG: Final = logging.getLogger(__name__)
_UNFORESEEN: Final = "unforeseen"
_ENDS_WITHIN_S: Final = 10.0
"""What is in hand gets so long to finish; a request that hangs is left, every moment being safe for that."""


class Listeners:
    """Runs ``follow(chain_id, doorbell)`` for each chain until told to stop.

    ``anew_after_s``: how long after an error that nobody foresaw a chain is followed anew.
    """

    def __init__(
        self,
        chain_ids: Sequence[int],
        follow: Callable[[int, Doorbell], None],
        metrics: Metrics,
        *,
        anew_after_s: float = 5.0,
    ) -> None:
        self._follow = follow
        self._metrics = metrics
        self._anew_after_s = anew_after_s
        self._stopped = threading.Event()
        self._failed: set[int] = set()
        self.doorbells = {chain_id: Doorbell() for chain_id in chain_ids}
        self._threads = {
            chain_id: threading.Thread(target=self._run, args=(chain_id,), name=str(chain_id), daemon=True)
            for chain_id in chain_ids
        }

    def start(self) -> None:
        """Start every listener."""
        for thread in self._threads.values():
            thread.start()

    def stop(self) -> None:
        """Tell all to finish what is in hand and end; may be called from a signal handler."""
        set_by_handler(self._stopped)

    def wait(self) -> int:
        """Wait until told to stop and for the end of all; return 1 if a chain could not go on, else 0.

        A chain that stopped for good leaves the process up, unhealthy: to start it again would change
        nothing and make less noise.
        """
        self._stopped.wait()
        for doorbell in self.doorbells.values():
            doorbell.set()
        for thread in self._threads.values():
            thread.join(_ENDS_WITHIN_S / len(self._threads))
        return 1 if self._failed else 0

    def dead(self) -> list[str]:
        """Return the chains whose thread has ended though nobody told it to, without a word of why."""
        if self._stopped.is_set():
            return []
        return [
            f"chain {chain_id}"
            for chain_id, thread in self._threads.items()
            if thread.ident is not None and not thread.is_alive() and chain_id not in self._failed
        ]

    def _run(self, chain_id: int) -> None:
        doorbell = self.doorbells[chain_id]
        while not doorbell.is_set():
            try:
                self._follow(chain_id, doorbell)
            except PlumblineError:
                _LOG.critical("chain %s: the listener stopped for good", chain_id, exc_info=True)
                self._failed.add(chain_id)
                return
            except Exception:  # noqa: BLE001 - told and counted; a thread's own traceback is not redacted
                # Nobody foresaw it: what a node made up once should not need somebody to start us again.
                _LOG.critical("chain %s: the listener begins anew", chain_id, exc_info=True)
                self._metrics.count(ERRORS, chain=str(chain_id), code=_UNFORESEEN)
                doorbell.pause(self._anew_after_s)
            else:
                return
