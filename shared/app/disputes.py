"""Blocks of which a node had told otherwise than they are: what is proved of them, on file for good.

``disputed_blocks/{chainId}:{first}:{hash of the first block}:{index}``: ``chainId``, ``first`` and ``last``
(heights, inclusive), ``begins`` and ``ends`` (times of those blocks), ``contracts`` (whose logs were asked
for), and ``blocks``, by hash: ``ids`` of the events of all their logs from index ``lowest`` through
``highest``, and the ``transactions`` of those. What claims to be a log there and is none of these is made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from shared.app.project_events import unreadable
from shared.domain.completeness import LOT_BLOCKS, PROVED
from shared.domain.events import (
    CHAIN_TYPES,
    CORRECTION,
    EVENTS,
    EXTERNAL,
    as_stored,
    is_ours,
    iso,
    restated_id,
)
from shared.domain.limits import SAFE_INTEGER
from shared.domain.log_coordinates import id_at, log_coordinates
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from shared.app.chain_cursor import WindowRead
    from shared.domain.blocks import Header
    from shared.domain.events import Event
    from shared.ports import Document, Documents, RawLog

DISPUTED: Final = "disputed_blocks"
_LOGS_A_DOCUMENT: Final = 3_000
"""Two hashes a log: half of the 1 MiB that Firestore takes."""
_PAGE: Final = 500
_DOCUMENTS_A_PAGE: Final = 10
"""Of up to half a megabyte each."""


@dataclass(frozen=True)
class _Held:
    """What a block holds from one log index through another: ids of events, and their transactions."""

    lowest: int
    highest: int
    ids: frozenset[str]
    transactions: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether that is all that the block holds."""
        return self.lowest == 0 and self.highest == SAFE_INTEGER

    @cached_property
    def restated(self) -> frozenset[str]:
        """The ids under which the same logs are restated."""
        return frozenset(restated_id(each) for each in self.ids)


@dataclass(frozen=True)
class Dispute:
    """What is proved of some blocks, by their hashes; ``begins`` and ``ends``: times of the outer two."""

    begins: str
    ends: str
    contracts: frozenset[str]
    blocks: Mapping[str, _Held]

    @classmethod
    def decode(cls, document: Document) -> Dispute:
        """Return what a document says."""
        blocks = {
            key: _Held(
                held["lowest"], held["highest"], frozenset(held["ids"]), frozenset(held["transactions"])
            )
            for key, held in document["blocks"].items()
        }
        return cls(document["begins"], document["ends"], frozenset(document["contracts"]), blocks)

    def refutes(self, event: Event) -> bool:
        """Say whether an event of ours claims to be a log of one of the blocks, which does not hold it.

        A correction, or what was restated, stands for the event that it names. An external transaction is
        refuted where all logs of its block are known and none is its.
        """
        if not is_ours(event):
            return False
        data = event["data"]
        held = self.blocks.get(data.get("blockHash"))
        kind = data.get("correctedEventType", event["eventType"])
        if held is None or data.get("contract") not in self.contracts:
            return False
        if kind == EXTERNAL:
            return held.whole and data["transactionHash"] not in held.transactions
        if kind not in CHAIN_TYPES or not held.lowest <= data["logIndex"] <= held.highest:
            return False
        told = event["metadata"].get("originalEventId", event["eventId"])
        return told not in held.ids and (event["eventType"] != CORRECTION or told not in held.restated)

    def confirms(self, event: Event) -> bool:
        """Say whether a block holds the log that an event is."""
        held = self.blocks.get(event["data"].get("blockHash"))
        return held is not None and event["eventId"] in held.ids


