"""Random but valid histories of one transfer, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shared.domain.events import REINSTATED, SUPERSEDED, iso, seal
from shared.domain.hashing import transfer_hash
from shared.domain.log_coordinates import event_id
from shared.domain.system_events import verdict_event

ROLLOVER = "rollover-1"
_HASH = transfer_hash(ROLLOVER)
CONTRACTS = ("0x" + "a1" * 20, "0x" + "b2" * 20)
_STEPS = {
    "agree_send": ("blockchain.v5.agreement", {"agreementType": "sender", "isSender": True}),
    "agree_receive": ("blockchain.v5.agreement", {"agreementType": "receiver", "isSender": False}),
    "financial": ("blockchain.v5.financial", {}),
    "executed": ("blockchain.v5.executed", {}),
    "minted": ("blockchain.v5.minted", {}),
    "burned": ("blockchain.v5.burned", {}),
    "settled": ("blockchain.v5.completed", {}),
}
_APP = (
    "rollover.started", "rollover.acknowledged", "rollover.documents_submitted", "rollover.document_approved",
    "rollover.documents_approved", "rollover.completed", "rollover.failed", "rollover.cancelled",
    "settlement.funds_sent", "settlement.funds_received", "blockchain.v5.executed.failed",
)  # fmt: skip


def _hex(number: int) -> str:
    return f"0x{number:064x}"


def log_event(
    step: str, block: int, fork: int = 0, index: int = 0, contract: str = CONTRACTS[0]
) -> dict[str, Any]:
    """Return the event of a log of ``step`` in a block of a fork."""
    kind, constants = _STEPS[step]
    block_hash, transaction = _hex(block * 16 + fork), _hex(block)
    data = {
        **constants, "chainId": 1, "contract": contract, "blockNumber": block, "blockHash": block_hash,
        "transactionHash": transaction, "logIndex": index, "transferHash": _HASH, "step": step,
    }  # fmt: skip
    return {
        **seal(
            {
                "eventId": event_id(1, contract, block_hash, transaction, index),
                "eventType": kind,
                "timestamp": iso(1_700_000_000 + block * 12 + fork),
                "data": data,
            }
        ),
        "rolloverId": ROLLOVER,
    }


def evidence(step: str) -> dict[str, Any]:
    """Return an event that only the contract's state proves."""
    kind, constants = _STEPS[step]
    data = {
        **constants, "chainId": 1, "contract": CONTRACTS[0], "transferHash": _HASH, "step": step,
        "evidence": "contract_state",
    }  # fmt: skip
    event = {"eventId": f"evidence-{step}", "eventType": kind, "timestamp": iso(1_700_009_999), "data": data}
    return {**seal(event), "rolloverId": ROLLOVER}


def foreign(kind: str, number: int, **data: Any) -> dict[str, Any]:
    """Return an event as the application writes it: any id, no hash."""
    return {
        "eventId": f"app-{kind}-{number}",
        "eventType": kind,
        "rolloverId": ROLLOVER,
        "timestamp": iso(1_699_000_000 + number),
        "custodianId": ("alpha", "beta")[number % 2],
        "sourceCustodianId": "alpha",
        "destinationCustodianId": "beta",
        "data": data,
    }


_steps = st.sampled_from(sorted(_STEPS))
_logs = st.builds(
    log_event, _steps, st.integers(1, 12), st.integers(0, 2), st.integers(0, 2), st.sampled_from(CONTRACTS)
)
_foreign_chain = st.builds(
    lambda step, number: foreign(_STEPS[step][0], number, **_STEPS[step][1], transactionHash=_hex(number)),
    _steps, st.integers(0, 9),
)  # fmt: skip
_app = st.builds(foreign, st.sampled_from(_APP), st.integers(0, 9))
_evidence = st.builds(evidence, _steps)


@st.composite
def histories(draw: st.DrawFn, max_size: int = 24) -> list[dict[str, Any]]:
    """Draw events of one transfer, with verdicts (superseded, reinstated) on some of them."""
    events = draw(st.lists(st.one_of(_logs, _app, _foreign_chain, _evidence), min_size=1, max_size=max_size))
    unique = {event["eventId"]: event for event in events}
    judged = draw(
        st.lists(
            st.tuples(
                st.sampled_from(sorted(unique)), st.integers(1, 4), st.sampled_from((SUPERSEDED, REINSTATED))
            ),
            max_size=8,
        )
    )
    for target, counter, verdict in judged:
        event = {**verdict_event(unique[target], counter, verdict, "drawn"), "rolloverId": ROLLOVER}
        unique[event["eventId"]] = event
    # A verdict may have arrived for an event that never did.
    lost = draw(st.lists(st.sampled_from(sorted(unique)), max_size=2))
    return [event for key, event in unique.items() if key not in lost] or list(unique.values())


@st.composite
def deliveries(draw: st.DrawFn, history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw an order in which the events are delivered, some of them more than once."""
    repeated = draw(st.lists(st.sampled_from(history), max_size=10))
    return draw(st.permutations(history + repeated))
