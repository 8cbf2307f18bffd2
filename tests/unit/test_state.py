"""The fold: whatever the order and the repetitions, one state."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.events import REINSTATED, SUPERSEDED
from shared.domain.hashing import canonical_json, transfer_hash
from shared.domain.state import PROOF_LIMIT, absorb, fold, is_intact, knows
from shared.domain.system_events import verdict_event
from shared.errors import InvalidInput
from tests.support.histories import CONTRACTS, ROLLOVER, deliveries, evidence, foreign, histories, log_event

LIFE = [
    log_event(step, block, index=block % 3)
    for block, step in enumerate(
        ("agree_send", "agree_receive", "financial", "executed", "minted", "burned", "settled"), start=1
    )
]


def absorbed(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the state after absorbing events one by one."""
    state = None
    for event in events:
        state = absorb(state, event)
    assert state is not None
    return state


def verdict(event: dict[str, Any], counter: int, kind: str) -> dict[str, Any]:
    """Return a routed verdict."""
    return {**verdict_event(event, counter, kind, "test"), "rolloverId": ROLLOVER}


@given(st.data())
@settings(max_examples=500)
def test_any_order_with_any_repetitions_gives_one_document(data: st.DataObject) -> None:
    """Every delivery of one history, whatever its order and repetitions, folds to the same bytes."""
    history = data.draw(histories())
    delivered = data.draw(deliveries(history))
    expected = canonical_json(fold(ROLLOVER, history))
    assert canonical_json(absorbed(delivered)) == expected
    assert canonical_json(fold(ROLLOVER, delivered)) == expected


@given(histories())
@settings(max_examples=500)
def test_a_state_knows_exactly_the_events_it_has_joined(history: list[dict[str, Any]]) -> None:
    """A folded state knows all its events; without one that proves a milestone it does not know that one."""
    state = fold(ROLLOVER, history)
    assert state is not None
    assert all(knows(state, event) for event in history)
    assert is_intact(state)
    for event in history:
        rest = fold(ROLLOVER, [other for other in history if other is not event])
        if rest is not None and event["eventId"] in state["proofs"]:
            assert not knows(rest, event)


@pytest.mark.parametrize(
    ("count", "status", "contract_state"),
    [
        (1, "awaiting_receiver", 2),
        (2, "awaiting_financial_verification", 3),
        (3, "ready_to_record", 4),
        (4, "awaiting_funds", 5),
        (5, "funds_in_transit", 6),
        (6, "completed", 7),
        (7, "completed", 8),
    ],
)
def test_each_step_moves_status_and_contract_state(count: int, status: str, contract_state: int) -> None:
    """The first n logs of a level-3 life show the status and the contract state of the domain's table."""
    state = absorbed(LIFE[:count])
    assert (state["status"], state["contractState"]) == (status, contract_state)


def test_receiver_alone_waits_for_the_sender() -> None:
    """A receiver's agreement alone is contract state 1."""
    state = absorbed(LIFE[1:2])
    assert (state["status"], state["contractState"]) == ("awaiting_sender", 1)


def test_a_level_2_transfer_at_8_still_waits_for_its_money() -> None:
    """The contract's completion without a burn does not complete what is displayed; settlement does."""
    events = [*LIFE[:4], LIFE[6]]
    assert absorbed(events)["status"] == "awaiting_funds"
    assert absorbed(events)["contractState"] == 8
    paid = [*events, foreign("settlement.funds_sent", 1), foreign("settlement.funds_received", 2)]
    assert absorbed(paid[:-1])["status"] == "funds_in_transit"
    assert absorbed(paid)["status"] == "completed"


def test_both_custodians_must_approve() -> None:
    """One custodian's approval of all documents leaves the transfer awaiting the other's."""
    started = foreign("rollover.started", 0)
    approvals = [foreign("rollover.documents_approved", number) for number in (0, 1)]
    assert absorbed([started])["status"] == "started"
    assert absorbed([started, foreign("rollover.acknowledged", 1)])["status"] == "acknowledged"
    assert absorbed([started, approvals[0]])["status"] == "awaiting_approval"
    assert absorbed([started, *approvals])["status"] == "in_progress"


def test_a_failed_transaction_is_no_step() -> None:
    """An event whose type ends in .failed never counts as done."""
    state = absorbed([*LIFE[:3], foreign("blockchain.v5.executed.failed", 1)])
    assert state["status"] == "ready_to_record"


