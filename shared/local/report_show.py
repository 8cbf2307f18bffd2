"""The optimisation report for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.local.quote_show import gwei
from shared.local.terminal import PlainTable, Terminal

if TYPE_CHECKING:
    from shared.ports import Document

_CONSOLE: Final = Terminal()
_NOBODY: Final = "unknown"


def show_report(report: Document) -> None:
    """Print a report: figures, actions by cost, recommendations."""
    whose = (
        "the platform's wallets" if report["senders"] == "wallets" else "every wallet, as none is configured"
    )
    _CONSOLE.print(
        f"chain {report['chainId']}: {report['transactions']} transactions of {whose}, blocks"
        f" {_known(report['firstBlock'])} to {_known(report['lastBlock'])}, {gwei(report['cost'])} in all"
    )
    _CONSOLE.print(f"saving against {report['saving']['against']}: {_saving(report['saving'])}")
    success, waits = report["success"], report["waits"]
    steps = success["succeeded"] + success["failed"]
    _CONSOLE.print(f"success: {_share(success['rate'])} of {steps} steps, on all chains")
    _CONSOLE.print(
        f"waits known of {waits['transactions']}: median {_known(waits['median'])} blocks, most"
        f" {_known(waits['most'])}, within 5 {_share(waits['withinFive'])}"
    )
    if report["actions"]:
        table = PlainTable()
        for title in ("action", "contract", "transactions", "mean gas", "cost", "share"):
            table.add_column(title, overflow="fold")
        for line in report["actions"]:
            cost = gwei(line["cost"])
            counts = (str(line["transactions"]), f"{line['meanGas']:,}")
            table.add_row(line["action"], line["contract"], *counts, cost, _share(line["share"]))
        _CONSOLE.print(table)
    for each in report["recommendations"]:
        _CONSOLE.print(f"- {each['text']}")
    if not report["recommendations"]:
        _CONSOLE.print("no recommendation follows from these numbers")


def _saving(saving: Document) -> str:
    if saving["value"] is None:
        return _NOBODY
    interval = "" if saving["low"] is None else f" [{saving['low']:.1%}, {saving['high']:.1%}]"
    figure = f"{saving['value']:.1%}{interval} of {saving['n']}, at most {saving['most']:.1%} was to be had"
    word = {"none": "none", "unknown": "not sure yet"}.get(saving["verdict"])
    return figure if word is None else f"{word} ({figure})"


def _share(value: float | None) -> str:
    return _NOBODY if value is None else f"{value:.1%}"


def _known(value: Any) -> str:
    return _NOBODY if value is None else str(value)
