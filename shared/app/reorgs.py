"""Reorgs: positively seen by a hash, undone down to the newest block that both chains share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.app.log_batch import REMOVED, LogBatch
from shared.app.publish_logs import first_senders
from shared.app.read_window import read_headers
from shared.errors import DoubtfulAnswer, FinalityViolation, OtherHistory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.app.chain_cursor import Cursor, PublishedBlock, Removal
    from shared.app.cursor_store import CursorStore
    from shared.domain.blocks import Header
    from shared.domain.completeness import Segment
    from shared.ports import Chain


def common_ancestor(
    chain: Chain, cursor: Cursor, published: Sequence[PublishedBlock], head: int
) -> tuple[int, dict[str, int]]:
    """Return the height of the newest remembered block that is canonical, and the blocks to take back.

    Where the chain's ``head`` is lower than the cursor, all above it is taken back with the rest.

    Those are the published blocks, and the remembered ones above the ancestor, that have another hash at
    their height now (number by hash). Raises DoubtfulAnswer where the node lacks one of the blocks, has
    the cursor's after all (it contradicts itself), has come to serve another chain, or most endpoints still
    have it; FinalityViolation where even the oldest, which was certified, has another hash at all of them.
    """
    known = {segment.last: segment.hash for segment in cursor.window if segment.hash is not None}
    heights = {*known, *(block.number for block in published)}
    headers = read_headers(chain, {number for number in heights if number <= head})
    same_chain(chain)
    anchor = cursor.window[0]
    same = [anchor.last] if anchor.hash is None else []
    same += [number for number, header in headers.items() if known.get(number) == header.hash]
    if not same:
        _strays(chain, anchor)
        raise FinalityViolation(
            f"chain {chain.chain_id}: block {anchor.last} was {anchor.hash} and is"
            f" {headers[anchor.last].hash}: it was certified, no reorg takes it back"
        )
    ancestor = max(same)
    if ancestor == min(cursor.number, head):
        raise DoubtfulAnswer(f"chain {chain.chain_id} contradicts itself about block {ancestor}")
    _outvoted(chain, cursor)
    gone = {block_hash: number for number, block_hash in known.items() if number > ancestor}
    above = {block.hash: block.number for block in published if block.number > head}
    return ancestor, {**gone, **above, **dropped(published, headers)}


def same_chain(chain: Chain) -> None:
    """Raise OtherHistory where the node serves another chain now: its blocks take back none of ours.

    To be asked once its blocks were read, and before anything is taken back.
    """
    remote = chain.remote_chain_id()
    if remote != chain.chain_id:
        raise OtherHistory(f"the node of chain {chain.chain_id} has come to serve chain {remote}")


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
        senders = first_senders(document["logs"], document.get("senders", {}))
        yield LogBatch(REMOVED, chain_id, removal.counter, document["logs"], times, senders=senders)


def _strays(chain: Chain, certified: Segment) -> None:
    """Raise OtherHistory where any of several endpoints still has the block that was certified."""
    if len(chain.endpoints()) > 1 and str(certified.hash) in chain.hashes_at(certified.last):
        raise OtherHistory(
            f"chain {chain.chain_id}: one endpoint lacks the certified block {certified.last} of another"
        )


def _outvoted(chain: Chain, cursor: Cursor) -> None:
    """Raise DoubtfulAnswer where most of several endpoints have the cursor's block: one of them strays."""
    if len(chain.endpoints()) == 1:
        return
    votes = chain.hashes_at(cursor.number)
    if 2 * votes.count(str(cursor.hash)) > len(votes):
        raise DoubtfulAnswer(
            f"chain {chain.chain_id}: one endpoint has another block {cursor.number} than the others"
        )
