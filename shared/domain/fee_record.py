"""What is kept of fees between blocks and instances: rows of blocks in chunks, and samples of receipts.

The listener writes these documents, gas quotes read them. Each is bounded, and one text holds all of its
lines, which neither Firestore's ban on lists within lists nor its index entries per element can meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.domain.fee_blocks import BlockFees
from shared.domain.tips import TipObservation
from shared.errors import CorruptEvent, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FEE_HISTORY: Final = "fee_history"
"""Collection of blocks' rows: ``chunk_key`` → {chainId, chunk, rows}."""
GAS_SAMPLES: Final = "gas_samples"
"""Collection of the gas that receipts used: ``samples_key`` → {samples, min, mean, max, p95}."""
TIP_SAMPLES: Final = "tip_samples"
"""Collection of our own transactions' tips and waits: chain id → {samples}."""
PAID_SAMPLES: Final = "paid_samples"
"""Collection of what our own transactions paid, for the report: chain id → {samples}."""
CHUNK_BLOCKS: Final = 100
"""Blocks in one chunk: some 20 kB, written anew with each block."""
TIP_PERCENTILES: Final = (10, 20, 30, 50, 90)
"""Percentiles of a block's gas at which tips are asked for and kept: those that the tip rules look at."""
GAS_SAMPLES_KEPT: Final = 50
TIP_SAMPLES_KEPT: Final = 500
PAID_SAMPLES_KEPT: Final = 500
_MOST_COUNT: Final = 1 << 53
"""No chain is as high, no transaction uses as much gas; sums of some hundred fit into 64 bits."""
_MOST_WEI: Final = 1 << 256
_MOST_DIGITS: Final = 78
_LEARNED_SHARE: Final = 95


class FeeRow(NamedTuple):
    """A block's fees, and which of the blocks of its height it is (lower-case hash)."""

    fees: BlockFees
    block_hash: str


class GasSample(NamedTuple):
    """The gas that one transaction of ours used, as its receipt says."""

    transaction_hash: str
    block_number: int
    gas_used: int


class TipSample(NamedTuple):
    """What one transaction of ours paid, and how many blocks it waited."""

    transaction_hash: str
    block_number: int
    observation: TipObservation


@dataclass(frozen=True, slots=True)
class PaidSample:
    """What one transaction of ours cost: gas used, price and the block's base fee in wei per gas."""

    transaction_hash: str
    block_number: int
    contract_key: str
    action: str
    gas_used: int
    price_wei: int
    base_fee_wei: int


@dataclass(frozen=True, slots=True)
class GasUse:
    """How much gas an action used: ``count`` samples, of them the least, mean, most and 95th percentile."""

    count: int
    least: int
    mean: int
    most: int
    p95: int


def chunk_of(number: int) -> int:
    """Return the chunk that a block's row is kept in."""
    return number // CHUNK_BLOCKS


def chunk_key(chain_id: int, chunk: int) -> str:
    """Return the key of a chunk's document in ``FEE_HISTORY``."""
    return f"{chain_id}:{chunk}"


def samples_key(contract_key: str, action: str) -> str:
    """Return the key in ``GAS_SAMPLES`` of a contract (``ContractSpec.key``) and an action."""
    return f"{contract_key}:{action}"


def chunk_document(chain_id: int, chunk: int, rows: Iterable[FeeRow]) -> dict[str, Any]:
    """Return the document of a chunk; the rows may come in any order, the last of a height counts."""
    by_number = {row.fees.number: row for row in rows}
    if wrong := [number for number in by_number if chunk_of(number) != chunk]:
        raise InvalidInput(f"block {wrong[0]} is not of chunk {chunk}")
    lines = [_row_line(by_number[number]) for number in sorted(by_number)]
    return {"chainId": chain_id, "chunk": chunk, "rows": "\n".join(lines)}


def chunk_rows(document: Mapping[str, Any]) -> list[FeeRow]:
    """Return the rows of a chunk's document, ascending; CorruptEvent for what is none."""
    return [_row(fields) for fields in _lines(document, "rows", 6, more=True)]


def gas_document(samples: Iterable[GasSample]) -> dict[str, Any]:
    """Return the document of the latest samples (by block), one for each transaction, with their figures."""
    kept = _latest(samples, GAS_SAMPLES_KEPT)
    lines = [f"{each.block_number} {each.transaction_hash} {each.gas_used}" for each in kept]
    use = gas_use(kept)
    figures = {} if use is None else {"min": use.least, "mean": use.mean, "max": use.most, "p95": use.p95}
    return {"samples": "\n".join(lines), **figures}


def gas_samples(document: Mapping[str, Any]) -> list[GasSample]:
    """Return the samples of such a document, oldest first; CorruptEvent for what is none."""
    found = _lines(document, "samples", 3)
    return [GasSample(fields[1], _count(fields[0]), _count(fields[2])) for fields in found]


