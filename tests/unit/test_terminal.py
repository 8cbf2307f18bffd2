from __future__ import annotations

from typing import TYPE_CHECKING

from shared.local.terminal import PlainTable, Terminal, visible

if TYPE_CHECKING:
    import pytest


def test_what_somebody_wrote_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences, line starts and turned writing are spelled out, in lines and in tables."""
    evil = "T-1\x1b[2J\rpaid\u202edne\x9b1m\x00"
    table = PlainTable()
    table.add_column("transfer")
    table.add_row(evil)
    terminal = Terminal()
    terminal.print(evil)
    terminal.print(table)
    said = capsys.readouterr().out
    assert said.count(r"T-1\x1b[2J\rpaid\u202edne\x9b1m\x00") == 2
    assert not set(said) & set("\x1b\r\u202e\x9b\x00")


def test_other_text_stays_as_it_is() -> None:
    """Letters of every script, line feeds and signs are not touched."""
    assert visible("Žluťoučký 転送 🪙\nok") == "Žluťoučký 転送 🪙\nok"
