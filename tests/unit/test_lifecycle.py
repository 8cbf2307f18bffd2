"""The lifecycle table and what is derived from it."""

from __future__ import annotations

import pytest

from shared.domain.lifecycle import (
    STEPS,
    TOKEN_STEPS,
    ContractState,
    state_reached,
    steps_excluded,
    steps_needed,
)


@pytest.mark.parametrize(
    ("step", "from_states"),
    [
        ("agree_send", {0, 1}),
        ("agree_receive", {0, 2}),
        ("financial", {3}),
        ("executed", {4}),
        ("minted", {5}),
        ("burned", {6}),
    ],
)
def test_each_step_starts_from_the_contracts_states(step: str, from_states: set[int]) -> None:
    """The from-states are those that the escrow contract allows."""
    assert set(STEPS[step].moves) == from_states


@pytest.mark.parametrize("state", list(ContractState))
def test_what_is_needed_is_never_excluded(state: ContractState) -> None:
    """At no state is a step both certain and impossible."""
    assert not steps_needed(state, tokenised=True) & steps_excluded(state)


@pytest.mark.parametrize("state", [s for s in ContractState if s is not ContractState.NONE])
def test_the_needed_steps_amount_to_the_state(state: ContractState) -> None:
    """The steps that a state implies lead back to that state."""
    assert state_reached(steps_needed(state)) is state


def test_completion_implies_neither_mint_nor_burn() -> None:
    """State 8 makes mint and burn possible, a suspicion where both tokenise, and never certain."""
    assert not set(TOKEN_STEPS) & steps_needed(ContractState.COMPLETED)
    assert not set(TOKEN_STEPS) & steps_excluded(ContractState.COMPLETED)
    assert set(TOKEN_STEPS) <= steps_needed(ContractState.COMPLETED, tokenised=True)


@pytest.mark.parametrize("state", [ContractState.MINTED, ContractState.BURNED])
def test_six_and_seven_imply_the_mint(state: ContractState) -> None:
    """Minted and burned both need the mint."""
    assert "minted" in steps_needed(state)
