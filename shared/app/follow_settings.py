"""What can be set about following a chain, and what a step of it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.domain.topics import CHAIN_LOGS


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """How a chain is followed; the defaults suit a chain with a block every few seconds.

    ``start_block``: first block to read where no cursor is stored; None: the lowest deployment block of
    the chain's contracts. ``poll_s``: pause between two looks at an unchanged head; ``tags_s``: between
    two looks at the safe and finalized tags. ``max_range``: most blocks asked for at once; ``max_logs``: a
    window that brought more makes the next one narrower. ``window``: blocks at most this far below the
    head, or above the contracts' finality, are kept in case of a reorg. ``publish_batch``: most logs in a
    message; ``topic``: where messages go. ``lease_s``: how long a listener that stopped without a word
    keeps another waiting. ``backoff_s`` and ``max_backoff_s``: first and longest pause after a failure,
    doubled in between. ``second_reading_s``: age at which what could not be proved is read again;
    ``prove_blocks``: ranges this near to the head are then proved block by block, older ones witnessed
    by a second query. ``violation_s``: how long a certified block must have another hash until the listener
    stops for good. ``report_s``: how often the listener says how it stands. ``with_senders``: whether
    logs are published with who sent their transactions.
    """

    start_block: int | None = None
    poll_s: float = 0.5
    tags_s: float = 5.0
    max_range: int = 2000
    max_logs: int = 10_000
    window: int = 128
    publish_batch: int = 1000
    topic: str = CHAIN_LOGS
    lease_s: float = 10.0
    backoff_s: float = 0.25
    max_backoff_s: float = 3.0
    second_reading_s: float = 5.0
    violation_s: float = 10.0
    prove_blocks: int = 10_000
    report_s: float = 2.0
    with_senders: bool = False


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
    """What ends a run, and what wakes it up."""

    def is_set(self) -> bool:
        """Say whether to stop."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for this many seconds, or until told to stop or of a new head; return whether to stop."""

    def pause(self, timeout: float) -> bool:
        """Wait for this many seconds, or until told to stop, heads or not; return whether to stop."""
