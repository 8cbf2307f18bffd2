"""Running a back-test from a file, and its report as a table for people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from shared.app.backtest_report import NONE, REFERENCE, backtest
from shared.app.backtest_rows import read_recording
from shared.app.fee_strategies import strategies
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shared.app.backtest_forecast import ForecastScore
    from shared.app.backtest_report import Figure, Line, Report

_GWEI = 10**9


def run_backtest(file: Path, names: Sequence[str], within_blocks: int) -> Report:
    """Replay a file through the strategies named (all, if none is); InvalidInput names what is wrong."""
    known = strategies()
    unknown = set(names) - {strategy.name for strategy in known}
    if unknown:
        raise InvalidInput(
            f"strategy {min(unknown)} is unknown; there are {', '.join(strategy.name for strategy in known)}"
        )
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            recording = read_recording(lines, file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file.name} cannot be read as text: {type(error).__name__}") from error
    wanted = [s for s in known if not names or s.name in {*names, REFERENCE}]
    report = backtest(recording, wanted, within_blocks)
    return replace(report, lines=[line for line in report.lines if not names or line.strategy in names])


def show_backtest(report: Report) -> None:
    """Print one block per regime, one line per strategy; `none` where the recording cannot tell."""
    low, high = (f"{bound / _GWEI:.4g}" for bound in report.bounds_wei)
    meaning = {"all": "all base fees", "quiet": f"base fee below {low} gwei", "busy": f"from {high} gwei"}
    typer.echo(
        f"{report.rows} {report.kind}, deadline {report.within_blocks} blocks; 95 % intervals in brackets"
    )
    for regime in dict.fromkeys(line.regime for line in report.lines):
        lines = [line for line in report.lines if line.regime == regime]
        horizons = list(lines[0].inside)
        typer.echo(f"\n{regime} ({meaning.get(regime, f'{low} to {high} gwei')})")
        inside = "".join(f"{f'in {n}':>8}" for n in horizons)
        typer.echo(
            f"{'strategy':<17}{'n':>6}  {'cost, gwei':<26}{'below ethers':<32}{'of at most':<12}{inside}"
            f"  {'under-priced':<20}"
        )
        for line in lines:
            typer.echo(_row(line, horizons))
    if report.transitions:
        typer.echo(f"\n{_exactness(report)}")
    for score in report.forecasts:
        typer.echo(_forecast(score))


def _exactness(report: Report) -> str:
    told = f"next base fee: as Ethereum's rule says in {report.exact} of {report.transitions} blocks"
    if report.exact == report.transitions:
        return told
    return f"{told}; plumbline's cap and forecast go by that rule here, and promise nothing for the others"


def _row(line: Line, horizons: list[int]) -> str:
    inside = "".join(f"{_percent(line.inside[n]):>8}" for n in horizons)
    return (
        f"{line.strategy:<17}{line.n:>6}  {_cost(line.cost_gwei):<26}{_saving(line):<32}"
        f"{_percent(line.most):<12}{inside}  {_share(line.under_priced):<20}"
    ).rstrip()


def _forecast(score: ForecastScore) -> str:
    told = f"base fee {score.ahead} blocks ahead: a forecast was shown {score.shown} of {score.asked} times"
    if score.of_unchanged is None or score.of_average is None or score.in_interval is None:
        return told + " (none where none is known to beat the baselines)"
    return (
        f"{told}; its error is {score.of_unchanged:.2f} of that of staying unchanged, "
        f"{score.of_average:.2f} of the weighted average's; {100 * score.in_interval:.0f} % lay inside"
    )


def _saving(line: Line) -> str:
    if line.verdict != NONE or line.saving is None:
        return _share(line.saving)
    return f"none ({100 * line.saving.value:.1f} %)" + _interval(line.saving, 100, ".1f")


def _cost(figure: Figure | None) -> str:
    return "none" if figure is None else f"{figure.value:.4g}" + _interval(figure, 1, ".4g")


def _percent(figure: Figure | None) -> str:
    return "none" if figure is None else f"{100 * figure.value:.1f} %"


def _share(figure: Figure | None) -> str:
    return "none" if figure is None else f"{100 * figure.value:.1f} %" + _interval(figure, 100, ".1f")


def _interval(figure: Figure, unit: int, digits: str) -> str:
    if figure.low is None or figure.high is None:
        return " [too few]"
    return f" [{unit * figure.low:{digits}}, {unit * figure.high:{digits}}]"
