"""``make demo``: a real contract on a real chain, faults put in, and the plumb line that puts them right."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from shared.domain.lifecycle import ContractState
from shared.local.running import RunningLocal
from shared.local.story import Story
from shared.local.story_cast import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.local.story_cast import Standing

HOME: Final = Path("var") / "demo"
_CONSOLE: Final = Console(highlight=False, soft_wrap=True, width=110)


class Narrator:
    """Prints the story with the seconds that have passed."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begun

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        _CONSOLE.print(f"\n[bold]{title}[/bold]")

    def tell(self, text: str) -> None:
        """Tell one thing."""
        _CONSOLE.print(f"[dim]{self.elapsed_s:5.1f} s[/dim]  {text}")

    def table(self, standings: Sequence[Standing]) -> None:
        """Show contract and database side by side."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("transfer", "contract", "database", "status", ""):
            table.add_column(column, no_wrap=True)
        for standing in standings:
            number = standing.state["contractState"] if standing.state else None
            status = standing.state["status"] if standing.state else "-"
            verdict = "[green]straight[/green]" if standing.straight else "[red]crooked[/red]"
            table.add_row(
                standing.transfer.transfer_id,
                _named(standing.contract_state),
                _named(number),
                status,
                verdict,
            )
        _CONSOLE.print(table)


def _named(number: int | None) -> str:
    return "-" if number is None else f"{number} {ContractState(number).name.lower()}"


def main() -> int:
    """Tell the story; 0 only if in the end every state is the contract's and nothing is left to do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--home", type=Path, default=HOME, help="where its files go")
    options = parser.parse_args()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    shutil.rmtree(options.home, ignore_errors=True)
    narrator = Narrator()
    narrator.chapter("A chain, a contract and every function, on this machine")
    # The plumb line is dropped by hand here: the schedule must not be faster.
    with RunningLocal(options.home, ["--reconcile-every", "0" if not options.keep else "300"]) as local:
        where = f"functions on port {local.ready['port']}, node {local.ready['rpcUrl']}"
        narrator.tell(f"plumbline local is ready: {where}")
        faults = list(_told(local, narrator))
        if faults:
            narrator.chapter("[red]Not straight[/red]")
            for fault in faults:
                narrator.tell(fault)
            narrator.tell(f"the log is {local.home / 'local.log'}")
            return 1
        narrator.chapter(f"[green]Every state is the contract's[/green] ({narrator.elapsed_s:.0f} s)")
        if options.keep:
            _keep(local, narrator)
    return 0


def _told(local: RunningLocal, narrator: Narrator) -> Iterator[str]:
    """Tell the story; yield what did not come out as it must."""
    with local.parts() as parts, local.escrow() as escrow:
        story = Story(
            Stage(
                escrow, parts.documents, parts.event_log("application"), parts.clock,
                local.hold_listener, local.release_listener, narrator.tell,
            )
        )  # fmt: skip
        narrator.chapter("Ten transfers live their lives, and the listener follows")
        for transfer in story.transfers.values():
            _CONSOLE.print(f"         {transfer.transfer_id:<12} {transfer.fate}")
        story.begin()
        story.live()
        narrator.chapter("Chain and database drift apart")
        story.drift()
        narrator.table(story.standings())
        if all(standing.straight for standing in story.standings()):
            yield "nothing drifted, so nothing was proved"
        narrator.chapter("The plumb line is dropped")
        yield from _run(local, narrator, "reconcile")
        narrator.table(story.standings())
        narrator.chapter("The listener comes back, and everything is checked once more")
        story.resume()
        yield from _run(local, narrator, "reconcile")
        yield from _left(local)
        yield from _run(local, narrator, "rebuild", "--check")
        yield from story.faults()


def _run(local: RunningLocal, narrator: Narrator, *arguments: str) -> Iterator[str]:
    narrator.tell(f"[bold]$ plumbline {' '.join(arguments)}[/bold]")
    done = local.command(*arguments)
    _CONSOLE.print(done.stdout.rstrip(), markup=False)
    if done.returncode:
        yield f"plumbline {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()[-500:]}"


def _left(local: RunningLocal) -> Iterator[str]:
    """Yield what the second reconciliation still found."""
    with local.parts() as parts:
        found = parts.observe.status()["reconciliation"]
        if found["mismatchCount"] or found["createdCount"]:
            yield f"the second reconciliation found {found['mismatchCount']} mismatches"


def _keep(local: RunningLocal, narrator: Narrator) -> None:
    narrator.tell(
        f"everything goes on: pid {local.pid}, node {local.ready['rpcUrl']}, store {local.ready['store']}"
    )
    narrator.tell(f"look at it:  {Path(sys.executable).parent / 'plumbline'} --home {local.home} events")
    narrator.tell(f"end it:      kill {local.pid}")
    local.leave()


if __name__ == "__main__":
    sys.exit(main())