class Disputes:
    """What is on file of each chain's disputed blocks."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def record(
        self, chain_id: int, headers: Sequence[Header], read: WindowRead, contracts: Sequence[str]
    ) -> list[str]:
        """Put on file what is proved of these neighbouring blocks; return the keys of the documents."""
        proved = {segment.hash for segment in read.segments if segment.grade == PROVED}
        logs = {block.header.hash: block.logs for block in read.blocks}
        known = [header for header in headers if header.hash in proved]
        keys = []
        for index, part in enumerate(_parts(chain_id, known, logs)):
            first, last = part[0][0], part[-1][0]
            key = f"{chain_id}:{known[0].number:020}:{known[0].hash}:{index}"
            document = {
                "chainId": chain_id,
                "first": first.number,
                "last": last.number,
                "begins": iso(first.timestamp),
                "ends": iso(last.timestamp),
                "contracts": sorted(contract.lower() for contract in contracts),
                "blocks": {header.hash: told for header, told in part},
            }
            self._documents.put(DISPUTED, key, document)
            keys.append(key)
        return keys

    def on_file(self, keys: Iterable[str]) -> list[Dispute]:
        """Return what these documents say."""
        return [Dispute.decode(each) for each in self._documents.get_many(DISPUTED, keys).values()]

    def covering(self, chain_id: int, first: int, last: int) -> list[Dispute]:
        """Return what is on file of any block from ``first`` through ``last``."""
        found: list[Dispute] = []
        after: tuple[Any, ...] = (first, "")
        where, size = (("chainId", chain_id),), _DOCUMENTS_A_PAGE
        while True:
            page = self._documents.query(
                DISPUTED, Query(where=where, order_by="last", limit=size, after=after)
            )
            found += [Dispute.decode(document) for _, document in page if document["first"] <= last]
            # None is of more blocks than a lot: what ends further up begins above ``last``.
            if len(page) < size or page[-1][1]["last"] >= last + LOT_BLOCKS:
                return found
            after = (page[-1][1]["last"], page[-1][0])

    def made_up(self, dispute: Dispute) -> list[Event]:
        """Return those stored events of the time of a dispute's blocks that it refutes."""
        found: list[Event] = []
        after: tuple[Any, ...] = (dispute.begins, "")
        while True:
            page = self._documents.query(EVENTS, Query(order_by="timestamp", limit=_PAGE, after=after))
            within = [as_stored(*each) for each in page if _at(each[1]) <= dispute.ends]
            found += [event for event in within if not unreadable(event) and dispute.refutes(event)]
            if len(within) < _PAGE:
                return found
            after = (page[-1][1]["timestamp"], page[-1][0])


def _parts(
    chain_id: int, headers: Sequence[Header], logs: Mapping[str, Sequence[RawLog]]
) -> Iterator[list[tuple[Header, Document]]]:
    """Yield blocks with what they hold, few enough logs at a time for a document; a large block in pieces."""
    part: list[tuple[Header, Document]] = []
    room = _LOGS_A_DOCUMENT
    for header in headers:
        for held in _pieces(chain_id, logs.get(header.hash, ())):
            if part and (len(held["ids"]) > room or header.number - part[0][0].number >= LOT_BLOCKS):
                yield part
                part, room = [], _LOGS_A_DOCUMENT
            part.append((header, held))
            room -= len(held["ids"])
    if part:
        yield part


def _pieces(chain_id: int, logs: Sequence[RawLog]) -> Iterator[Document]:
    placed = sorted((log_coordinates(chain_id, log) for log in logs), key=lambda at: int(at["logIndex"]))
    indices = [at["logIndex"] for at in placed]
    lowest = 0
    for start in range(0, len(placed) or 1, _LOGS_A_DOCUMENT):
        end = start + _LOGS_A_DOCUMENT
        highest, after = SAFE_INTEGER, SAFE_INTEGER
        if end < len(placed):
            # Where logs are numbered in each transaction, an index that is cut in two is no piece's to judge.
            is_cut = indices[end] == indices[end - 1]
            highest, after = indices[end - 1] - is_cut, indices[end - 1] + 1
        piece = placed[start:end]
        yield {
            "lowest": lowest,
            "highest": highest,
            "ids": [id_at(at) for at in piece],
            "transactions": sorted({at["transactionHash"] for at in piece}),
        }
        lowest = after


def _at(event: Document) -> str:
    """Return the time of an event; of one that tells none, a text beyond all times."""
    told = event["timestamp"]
    return told if isinstance(told, str) else "~"
