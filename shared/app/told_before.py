"""What a listener that died, or failed, may have published of blocks that it never counted as read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.app.second_reading import as_one
from shared.domain.completeness import SINGLE, log_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shared.app.chain_cursor import PublishedBlock, WindowRead
    from shared.app.cursor_store import CursorStore
    from shared.ports import RawLog


def doubted(store: CursorStore, read: WindowRead, published: Sequence[PublishedBlock]) -> WindowRead:
    """Return a reading, disputed where something else may have been published of its blocks before.

    No other reading will ever be compared with that. ``published``: blocks of it that are kept in case of a
    reorg.
    """
    heights = _told_otherwise(store, read, published) if published else set()
    begun, whole = store.begun, as_one(read)
    if begun is not None and not (whole.first == begun.first and whole.agrees_with(begun)):
        heights |= {each.first for each in read.segments if each.first <= begun.last}
    return disputed(read, heights)


def _told_otherwise(store: CursorStore, read: WindowRead, published: Sequence[PublishedBlock]) -> set[int]:
    told: dict[tuple[int, str], list[RawLog]] = defaultdict(list)
    for document in store.published_logs(published):
        told[document["number"], document["hash"]] += document["logs"]
    own = {block.header.hash: log_digest(block.logs) for block in read.blocks}
    return {number for (number, key), logs in told.items() if own.get(key, 0) != log_digest(logs)}


def disputed(read: WindowRead, heights: Collection[int]) -> WindowRead:
    """Return a reading whose segments of these heights wait for a proof that refutes what is not of them."""
    if not heights:
        return read
    segments = [
        replace(each, grade=SINGLE, disputed=True)
        if any(each.first <= height <= each.last for height in heights)
        else each
        for each in read.segments
    ]
    return replace(read, segments=segments)
