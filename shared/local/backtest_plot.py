"""A back-test's report as a picture: one panel per figure, one dot with its interval per strategy, as SVG."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shared.app.backtest_report import Figure, Line, Report

_LEFT: Final = 130
_PANEL: Final = 250
_GAP: Final = 30
_TOP: Final = 60
_STEP: Final = 26
_OURS: Final = "#1f5fa8"
_THEIRS: Final = "#666666"


def write_svg(report: Report, file: Path) -> None:
    """Write the picture; InvalidInput where the file cannot be written, or has the name of another kind."""
    if file.suffix.lower() != ".svg":
        raise InvalidInput(f"plot: {file.name} does not end in .svg, which is what is drawn")
    try:
        file.write_text(svg(report), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"plot: {file.name} cannot be written: {type(error).__name__}") from error


def svg(report: Report) -> str:
    """Draw cost, inclusion by the deadline and the under-priced share of all base fees; returns SVG text."""
    lines = [line for line in report.lines if line.regime == "all"]
    within = report.within_blocks
    panels = [
        ("cost, gwei per gas", [line.cost_gwei for line in lines], 1.0),
        (f"in within {within} blocks, %", [line.inside[within] for line in lines], 100.0),
        ("under-priced, %", [line.under_priced for line in lines], 100.0),
    ]
    width = _LEFT + len(panels) * (_PANEL + _GAP)
    height = _TOP + _STEP * len(lines) + 50
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(10, 20, f"{report.rows} {report.kind}, deadline {within} blocks; 95 % intervals", 14),
        *(_text(10, _y(at) + 4, line.strategy, 12, _colour(line)) for at, line in enumerate(lines)),
    ]
    for place, (title, figures, unit) in enumerate(panels):
        body += _panel(_LEFT + place * (_PANEL + _GAP), title, figures, unit, lines)
    return "\n".join([*body, "</svg>", ""])


def _panel(
    left: int, title: str, figures: Sequence[Figure | None], unit: float, lines: Sequence[Line]
) -> list[str]:
    """Draw one panel from 0 to a round figure beyond the highest interval."""
    highest = max((max(figure.high or 0.0, figure.value) for figure in figures if figure), default=0.0)
    top = _round_up(highest * unit)
    bottom = _y(len(figures)) - 8
    body = [
        _text(left, _TOP - 22, title, 12),
        f'<line x1="{left}" y1="{bottom}" x2="{left + _PANEL}" y2="{bottom}" stroke="#999"/>',
    ]
    for tick in range(5):
        x = left + _PANEL * tick / 4
        body.append(f'<line x1="{x:.1f}" y1="{_TOP - 12}" x2="{x:.1f}" y2="{bottom}" stroke="#eee"/>')
        body.append(_text(x, bottom + 16, f"{top * tick / 4:.3g}", 10, anchor="middle"))
    for at, (figure, line) in enumerate(zip(figures, lines, strict=True)):
        if figure is None:
            body.append(_text(left + 4, _y(at) + 4, "none", 11, "#999"))
            continue
        colour, middle = _colour(line), _x(left, figure.value * unit, top)
        if figure.low is not None and figure.high is not None:
            low, high = _x(left, figure.low * unit, top), _x(left, figure.high * unit, top)
            body.append(
                f'<line x1="{low:.1f}" y1="{_y(at)}" x2="{high:.1f}" y2="{_y(at)}" stroke="{colour}" '
                'stroke-width="2"/>'
            )
        body.append(
            f'<circle cx="{middle:.1f}" cy="{_y(at)}" r="4" fill="{colour}"><title>'
            f"{escape(line.strategy)}: {figure.value * unit:.4g}, n = {figure.n}</title></circle>"
        )
    return body


def _round_up(value: float) -> float:
    """Return the next figure that divides well by four, 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(top * power for top in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10) if top * power >= value)


def _x(left: int, value: float, top: float) -> float:
    return left + _PANEL * max(value, 0.0) / top


def _y(at: int) -> int:
    return _TOP + _STEP * at


def _colour(line: Line) -> str:
    return _OURS if line.strategy == "plumbline" else _THEIRS


def _text(x: float, y: float, words: str, size: int, colour: str = "#222", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )
