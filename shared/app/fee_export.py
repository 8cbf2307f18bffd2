"""What the listener recorded of blocks' fees, as the CSV of headers that `plumbline backtest` replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.domain.fee_record import FEE_HISTORY, chunk_rows
from shared.errors import NotFound
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.domain.fee_blocks import BlockFees
    from shared.ports import Documents


def recorded_blocks(documents: Documents, chain_id: int) -> list[BlockFees]:
    """Return every block whose fees are recorded of a chain, ascending; CorruptEvent for what is no chunk."""
    found = documents.query(FEE_HISTORY, Query(where=(("chainId", chain_id),)))
    rows = (row.fees for _, document in found for row in chunk_rows(document))
    return sorted(rows, key=lambda fees: fees.number)


def fee_csv(documents: Documents, chain_id: int) -> Iterator[str]:
    """Yield the lines of the CSV, titles first, without line ends; NotFound where nothing is recorded.

    Fees are whole wei, the time is in seconds since 1970 (UTC), and an unknown tip is left empty.
    """
    blocks = recorded_blocks(documents, chain_id)
    if not blocks:
        raise NotFound(f"nothing is recorded of the fees of chain {chain_id}")
    percentiles = sorted({percentile for block in blocks for percentile in block.tips})
    titles = ["number", "timestamp", "base_fee_per_gas", "gas_used", "gas_limit"]
    yield ",".join([*titles, *(f"tip_p{percentile:g}" for percentile in percentiles)])
    for block in blocks:
        known = (block.number, block.timestamp, block.base_fee_wei, block.gas_used, block.gas_limit)
        yield ",".join([*map(str, known), *(str(block.tips.get(at, "")) for at in percentiles)])
