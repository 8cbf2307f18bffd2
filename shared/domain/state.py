"""The fold from events to a rollover's state: a join, so order and repetition do not matter.

The document holds, for every event that proves a milestone, a short *proof*, and for every event that
was judged, the *verdict* with the highest reorg counter. Both only grow, and everything displayed is
derived from them. Past ``PROOF_LIMIT`` entries the document keeps the best proofs only, is marked
``overflow``, and is computed from all events from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.domain.events import CORRECTION, REINSTATED, SUPERSEDED, is_ours
from shared.domain.hashing import digest, is_hash
from shared.domain.lifecycle import STEPS, state_reached
from shared.domain.status import APPROVED, CLOSED, displayed_status
from shared.domain.transfers import STATES as STATES  # noqa: PLC0414 - where many look for it
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

State = dict[str, Any]
"""A document of ``rollover_states/{rolloverId}``."""

PROOF_LIMIT: Final = 64

_LOG, _FOREIGN, _CONTRACT_STATE = range(3)
_PROOF_NAMES: Final = ("log", "foreign", "contract_state")
_NO_BLOCK: Final = 2**53
_APP_MILESTONES: Final = {
    "rollover.started": "started",
    "rollover.acknowledged": "acknowledged",
    "rollover.documents_submitted": "documents_submitted",
    "rollover.completed": "completed",
    "rollover.failed": "failed",
    "rollover.cancelled": "cancelled",
    "settlement.funds_sent": "funds_sent",
    "settlement.funds_received": "funds_received",
}
_CHAIN_MILESTONES: Final = {step.event_type: name for name, step in STEPS.items()}
_AGREEMENT: Final = STEPS["agree_send"].event_type
_CUSTODIANS: Final = ("sourceCustodianId", "destinationCustodianId")


def milestone_of(event: Mapping[str, Any]) -> str | None:
    """Return the milestone that an event proves, None if none; InvalidInput if it is unreadable."""
    kind, data = event["eventType"], event.get("data", {})
    if kind == CORRECTION:
        return _corrected_step(data)
    if kind in (SUPERSEDED, REINSTATED):
        _judged(data)
        return None
    if kind == "rollover.documents_approved":
        return APPROVED + str(event.get("custodianId") or data.get("custodianId") or "")
    if kind == _AGREEMENT:
        return _agreement_step(data)
    return _APP_MILESTONES.get(kind) or _CHAIN_MILESTONES.get(kind)


def _corrected_step(data: Mapping[str, Any]) -> str | None:
    for field in ("correctedEventType", "step", "joinedTo"):
        if not isinstance(data.get(field), str | None):
            raise InvalidInput(f"event field data.{field} is not a string: {data[field]!r}")
    step = data.get("step") if data.get("correctedEventType") in _CHAIN_MILESTONES else None
    return step if step in STEPS else None


def _agreement_step(data: Mapping[str, Any]) -> str:
    party = data.get("agreementType")
    if party in ("sender", "receiver"):
        return "agree_send" if party == "sender" else "agree_receive"
    if isinstance(data.get("isSender"), bool):
        return "agree_send" if data["isSender"] else "agree_receive"
    raise InvalidInput("event field data has neither agreementType (sender, receiver) nor isSender")


def _proof(event: Mapping[str, Any], milestone: str) -> dict[str, Any]:
    data = event.get("data", {})
    proof = {
        "milestone": milestone,
        "at": event["timestamp"],
        "rank": _rank(event),
        "block": _integer(data.get("blockNumber")),
        "index": _integer(data.get("logIndex")),
    }
    if isinstance(data.get("transactionHash"), str):
        proof["transactionHash"] = data["transactionHash"]
    if milestone in STEPS and data.get("chainId") is not None and isinstance(data.get("contract"), str):
        proof["contractKey"] = f"{data['chainId']}:{data['contract'].lower()}"
    if milestone == "started":
        proof.update({name: event.get(name) or data.get(name) for name in _CUSTODIANS})
    return proof


def _rank(event: Mapping[str, Any]) -> int:
    if not is_ours(event):
        return _FOREIGN
    return _CONTRACT_STATE if event["data"].get("evidence") else _LOG


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class _Fold:
    """The join of events: what they prove, how they were judged, when the last of them happened."""

    def __init__(self, rollover_id: str, state: Mapping[str, Any] | None = None) -> None:
        self.rollover_id = rollover_id
        self.proofs: dict[str, Any] = dict(state["proofs"]) if state else {}
        self.verdicts: dict[str, Any] = dict(state["verdicts"]) if state else {}
        self.joined_to: str = (state["joinedTo"] or "") if state else ""
        self.last: str = state["lastEventAt"] if state else ""
        self.transfer_hash: str | None = state["transferHash"] if state else None

    def add(self, event: Mapping[str, Any]) -> None:
        """Join one event in; InvalidInput where it cannot be read."""
        kind, data = event["eventType"], event.get("data", {})
        if kind in (SUPERSEDED, REINSTATED):
            _join_verdict(self.verdicts, event)
        elif kind == CORRECTION and data.get("joinedTo"):
            self.joined_to = max(self.joined_to, data["joinedTo"])
        else:
            milestone = milestone_of(event)
            if milestone is not None:
                self.proofs[event["eventId"]] = _proof(event, milestone)
                self._learn_hash(milestone, data)
        self.last = max(self.last, event["timestamp"])

    def _learn_hash(self, milestone: str, data: Mapping[str, Any]) -> None:
        # All events of a transfer say the same; where one lies, any order must still lead to one answer.
        said = data.get("transferHash")
        if milestone in STEPS and isinstance(said, str):
            self.transfer_hash = min(said, self.transfer_hash or said)

    def document(self) -> State:
        """Return what follows."""
        joined_to = self.joined_to or None
        document = _document(self.rollover_id, self.proofs, self.verdicts, joined_to, self.last)
        document["transferHash"] = self.transfer_hash
        document["stateHash"] = digest(document)
        return document


def absorb(state: State | None, *events: Mapping[str, Any]) -> State:
    """Return the state with one or more events joined in; ``state``, None for the empty one, stays as it is.

    Not for a state marked ``overflow``, which no longer holds all proofs: that one is folded anew.
    """
    joined = _Fold(events[0]["rolloverId"], state)
    for event in events:
        joined.add(event)
    return joined.document()


def fold(rollover_id: str, events: Iterable[Mapping[str, Any]]) -> State | None:
    """Return the state of one transfer's events in whatever order they come; None without events.

    The same as absorbing them one by one, as long as they stay within ``PROOF_LIMIT``.
    """
    joined = _Fold(rollover_id)
    for event in events:
        joined.add(event)
    return joined.document() if joined.last else None


def everything_told(
    rollover_id: str, events: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all proofs and verdicts of one transfer's events; past ``PROOF_LIMIT`` its state lacks some."""
    joined = _Fold(rollover_id)
    for event in events:
        joined.add(event)
    return joined.proofs, joined.verdicts


