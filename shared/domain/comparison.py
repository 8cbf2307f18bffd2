"""Like with like: what the contract says at a pinned block against what events up to it prove."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.domain.events import REINSTATED, SUPERSEDED, verdict_id
from shared.domain.lifecycle import STEPS, ContractState, steps_excluded, steps_needed
from shared.domain.state import is_intact, is_superseded, vouched_block

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from shared.domain.state import State

MISSING: Final = "missing_event"
AHEAD: Final = "ahead_of_chain"
DELETED: Final = "event_deleted"
EDITED: Final = "state_edited"
UNPROJECTED: Final = "not_projected"
LATE: Final = "late"
LEVEL: Final = "custodian_level"
INCONSISTENT: Final = "inconsistent_answers"

EXPLANATIONS: Final[Mapping[str, str]] = {
    MISSING: "the contract has taken a step that no event proves",
    AHEAD: "an event claims a step that the contract has not taken, or lies in a block that is gone",
    DELETED: "the state rests on events that are no longer in the store",
    EDITED: "the state document is not as the projection wrote it",
    UNPROJECTED: "an event is stored but the state does not know it",
    LATE: "the listener has not read, or has only just read, up to the pinned block",
    LEVEL: "the custodian's level in the database is not the contract's",
    INCONSISTENT: "the node shows a log for a step that the contract's state excludes",
}
"""What each cause class means, for the report."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is wrong with one transfer; nothing, if every field is empty.

    ``missing``: steps to look for. ``ahead``: ids of the proofs of steps that cannot have happened.
    ``gone``: ids of logs' proofs whose block is not the chain's. ``deleted``: ids that the state rests on
    and the store does not have.
    """

    missing: frozenset[str] = frozenset()
    ahead: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    edited: bool = False

    @property
    def straight(self) -> bool:
        """Say that chain and database agree."""
        return not (self.missing or self.ahead or self.gone or self.deleted or self.edited)

    @property
    def cause(self) -> str:
        """Return the cause class to report, the most fundamental first."""
        ahead = self.ahead or self.gone
        for found, cause in ((self.edited, EDITED), (self.deleted, DELETED), (ahead, AHEAD)):
            if found:
                return cause
        return MISSING


STRAIGHT: Final = Comparison()


def supporting_ids(state: State) -> list[str]:
    """Return the ids of all events that the state rests on: proofs, and verdicts on them."""
    verdicts = [
        verdict_id(target, sequence, REINSTATED if positive else SUPERSEDED)
        for target, (sequence, positive) in state["verdicts"].items()
    ]
    return [*state["proofs"], *verdicts]


def logs_to_confirm(state: State, contract_key: str, pin_block: int, above: int) -> list[str]:
    """Return the ids of those proofs by log, up to the pinned block, whose block may be another by now.

    Those above block ``above``, those of a step that several logs prove, and all of them where the state
    no longer holds every proof.
    """
    blocks = {
        key: block
        for key, proof in state["proofs"].items()
        if proof["milestone"] in STEPS
        and proof.get("contractKey") == contract_key
        and (block := vouched_block(proof)) is not None
        and block <= pin_block
        and not is_superseded(state["verdicts"], key)
    }
    told = Counter(state["proofs"][key]["milestone"] for key in blocks)
    return [
        key
        for key, block in blocks.items()
        if block > above or state["overflow"] or told[state["proofs"][key]["milestone"]] > 1
    ]


def is_unminted(contract_state: ContractState, state: State | None) -> bool:
    """Say whether a transfer between tokenising custodians is executed and its mint is nowhere to be seen.

    The contract executes and mints such a one in one transaction. So it never stands at 5, and at 6 or 7 the
    mint has happened, whether an event tells of it or not; 8 tells nothing (levels may have changed since).
    """
    if contract_state is ContractState.EXECUTED:
        return True
    milestones = (state or {}).get("milestones")
    told = isinstance(milestones, dict) and "minted" in milestones
    return contract_state in (ContractState.MINTED, ContractState.BURNED) and not told


def weakly_proved(state: State | None, contract_key: str) -> frozenset[str]:
    """Return the steps that only the application or the contract's state proves, on this contract or none."""
    milestones = (state or {}).get("milestones")
    if (
        state is None
        or not isinstance(milestones, dict)
        or state.get("contractKey") not in (None, contract_key)
    ):
        return frozenset()
    weak = {
        name
        for name, milestone in milestones.items()
        if name in STEPS and not (isinstance(milestone, dict) and milestone.get("proof") == "log")
    }
    # A state edited by hand is told by the comparison; looked at last, as it costs a hash.
    return frozenset(weak) if weak and is_intact(state) else frozenset()


def compare(
    state: State | None,
    contract_state: ContractState,
    pin_block: int,
    *,
    tokenised: bool,
    stored: Mapping[str, Any],
    gone: Collection[str] = (),
) -> Comparison:
    """Compare one transfer at a pinned block.

    ``tokenised``: the contract says that both custodians tokenise. ``stored``: the supporting events
    that the store still has, by id (values are not read). ``gone``: ids of events whose block is not the
    chain's.
    """
    needed = steps_needed(contract_state, tokenised=tokenised)
    if state is None:
        return Comparison(missing=needed) if needed else STRAIGHT
    if not is_intact(state):
        return Comparison(edited=True)
    proved = {
        name
        for name, milestone in state["milestones"].items()
        if name in STEPS and _by(pin_block, state["proofs"].get(milestone["eventId"]))
    }
    missing = needed - proved
    excluded = proved & steps_excluded(contract_state)
    deleted = tuple(key for key in supporting_ids(state) if key not in stored)
    dead = tuple(key for key in state["proofs"] if key in gone)
    if not (missing or excluded or deleted or dead):
        return STRAIGHT
    return Comparison(missing, proofs_of(state, excluded, pin_block), dead, deleted)


def proofs_of(state: Mapping[str, Any], steps: Collection[str], pin_block: int) -> tuple[str, ...]:
    """Return the ids of all that proves these steps up to the pinned block, on the state's contract."""
    return tuple(
        key
        for key, proof in state["proofs"].items()
        if proof["milestone"] in steps
        and not is_superseded(state["verdicts"], key)
        and proof.get("contractKey", state["contractKey"]) == state["contractKey"]
        and _by(pin_block, proof)
    )


def _by(pin_block: int, proof: Mapping[str, Any] | None) -> bool:
    """Say whether what a proof tells had happened by the pinned block, as far as anybody vouches for it."""
    block = None if proof is None else vouched_block(proof)
    return block is None or block <= pin_block
