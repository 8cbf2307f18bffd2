"""Who plays in the story: transfers between custodians, and what it is played on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.domain.hashing import transfer_hash
from shared.local.escrow.calldata import Parties

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.app.event_log import EventLog
    from shared.local.escrow.client import EscrowClient
    from shared.ports import Clock, Document, Documents

LEVEL_NAMES: Final = {1: "basic", 2: "partial", 3: "tokenised"}


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer of the story: its id, the level of its two custodians, and what happens to it."""

    transfer_id: str
    level: int
    fate: str

    @property
    def source(self) -> str:
        """The id of the sending custodian."""
        return f"{LEVEL_NAMES[self.level]}-bank"

    @property
    def destination(self) -> str:
        """The id of the receiving custodian."""
        return f"{LEVEL_NAMES[self.level]}-trust"

    @property
    def parties(self) -> Parties:
        """The addresses of both custodians."""
        return Parties(address_of(self.source), address_of(self.destination))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a transfer stands: the contract's state number, and the state document if there is one."""

    transfer: Transfer
    contract_state: int
    state: Document | None

    @property
    def straight(self) -> bool:
        """Say whether the database says what the contract says."""
        return self.state is not None and self.state["contractState"] == self.contract_state


@dataclass(frozen=True, slots=True)
class Stage:
    """What the story is played on: a chain, a store, and a listener that can be held and let go."""

    escrow: EscrowClient
    documents: Documents
    event_log: EventLog
    clock: Clock
    hold_listener: Callable[[], None]
    release_listener: Callable[[], None]
    tell: Callable[[str], None]


def address_of(custodian: str) -> str:
    """Return the wallet address of one of the story's custodians."""
    return transfer_hash(custodian)[:42]
