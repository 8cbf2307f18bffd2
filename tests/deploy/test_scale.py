"""docs/scale.md says what is counted now, and the counts stay what the design promises."""

from __future__ import annotations

import pytest

from tests.deploy import scale
from tests.deploy.operations import handling, listening, triggering


@pytest.fixture(scope="module")
def measured() -> scale.Measured:
    """Count once."""
    return scale.measure()


def test_the_page_has_the_tables_of_now(measured: scale.Measured) -> None:
    """`python -m tests.deploy.scale` writes them; whoever makes an event dearer sees it here."""
    assert scale.written() == scale.blocks(measured)


def test_an_event_costs_few_operations(measured: scale.Measured) -> None:
    """Live, an event is at most four reads and two writes, and its trigger one read and no write."""
    assert (measured.handling.reads <= 4, measured.handling.writes <= 2) == (True, True)
    assert (measured.trigger.reads, measured.trigger.writes) == (1, 0)


def test_counting_is_the_same_every_time() -> None:
    """The same code gives the same counts: the tables do not change by themselves."""
    assert handling() == handling()
    assert triggering() == triggering()
    assert listening(0) == listening(0)


def test_closed_transfers_cost_a_share(measured: scale.Measured) -> None:
    """Besides their mapping, closed ones are looked at in turn: one in 72 runs."""
    assert measured.runs.closed_transfer.reads < measured.runs.open_transfer.reads / 3
