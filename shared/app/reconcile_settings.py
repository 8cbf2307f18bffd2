"""How a reconciliation runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """How a reconciliation runs.

    ``page_size``: transfers in one multicall. ``budget_s``: a run stops after so many seconds and the
    next one goes on (None: never). ``every_run_limit``: up to so many open transfers of a contract are
    all checked in every run. ``rotation_runs``: beyond it, and for closed ones, each is checked once in
    so many runs (72 runs of 5 minutes are 6 hours). ``grace_s``: a step younger than this is late, not
    missing; ``late_s``: what the listener leaves unread for longer is missing all the same. ``lease_s``: how
    long a killed run blocks the next. ``sweep_limit``: events, and transfers, looked at per run for a
    projection that never came. ``resolve_limit``: unmapped hashes per run whose calldata is
    read. ``platform_wallets``: addresses, lower-case; a missed transaction of any other sender is told of
    as external (none: that is not looked at). ``reorg_window``: blocks below a pinned one that a reorg may
    have replaced by the next run.
    """

    page_size: int = 1_000
    budget_s: float | None = 240.0
    every_run_limit: int = 20_000
    rotation_runs: int = 72
    grace_s: float = 60.0
    late_s: float = 3_600.0
    lease_s: float = 60.0
    sweep_limit: int = 5_000
    resolve_limit: int = 100
    platform_wallets: frozenset[str] = frozenset()
    reorg_window: int = 128