def gas_use(samples: Sequence[GasSample]) -> GasUse | None:
    """Return the figures of samples, None of none; the 95th percentile by nearest rank."""
    used = sorted(sample.gas_used for sample in samples)
    if not used:
        return None
    rank = -(-len(used) * _LEARNED_SHARE // 100)
    return GasUse(len(used), used[0], sum(used) // len(used), used[-1], used[rank - 1])


def tip_document(samples: Iterable[TipSample]) -> dict[str, Any]:
    """Return the document of the latest tips and waits (by block), one for each transaction."""
    lines = []
    for each in _latest(samples, TIP_SAMPLES_KEPT):
        seen = each.observation
        paid = f"{seen.tip_wei} {seen.base_fee_wei} {seen.blocks_waited}"
        lines.append(f"{each.block_number} {each.transaction_hash} {paid}")
    return {"samples": "\n".join(lines)}


def tip_samples(document: Mapping[str, Any]) -> list[TipSample]:
    """Return the samples of such a document, oldest first; CorruptEvent for what is none."""
    samples = []
    for number, transaction_hash, *paid in _lines(document, "samples", 5):
        tip, base_fee = (_whole(field) for field in paid[:2])
        try:
            seen = TipObservation(tip, base_fee, _count(paid[2]))
        except InvalidInput as error:
            raise CorruptEvent(f"tip sample of {transaction_hash}: {error}") from error
        samples.append(TipSample(transaction_hash, _count(number), seen))
    return samples


def paid_document(samples: Iterable[PaidSample]) -> dict[str, Any]:
    """Return the document of what the latest transactions (by block) paid, each once."""
    lines = []
    for each in _latest(samples, PAID_SAMPLES_KEPT):
        paid = f"{each.gas_used} {each.price_wei} {each.base_fee_wei}"
        lines.append(f"{each.block_number} {each.transaction_hash} {each.contract_key} {each.action} {paid}")
    return {"samples": "\n".join(lines)}


def paid_samples(document: Mapping[str, Any]) -> list[PaidSample]:
    """Return the samples of such a document, oldest first; CorruptEvent for what is none."""
    samples = []
    for number, transaction_hash, contract_key, action, *paid in _lines(document, "samples", 7):
        gas, (price, base_fee) = _count(paid[0]), (_whole(field) for field in paid[1:])
        if price < base_fee:
            raise CorruptEvent(f"paid sample of {transaction_hash}: a price below the base fee")
        of = (transaction_hash, _count(number), contract_key, action)
        samples.append(PaidSample(*of, gas, price, base_fee))
    return samples


def _latest(samples: Iterable[Any], most: int) -> list[Any]:
    """Return the last samples by block, then hash; one mined again counts once, as it stands last."""
    by_hash = {each.transaction_hash: each for each in samples}
    return sorted(by_hash.values(), key=lambda each: (each.block_number, each.transaction_hash))[-most:]


def _row_line(row: FeeRow) -> str:
    fees = row.fees
    tips = [f"{percentile:g}:{tip}" for percentile, tip in sorted(fees.tips.items())]
    known = (fees.number, row.block_hash, fees.timestamp, fees.base_fee_wei, fees.gas_used, fees.gas_limit)
    return " ".join([*map(str, known), *tips])


def _row(fields: list[str]) -> FeeRow:
    number, block_hash, *figures = fields
    try:
        tips = {float(at): _whole(tip) for at, tip in (pair.split(":") for pair in figures[4:])}
        base_fee, gas_used, gas_limit = (_whole(figure) for figure in figures[1:4])
        fees = BlockFees(_count(number), _count(figures[0]), base_fee, gas_used, gas_limit, tips)
    except (InvalidInput, ValueError) as error:
        raise CorruptEvent(f"row of block {number}: {error}") from error
    return FeeRow(fees, block_hash)


def _lines(document: Mapping[str, Any], field: str, fields: int, *, more: bool = False) -> list[list[str]]:
    text = document.get(field)
    if not isinstance(text, str):
        raise CorruptEvent(f"field {field} of a fee document is not a text")
    found = [line.split(" ") for line in text.splitlines()]
    if wrong := [line for line in found if len(line) < fields or (len(line) > fields and not more)]:
        raise CorruptEvent(f"field {field} of a fee document has a line that is not whole: {wrong[0]}")
    return found


def _count(text: str) -> int:
    """Return a number of blocks, of seconds, or of a transaction's gas."""
    number = _whole(text)
    if number >= _MOST_COUNT:
        raise CorruptEvent(f"{text} in a fee document is more than there can be")
    return number


def _whole(text: str) -> int:
    # The length first: Python refuses to read an integer of thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS) or int(text) >= _MOST_WEI:
        raise CorruptEvent(f"{text[:_MOST_DIGITS]!r} in a fee document is no whole number of 256 bits")
    return int(text)
