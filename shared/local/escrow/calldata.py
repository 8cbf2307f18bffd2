"""What is sent to the escrow contract, as bytes: one function per call, and the artefact behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from eth_abi.abi import decode, encode

from shared.domain.hashing import keccak_256, transfer_hash

ARTEFACT_FILE = Path(__file__).parent / "RolloverEscrow.json"

_AGREEMENT = ("bytes32", "address", "address", "uint8", "uint8", "string")
_FINANCIALS = ("bytes32", "(uint256,uint256,uint256,uint256,uint256,uint16)", "uint256", "uint256")
_RECORD = ("uint8", "bool", "bool", "address", "address", "uint8", "uint8", *["uint256"] * 3, *["uint64"] * 2)


@dataclass(frozen=True, slots=True)
class Parties:
    """The custodians' addresses and the account kinds that money leaves and enters."""

    sender: str
    receiver: str
    from_account: int = 1
    to_account: int = 2


@dataclass(frozen=True, slots=True)
class Financials:
    """What the sender states, in integer cents; ``gross`` is the sum of the four sources."""

    employee_pre_tax: int = 700_000
    employer_match: int = 200_000
    roth: int = 75_000
    after_tax: int = 25_000
    tax_year: int = 2025
    federal_tax: int = 0
    state_tax: int = 0

    @property
    def gross(self) -> int:
        """The whole amount in cents."""
        return self.employee_pre_tax + self.employer_match + self.roth + self.after_tax


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """What ``transfers(bytes32)`` answers; amounts in cents, times in seconds since 1970."""

    state: int
    sender_agreed: bool
    receiver_agreed: bool
    custodian_sender: str
    custodian_receiver: str
    from_account: int
    to_account: int
    gross_amount: int
    federal_tax: int
    state_tax: int
    created_at: int
    updated_at: int


@cache
def artefact() -> dict[str, Any]:
    """Return the committed compiler output: ``abi``, ``bytecode``, ``deployedBytecode``, ``solc``."""
    loaded: dict[str, Any] = orjson.loads(ARTEFACT_FILE.read_bytes())
    return loaded


@cache
def selector(signature: str) -> bytes:
    """Return the first four bytes of the hash of ``name(type,…)``."""
    return keccak_256(signature.encode())[:4]


def hash_bytes(transfer_id: str) -> bytes:
    """Return the transfer's hash as the contract takes it, 32 bytes."""
    return bytes.fromhex(transfer_hash(transfer_id)[2:])


def agree_send(transfer_id: str, parties: Parties, sender_ref_id: str | None = None) -> bytes:
    """Agree as the sending custodian; ``sender_ref_id`` is the transfer id unless told otherwise."""
    return _agree("agreeSend", transfer_id, parties, sender_ref_id)


def agree_receive(transfer_id: str, parties: Parties, sender_ref_id: str | None = None) -> bytes:
    """Agree as the receiving custodian."""
    return _agree("agreeReceive", transfer_id, parties, sender_ref_id)


def provide_financial_details(
    transfer_id: str, financials: Financials | None = None, gross: int | None = None
) -> bytes:
    """State the amounts; a ``gross`` of one's own can contradict the sum."""
    stated = financials or Financials()
    total = stated.gross if gross is None else gross
    sources = (
        stated.employee_pre_tax,
        stated.employer_match,
        stated.roth,
        stated.after_tax,
        total,
        stated.tax_year,
    )
    return _call(
        "provideFinancialDetails",
        _FINANCIALS,
        hash_bytes(transfer_id),
        sources,
        stated.federal_tax,
        stated.state_tax,
    )


def execute_transfer(transfer_id: str) -> bytes:
    """Execute; what follows in the same transaction depends on the custodians' levels."""
    return of_transfer("executeTransfer", transfer_id)


def mint_tokens(transfer_id: str) -> bytes:
    """Mint what was executed."""
    return of_transfer("mintTokens", transfer_id)


def burn_tokens(transfer_id: str) -> bytes:
    """Burn what was minted, which completes the transfer."""
    return of_transfer("burnTokens", transfer_id)


def set_custodian_level(custodian: str, level: int) -> bytes:
    """Set a custodian's level."""
    return _call("setCustodianLevel", ("address", "uint8"), custodian, level)


def of_transfer(name: str, transfer_id: str) -> bytes:
    """Return the calldata of a function that takes the transfer's hash alone."""
    return _call(name, ("bytes32",), hash_bytes(transfer_id))


def custodian_levels(custodian: str) -> bytes:
    """Ask for a custodian's level."""
    return _call("custodianLevels", ("address",), custodian)


def decode_transfer(data: bytes) -> TransferRecord:
    """Return what ``transfers(bytes32)`` answered; addresses in lower case."""
    return TransferRecord(*decode(_RECORD, data))


def whole_life(transfer_id: str, parties: Parties, financials: Financials | None = None) -> list[bytes]:
    """Return the five calls of a level-3 pair's life, which leave seven logs and end at state 8."""
    return [
        agree_send(transfer_id, parties),
        agree_receive(transfer_id, parties),
        provide_financial_details(transfer_id, financials),
        execute_transfer(transfer_id),
        burn_tokens(transfer_id),
    ]


def _agree(name: str, transfer_id: str, parties: Parties, sender_ref_id: str | None) -> bytes:
    reference = transfer_id if sender_ref_id is None else sender_ref_id
    return _call(
        name,
        _AGREEMENT,
        hash_bytes(transfer_id),
        parties.sender,
        parties.receiver,
        parties.from_account,
        parties.to_account,
        reference,
    )


def _call(name: str, types: tuple[str, ...], *values: Any) -> bytes:
    return selector(f"{name}({','.join(types)})") + encode(types, values)