def _join_verdict(verdicts: dict[str, Any], event: Mapping[str, Any]) -> None:
    target, sequence = _judged(event.get("data", {}))
    # At one value of the counter a reinstatement outweighs: it was written by one who saw the log again.
    verdict = [sequence, event["eventType"] == REINSTATED]
    verdicts[target] = max(verdict, verdicts.get(target, verdict))


def _judged(data: Mapping[str, Any]) -> tuple[str, int]:
    target, sequence = data.get("targetEventId"), data.get("verdictSeq", 0)
    if not isinstance(target, str) or _integer(sequence) is None:
        raise InvalidInput("event field data has no targetEventId, or a verdictSeq that is not a number")
    return target, sequence


def is_superseded(verdicts: Mapping[str, Any], identity: str) -> bool:
    """Say whether the verdict with the highest counter takes the event back."""
    return identity in verdicts and not verdicts[identity][1]


def vouched_block(proof: Mapping[str, Any]) -> int | None:
    """Return the block of a proof; None where the application alone names it: it may be another chain's."""
    block = None if proof["rank"] == _FOREIGN else proof["block"]
    return block if isinstance(block, int) else None


def _order(item: tuple[str, Mapping[str, Any]]) -> tuple[Any, ...]:
    identity, proof = item
    block, index = proof["block"], proof["index"]
    return (
        proof["rank"],
        _NO_BLOCK if block is None else block,
        _NO_BLOCK if index is None else index,
        identity,
    )


