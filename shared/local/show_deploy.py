"""What the deploying commands print: tables for people, JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shared.local.show import CONSOLE, new_table, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shared.adapters.cloud_scheduler import Job


def bundle(manifest: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print what was bundled."""
    if as_json:
        print_json(manifest)
        return
    rows = new_table("function", "called by", "sha256")
    for name, function in manifest["functions"].items():
        rows.add_row(name, function["signature"], function["sha256"])
    CONSOLE.print(rows)
    for contract in manifest["contracts"]:
        name, version = contract["name"], contract["version"]
        CONSOLE.print(f"{name} {version} on chain {contract['chainId']} at {contract['address']}")
    CONSOLE.print(f"in {out}")


def jobs(found: Sequence[Job], *, as_json: bool) -> None:
    """Print what the clock calls."""
    if as_json:
        print_json([asdict(job) for job in found])
        return
    rows = new_table("function", "times", "zone", "state", "next", "last", "wrong")
    for job in found:
        last = "never" if job.last_at is None else job.last_at
        rows.add_row(
            job.function, job.cron, job.time_zone, job.state, job.next_at or "-", last, "; ".join(job.wrong)
        )
    CONSOLE.print(rows)