def test_the_real_log_outranks_the_applications_word_and_the_contracts_state() -> None:
    """Of three proofs of one step the log is shown, then the foreign event, then the contract's state."""
    claimed = foreign("blockchain.v5.executed", 1, transactionHash="0x" + "9" * 64)
    assert absorbed([evidence("executed")])["milestones"]["executed"]["proof"] == "contract_state"
    assert absorbed([evidence("executed"), claimed])["milestones"]["executed"]["proof"] == "foreign"
    shown = absorbed([claimed, evidence("executed"), LIFE[3]])["milestones"]["executed"]
    assert (shown["proof"], shown["transactionHash"]) == ("log", LIFE[3]["data"]["transactionHash"])


def test_the_verdict_with_the_highest_counter_wins() -> None:
    """Superseded at 1, reinstated at 2, superseded at 3: the last one stands, in any order."""
    taken_back, returned, again = (
        verdict(LIFE[0], 1, SUPERSEDED), verdict(LIFE[0], 2, REINSTATED), verdict(LIFE[0], 3, SUPERSEDED)
    )  # fmt: skip
    assert "agree_send" not in absorbed([taken_back, LIFE[0]])["milestones"]
    assert "agree_send" in absorbed([returned, LIFE[0], taken_back])["milestones"]
    assert "agree_send" not in absorbed([again, returned, LIFE[0], taken_back])["milestones"]


def test_a_second_contract_with_the_same_hash_is_reported_not_merged() -> None:
    """Steps on another contract are named as a conflict and prove nothing for this one."""
    other = log_event("executed", 9, contract=CONTRACTS[1])
    state = absorbed([*LIFE[:2], other])
    assert state["conflicts"] == [f"1:{CONTRACTS[1]}"]
    assert state["status"] == "awaiting_financial_verification"


def test_an_agreement_without_a_party_is_refused() -> None:
    """An agreement that says neither agreementType nor isSender names both fields in its error."""
    with pytest.raises(InvalidInput, match=r"agreementType .* isSender"):
        absorb(None, foreign("blockchain.v5.agreement", 1))


def test_a_hand_edited_document_is_seen() -> None:
    """A changed field breaks the document's hash."""
    state = absorbed(LIFE)
    assert is_intact(state)
    assert not is_intact({**state, "status": "cancelled"})


def test_the_document_is_bounded() -> None:
    """Past the limit the document keeps the best proof of each milestone and is marked."""
    many = [log_event("agree_send", block, index=block) for block in range(1, PROOF_LIMIT + 2)]
    state = fold(ROLLOVER, many)
    assert state is not None
    assert state["overflow"]
    assert list(state["proofs"]) == [many[0]["eventId"]]
    assert state["status"] == "awaiting_receiver"


def test_events_that_are_no_milestone_leave_only_their_time() -> None:
    """A hundred approvals of single documents do not make the document grow."""
    base = foreign("rollover.started", 0)
    state = absorbed([base, *(foreign("rollover.document_approved", number) for number in range(1, 100))])
    assert list(state["proofs"]) == [base["eventId"]]
    assert state["lastEventAt"] == foreign("x", 99)["timestamp"]


def test_an_unmapped_transfer_is_kept_under_its_hash() -> None:
    """A transfer known by its hash alone is marked unmapped and never an orphan."""
    bare = transfer_hash("nobody mapped me")
    state = fold(bare, [{**LIFE[0], "rolloverId": bare}])
    assert state is not None
    assert (state["unmapped"], state["orphan"], state["transferHash"]) == (
        True,
        False,
        LIFE[0]["data"]["transferHash"],
    )


def test_at_one_counter_a_reinstatement_is_news_to_a_state_that_knows_the_removal() -> None:
    """What would change a state is not known to it; one that overflows cannot tell, so it knows nothing."""
    event = log_event("agree_send", 3)
    superseded = {**verdict_event(event, 2, SUPERSEDED, "x"), "rolloverId": ROLLOVER}
    reinstated = {**verdict_event(event, 2, REINSTATED, "x"), "rolloverId": ROLLOVER}
    taken_back = fold(ROLLOVER, [event, superseded])
    back = fold(ROLLOVER, [event, superseded, reinstated])
    assert taken_back is not None
    assert back is not None
    assert not knows(taken_back, reinstated)
    assert knows(back, superseded)
    many = fold(ROLLOVER, [log_event("agree_send", block) for block in range(1, PROOF_LIMIT + 2)])
    assert many is not None
    assert not knows(many, foreign("rollover.cancelled", 1))
