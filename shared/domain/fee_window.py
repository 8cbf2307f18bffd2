"""The last blocks of a chain as fee rules look at them: from fee history, records, and the head itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.domain.fee_blocks import BlockFees

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.domain.fee_reading import FeeHead, FeeHistory

KEPT: Final = 1200
"""Blocks that are kept in mind: what the forecast's judgement looks back on, and some."""


def extended(
    known: Mapping[int, BlockFees], head: FeeHead, history: FeeHistory | None
) -> dict[int, BlockFees]:
    """Return the blocks up to the head by number, ascending: those known before, and what is told now.

    What is told now counts, as blocks may have been replaced. Fee history names neither a block's time (0
    then) nor its gas limit: the head's stands in, and of gas used the share is kept, which is what counts.
    """
    blocks = {number: fees for number, fees in known.items() if number < head.header.number}
    if history is not None:
        for at, use in enumerate(history.uses):
            number = history.oldest + at
            if number <= head.header.number:
                blocks[number] = BlockFees(
                    number=number,
                    timestamp=0,
                    base_fee_wei=history.base_fees_wei[at],
                    gas_used=min(round(use * head.gas_limit), head.gas_limit),
                    gas_limit=head.gas_limit,
                    tips=history.tips[at],
                )
    number = head.header.number
    latest = of_head(head, blocks.get(number, known.get(number)))
    blocks[latest.number] = latest
    return {number: blocks[number] for number in sorted(blocks)[-KEPT:]}


def of_head(head: FeeHead, told: BlockFees | None) -> BlockFees:
    """Return the head's own row: its figures are exact; the tips are those told of it."""
    return BlockFees(
        number=head.header.number,
        timestamp=head.header.timestamp,
        base_fee_wei=head.base_fee_wei or 0,
        gas_used=head.gas_used,
        gas_limit=head.gas_limit,
        tips=told.tips if told is not None and told.base_fee_wei == head.base_fee_wei else {},
    )


def unbroken(blocks: Mapping[int, BlockFees]) -> int:
    """Return how many of the last blocks follow each other without a gap."""
    numbers = sorted(blocks, reverse=True)
    return next((at for at, number in enumerate(numbers) if number != numbers[0] - at), len(numbers))


def uses(blocks: Iterable[BlockFees]) -> list[float]:
    """Return each block's gas used as a share of its gas limit."""
    return [block.gas_used / block.gas_limit for block in blocks]


def most_growth(blocks: Sequence[BlockFees], base_fee_wei: int, ahead: int) -> tuple[int, int] | None:
    """Return how high this base fee would go if it grew as in the worst stretch of ``ahead`` blocks seen.

    With it the number of such stretches that do not overlap; None of fewer than two. Rounded up, in wei.
    """
    fees = [block.base_fee_wei for block in blocks]
    stretches = (len(fees) - 1) // ahead
    if stretches < 2 or 0 in fees:  # noqa: PLR2004 (said in the docstring)
        return None
    highest = base_fee_wei
    for at, fee in enumerate(fees[:-1]):
        top = max(fees[at + 1 : at + 1 + ahead])
        highest = max(highest, -(-base_fee_wei * top // fee))
    return highest, stretches
