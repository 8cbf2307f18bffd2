"""What every test shares: fixed random seeds and the table of machine parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings

from tests.support import parts

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["tests.support.bus_bench", "tests.support.chain", "tests.support.firestore_emulator"]

settings.register_profile("plumbline", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("plumbline")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Close the run with the parts that were used and those that were skipped."""
    terminalreporter.section("parts of this machine")
    for row in parts.table():
        terminalreporter.write_line(row)
