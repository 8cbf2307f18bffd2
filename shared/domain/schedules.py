"""When functions are called by the clock: one table for the laptop, Terraform and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Schedule:
    """A function called every ``every_s`` seconds; ``cron`` says the same in unix-cron (UTC)."""

    function: str
    cron: str
    every_s: int
    meaning: str


SCHEDULES: Final = {
    each.function: each
    for each in (Schedule("reconcile", "*/5 * * * *", 300, "drops the plumb line from chain to database"),)
}
"""Every schedule by the function that it calls."""