def _document(
    rollover_id: str, proofs: dict[str, Any], verdicts: dict[str, Any], joined_to: str | None, last: str
) -> State:
    live = sorted((item for item in proofs.items() if not is_superseded(verdicts, item[0])), key=_order)
    keys = list(dict.fromkeys(proof["contractKey"] for _, proof in live if "contractKey" in proof))
    owner = keys[0] if keys else None
    best: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for identity, proof in live:
        if proof.get("contractKey", owner) == owner:
            best.setdefault(proof["milestone"], (identity, proof))
    overflow = len(proofs) + len(verdicts) > PROOF_LIMIT
    if overflow:
        proofs, verdicts = {identity: dict(proof) for identity, proof in best.values()}, {}
    started = best["started"][1] if "started" in best else {}
    custodians = {name: started.get(name) for name in _CUSTODIANS}
    chain = {name: item for name, item in best.items() if name in STEPS}
    participants = sorted({str(value) for value in custodians.values() if value})
    status = displayed_status(best, participants)
    return {
        "rolloverId": rollover_id,
        "status": status,
        "open": status not in CLOSED and joined_to is None,
        "contractState": int(state_reached(set(chain))),
        # What was joined to another transfer is checked as that one.
        "contractKey": None if joined_to else owner,
        "conflicts": sorted(keys[1:]),
        "orphan": bool(chain) and not started and not is_hash(rollover_id),
        "unmapped": is_hash(rollover_id) and joined_to is None,
        "joinedTo": joined_to,
        **custodians,
        "participants": participants,
        "milestones": {name: _shown(*item) for name, item in best.items()},
        "lastBlock": max(
            (block for _, p in chain.values() if (block := vouched_block(p)) is not None), default=0
        ),
        "lastEventAt": last,
        "proofs": proofs,
        "verdicts": verdicts,
        "overflow": overflow,
    }


def _shown(identity: str, proof: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "eventId": identity,
        "proof": _PROOF_NAMES[proof["rank"]],
        "at": proof["at"],
        "blockNumber": proof["block"],
        "transactionHash": proof.get("transactionHash"),
    }


def is_intact(state: Mapping[str, Any]) -> bool:
    """Say whether the document is as the projection wrote it (nobody edited it by hand)."""
    return state.get("stateHash") == digest({k: v for k, v in state.items() if k != "stateHash"})


def holds(state: State, event: Mapping[str, Any]) -> bool:
    """Say whether the state knows the event, and holds of it what it says (a hand may have changed it)."""
    if not knows(state, event):
        return False
    milestone = None if event["eventType"] in (SUPERSEDED, REINSTATED) else milestone_of(event)
    return milestone is None or state["proofs"].get(event["eventId"]) == _proof(event, milestone)


def knows(state: State, event: Mapping[str, Any]) -> bool:
    """Say whether the event has certainly been joined into the state (an overflowing one does not tell)."""
    if state["overflow"] or event["timestamp"] > state["lastEventAt"]:
        return False
    data = event.get("data", {})
    if event["eventType"] in (SUPERSEDED, REINSTATED):
        verdict = [data.get("verdictSeq", 0), event["eventType"] == REINSTATED]
        return bool(state["verdicts"].get(data["targetEventId"], [-1, False]) >= verdict)
    if event["eventType"] == CORRECTION and data.get("joinedTo"):
        return bool(state["joinedTo"])
    return event["eventId"] in state["proofs"] or milestone_of(event) is None
