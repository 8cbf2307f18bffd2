"""The one lifecycle table: what a rollover does on chain, step by step.

Decoding, validation, projection, reconciliation and gas estimates derive from ``STEPS``.
State numbers and from-states: the escrow contract (V6). Adding a step is one row and its test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ContractState(IntEnum):
    """The escrow contract's state numbers."""

    NONE = 0
    RECEIVER_AGREED = 1
    SENDER_AGREED = 2
    BOTH_AGREED = 3
    FINANCIALS_PROVIDED = 4
    EXECUTED = 5
    MINTED = 6
    BURNED = 7
    COMPLETED = 8


S = ContractState


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``moves`` maps each state it may start from to the state it reaches.

    ``fields`` are the event's data fields, which a contract's registry file maps to its own argument
    names. ``needed_from``: the step has certainly happened once the contract stands in one of these
    states. ``base_gas``: gas units assumed where nothing better is known.
    """

    name: str
    event_type: str
    action: str | None
    moves: Mapping[ContractState, ContractState]
    fields: tuple[str, ...]
    needed_from: frozenset[ContractState]
    base_gas: int | None = None
    constants: Mapping[str, object] = field(default_factory=dict)


FUND_SOURCES = ("employeePreTax", "employerMatch", "roth", "afterTax", "gross", "taxYear")
"""The parts of a financial statement in integer cents (``taxYear`` apart); they sum to ``gross``."""

_ALL = frozenset(ContractState)
_SENDER = MappingProxyType({"agreementType": "sender", "isSender": True})
_RECEIVER = MappingProxyType({"agreementType": "receiver", "isSender": False})

STEPS: Mapping[str, Step] = MappingProxyType(
    {
        step.name: step
        for step in (
            Step(
                "agree_send",
                "blockchain.v5.agreement",
                "agree_send",
                {S.NONE: S.SENDER_AGREED, S.RECEIVER_AGREED: S.BOTH_AGREED},
                ("custodian", "timestamp"),
                _ALL - {S.NONE, S.RECEIVER_AGREED},
                150_000,
                _SENDER,
            ),
            Step(
                "agree_receive",
                "blockchain.v5.agreement",
                "agree_receive",
                {S.NONE: S.RECEIVER_AGREED, S.SENDER_AGREED: S.BOTH_AGREED},
                ("custodian", "timestamp"),
                _ALL - {S.NONE, S.SENDER_AGREED},
                150_000,
                _RECEIVER,
            ),
            Step(
                "financial",
                "blockchain.v5.financial",
                "provide_financial",
                {S.BOTH_AGREED: S.FINANCIALS_PROVIDED},
                ("grossAmount", *(f"fundSources.{part}" for part in FUND_SOURCES), "federalTax", "stateTax"),
                frozenset({S.FINANCIALS_PROVIDED, S.EXECUTED, S.MINTED, S.BURNED, S.COMPLETED}),
                200_000,
            ),
            Step(
                "executed",
                "blockchain.v5.executed",
                "execute_transfer",
                {S.FINANCIALS_PROVIDED: S.EXECUTED},
                ("grossAmount", "timestamp"),
                frozenset({S.EXECUTED, S.MINTED, S.BURNED, S.COMPLETED}),
                250_000,
            ),
            Step(
                "minted",
                "blockchain.v5.minted",
                "mint_tokens",
                {S.EXECUTED: S.MINTED},
                # 8 is reached without a mint by level-2 pairs, so it proves neither mint nor burn.
                ("amount", "timestamp"),
                frozenset({S.MINTED, S.BURNED}),
                300_000,
            ),
            Step(
                "burned",
                "blockchain.v5.burned",
                "burn_tokens",
                {S.MINTED: S.BURNED},
                ("amount", "timestamp"),
                frozenset({S.BURNED}),
                200_000,
            ),
            Step(
                "settled",
                "blockchain.v5.completed",
                None,
                {S.EXECUTED: S.COMPLETED, S.BURNED: S.COMPLETED},
                ("timestamp",),
                frozenset({S.COMPLETED}),
            ),
        )
    }
)
"""Every chain step by name, in the order in which they happen."""

TOKEN_STEPS = ("minted", "burned")
"""The steps that only a transfer between tokenising custodians takes; state 8 does not tell them."""


def steps_needed(state: ContractState, *, tokenised: bool = False) -> frozenset[str]:
    """Return the steps that must have happened for the contract to stand in ``state``.

    ``tokenised`` (the contract says that both custodians tokenise) makes mint and burn suspects at
    state 8: their logs are looked for, though the number alone never proves them.
    """
    needed = {name for name, step in STEPS.items() if state in step.needed_from}
    if tokenised and state is S.COMPLETED:
        needed.update(TOKEN_STEPS)
    return frozenset(needed)


def steps_excluded(state: ContractState) -> frozenset[str]:
    """Return the steps that cannot have happened while the contract stands in ``state``."""
    return frozenset(
        name
        for name, step in STEPS.items()
        if state not in step.needed_from and not (state is S.COMPLETED and name in TOKEN_STEPS)
    )


def state_reached(steps: frozenset[str] | set[str]) -> ContractState:
    """Return the contract state that a set of proved steps amounts to."""
    for name, state in (
        ("settled", S.COMPLETED),
        ("burned", S.BURNED),
        ("minted", S.MINTED),
        ("executed", S.EXECUTED),
        ("financial", S.FINANCIALS_PROVIDED),
    ):
        if name in steps:
            return state
    if {"agree_send", "agree_receive"} <= steps:
        return S.BOTH_AGREED
    if "agree_send" in steps:
        return S.SENDER_AGREED
    return S.RECEIVER_AGREED if "agree_receive" in steps else S.NONE
