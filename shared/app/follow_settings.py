"""What can be set about following a chain, and what a step of it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.domain.topics import CHAIN_LOGS


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """How a chain is followed; the defaults suit a chain with a block every few seconds.

    ``start_block``: first block to read where no cursor is stored; None: the lowest deployment block of
    the chain's contracts. ``poll_s``: pause between two looks at an unchanged head. ``max_range``: most
    blocks asked for at once; ``max_logs``: a window that brought more makes the next one narrower.
    ``window``: a block this far below the head is final, its hash and logs are not kept for a reorg.
    ``publish_batch``: most logs in a message; ``topic``: where messages go. ``lease_s``: how long a
    listener that stopped without a word keeps another waiting. ``backoff_s`` and ``max_backoff_s``:
    first and longest pause after a failure, doubled in between.
    """

    start_block: int | None = None
    poll_s: float = 1.0
    max_range: int = 2000
    max_logs: int = 10_000
    window: int = 128
    publish_batch: int = 500
    topic: str = CHAIN_LOGS
    lease_s: float = 10.0
    backoff_s: float = 0.5
    max_backoff_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step did: ``more`` says that there is more to do at once, ``standby`` that another listens.

    ``published`` and ``removed`` count logs; ``read_through`` and ``head`` are heights.
    """

    more: bool
    read_through: int | None = None
    head: int | None = None
    published: int = 0
    removed: int = 0
    standby: bool = False


class StopSignal(Protocol):
    """What ends a run: a ``threading.Event``, or like one."""

    def is_set(self) -> bool:
        """Say whether to stop."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for this many seconds, or until told to stop; return whether to stop."""
