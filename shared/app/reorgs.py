"""Reorgs: positively seen by a hash, undone down to the newest block that both chains share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.app.handle_chain_event import REMOVED, LogBatch
from shared.app.read_window import read_headers
from shared.errors import ChainUnavailable, FinalityViolation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.app.chain_cursor import Cursor, PublishedBlock, Removal
    from shared.app.cursor_store import CursorStore
    from shared.domain.blocks import Header
    from shared.ports import Chain


def common_ancestor(chain: Chain, cursor: Cursor) -> int:
    """Return the height of the newest block of the cursor's window that is canonical.

    Raises ChainUnavailable where the node lacks one of the blocks, or has the cursor's after all (it
    contradicts itself), FinalityViolation where even the oldest, which was final, has another hash.
    """
    known = dict(cursor.window)
    headers = read_headers(chain, [number for number, block_hash in cursor.window if block_hash is not None])
    same = [n for n, block_hash in known.items() if block_hash is None or headers[n].hash == block_hash]
    if not same:
        number, block_hash = cursor.window[0]
        raise FinalityViolation(
            f"chain {chain.chain_id}: block {number} was {block_hash} and is {headers[number].hash}: "
            "deeper than any reorg that can be taken back"
        )
    if same[-1] == cursor.number:
        raise ChainUnavailable(f"chain {chain.chain_id} contradicts itself about block {cursor.number}")
    return same[-1]


def dropped(published: Sequence[PublishedBlock], headers: Mapping[int, Header]) -> dict[str, int]:
    """Return the published blocks (number by hash) that have another hash at their height now."""
    return {
        block.hash: block.number
        for block in published
        if block.number in headers and headers[block.number].hash != block.hash
    }


def removals(
    store: CursorStore, chain_id: int, removal: Removal, published: Sequence[PublishedBlock]
) -> Iterator[LogBatch]:
    """Yield the messages that take back these published blocks, at the counter of their removal."""
    for document in store.published_logs(published):
        times = {document["hash"]: document["timestamp"]}
        yield LogBatch(REMOVED, chain_id, removal.counter, document["logs"], times)
