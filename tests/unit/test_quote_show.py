"""A quote for people's eyes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shared.local.quote_show import gwei, show_quote
from shared.local.report_show import show_report
from tests.support.quotes import QuoteWorld

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@given(st.integers(0, 10**30))
def test_gwei_is_exact(wei: int) -> None:
    """Wei as gwei loses no digit."""
    shown = gwei(str(wei)).removesuffix(" gwei")
    whole, _, part = shown.partition(".")
    assert int(whole) * 10**9 + int(part.ljust(9, "0") or 0) == wei
    assert not shown.endswith("0") or "." not in shown


def test_what_nobody_knows_is_shown_as_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A chain without rule or history, and a legacy one, are shown without an invented figure."""
    show_quote(QuoteWorld(tmp_path / "a", chain_id=777).ask())
    unknown = capsys.readouterr().out
    assert unknown.count("unknown") >= 4
    show_quote(QuoteWorld(tmp_path / "b", base_fee_wei=None).ask())
    legacy = capsys.readouterr().out
    assert "2 gwei" in legacy
    assert "legacy chain" in legacy


def test_a_narrow_terminal_loses_no_digit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cap for a long deadline has more digits than a column has room: it goes on in the next line."""
    world = QuoteWorld(tmp_path)
    world.mine(40)
    quote = world.ask(within_blocks=1000)
    show_quote(quote)
    shown = capsys.readouterr().out
    assert "…" not in shown
    cap = gwei(quote["maxFeePerGas"]).removesuffix(" gwei")
    lines = shown.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("max fee"))
    cells = [line[16:].split("  ")[0].strip() for line in lines[first : first + 4]]
    assert cap in "".join(cells)


def test_a_report_shows_contracts_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that is cut off is none."""
    address = "0x" + "c0" * 20
    line = {"action": "provide_financial", "contract": address, "transactions": 500, "meanGas": 70_000}
    waits = {"transactions": 0, "median": None, "most": None, "withinFive": None}
    saving = {"against": "ethers", "value": None}
    show_report(
        {
            "senders": "all", "chainId": 1, "transactions": 500, "firstBlock": 1, "lastBlock": 2, "cost": "1",
            "saving": saving, "success": {"rate": None, "succeeded": 0, "failed": 0}, "waits": waits,
            "actions": [{**line, "cost": str(10**27), "share": 1.0}], "recommendations": [],
        }
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert len(re.findall("c0", shown)) == 20
