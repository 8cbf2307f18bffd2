"""One page of transfers against the contract, at one pinned block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.app.block_check import BlockCheck
from shared.domain.comparison import (
    STRAIGHT,
    Comparison,
    compare,
    is_unminted,
    logs_to_confirm,
    supporting_ids,
)
from shared.domain.events import EVENTS
from shared.errors import ChainUnavailable, UndecodableLog
from shared.ports import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.domain.lifecycle import ContractState
    from shared.domain.state import State
    from shared.ports import CallResult, Chain, Document, Documents


@dataclass(frozen=True, slots=True)
class Candidate:
    """A transfer to check: its id (the bare hash while unmapped), its hash, its state if there is one."""

    rollover_id: str
    transfer_hash: str
    state: State | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A transfer that hangs crooked, and what the contract says of it at the pin."""

    candidate: Candidate
    contract_state: ContractState
    tokenised: bool
    comparison: Comparison


@dataclass(slots=True)
class PageResult:
    """What a page gave: how many were checked, what is crooked, what could not be read (with its reason).

    ``unminted``: transfers between tokenising custodians that are executed, and of whose mint no event tells.
    """

    checked: int = 0
    findings: list[Finding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unminted: list[Candidate] = field(default_factory=list)


class PageCheck:
    """Compares pages of transfers of one contract at one pinned block."""

    def __init__(self, documents: Documents, chain: Chain, spec: ContractSpec, pin: Header) -> None:
        self._documents = documents
        self._chain = chain
        self._spec = spec
        self._blocks = BlockCheck(chain)
        self.pin = pin

    def contract_state(self, transfer_hash: str) -> ContractState:
        """Return what the contract says of one transfer; ChainUnavailable where it does not answer."""
        answer = self._chain.call_many(
            [Call(self._spec.address, self._spec.state_call(transfer_hash))], self.pin.hash
        )[0]
        if not answer.ok:
            raise ChainUnavailable(f"contract {self._spec.key} refused to tell its state")
        return self._spec.read_state(answer.data)

    def check(self, candidates: Sequence[Candidate], *, above: int) -> PageResult:
        """Check a page: one multicall, one look-up of the events that its states rest on.

        Of the logs' blocks those above ``above`` are compared with the chain's, and those of steps that
        several logs prove: one request a height. Raises ChainUnavailable where the pinned block is no
        longer the chain's after reading.
        """
        result = PageResult()
        if not candidates:
            return result
        answers = self._read(candidates)
        self._still_pinned()
        stored, gone = self._stored([c.state for c in candidates if c.state], above)
        for candidate, (state_answer, token_answer) in zip(candidates, answers, strict=True):
            if not state_answer.ok:
                result.errors.append(f"{candidate.rollover_id}: the contract refused to tell its state")
                continue
            try:
                contract_state = self._spec.read_state(state_answer.data)
                tokenised = (
                    token_answer is not None
                    and token_answer.ok
                    and self._spec.read_tokenised(token_answer.data)
                )
            except UndecodableLog as error:
                result.errors.append(f"{candidate.rollover_id}: {error}")
                continue
            result.checked += 1
            comparison = compare(
                candidate.state,
                contract_state,
                self.pin.number,
                tokenised=tokenised,
                stored=stored,
                gone=gone,
            )
            if tokenised and is_unminted(contract_state, candidate.state):
                result.unminted.append(candidate)
            if comparison is not STRAIGHT:
                result.findings.append(Finding(candidate, contract_state, tokenised, comparison))
        return result

    def _stored(self, states: Sequence[State], above: int) -> tuple[dict[str, Document], set[str]]:
        """Return which supporting events there are, and those that lie in a block that is not the chain's."""
        wanted = {key for state in states for key in _rests_on(state)}
        doubted = {key for state in states for key in self._to_confirm(state, above)}
        # Only of these the content is read: the others need but be there.
        logs = self._documents.get_many(EVENTS, doubted, fields=("data",)) if doubted else {}
        rest = wanted - doubted
        there = self._documents.get_many(EVENTS, rest, fields=()) if rest else {}
        return {**there, **logs}, self._blocks.gone(logs)

    def _to_confirm(self, state: State, above: int) -> list[str]:
        try:
            return logs_to_confirm(state, self._spec.key, self.pin.number, above)
        except (KeyError, TypeError, ValueError, AttributeError):
            return []  # edited by hand, which the comparison tells

    def _read(self, candidates: Sequence[Candidate]) -> list[tuple[CallResult, CallResult | None]]:
        spec = self._spec
        calls = [Call(spec.address, spec.state_call(c.transfer_hash)) for c in candidates]
        with_tokens = spec.tokenised_call(candidates[0].transfer_hash) is not None
        if with_tokens:
            calls += [Call(spec.address, spec.tokenised_call(c.transfer_hash) or b"") for c in candidates]
        answers = self._chain.call_many(calls, self.pin.hash)
        states, tokens = answers[: len(candidates)], answers[len(candidates) :]
        return list(zip(states, tokens if with_tokens else [None] * len(states), strict=True))

    def _still_pinned(self) -> None:
        now = self._chain.headers([self.pin.number])[0]
        if now is None or now.hash != self.pin.hash:
            raise ChainUnavailable(f"block {self.pin.number} changed while it was read")


def _rests_on(state: State) -> list[str]:
    try:
        return supporting_ids(state)
    except (KeyError, TypeError, ValueError, AttributeError):
        return []  # edited by hand, which the comparison tells
