"""A quote for people's eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shared.local.quote_show import gwei, show_quote
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
