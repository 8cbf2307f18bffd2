"""Which transfers a reconciliation looks at, page by page, and where it goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from shared.app.due_page import Page
from shared.app.notes import CURSORS, keep_note, read_note
from shared.app.reconcile_page import Candidate
from shared.app.scrutiny import ARRIVED, Turns
from shared.domain.events import EVENTS
from shared.domain.hashing import is_hash, transfer_hash
from shared.domain.keys import can_be_key
from shared.domain.state import STATES
from shared.domain.transfers import MAPPINGS, is_misfit, mapped_id
from shared.errors import RangeRefused, UndecodableLog
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shared.app.due_page import After
    from shared.app.event_log import EventLog
    from shared.app.reconcile_settings import ReconcileSettings
    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.domain.state import State
    from shared.ports import Chain, Document, Documents, RawLog

_CHUNK_OF_BLOCKS: Final = 2_000


class DueTransfers:
    """Pages of one contract's transfers, phase by phase.

    While there are at most ``every_run_limit`` open transfers all of them are due in every run (phase
    ``open``). Past it a run takes those that changed in the database (``changed``) or on chain
    (``moved``) since the last one, those that hung crooked then (``suspect``), and a rotating
    ``share`` large enough that each is checked every ``rotation_runs`` runs. Closed ones are due once
    after finality (``closed``), from then on by rotation (``closed_share``), or all of them where
    ``whole`` is asked for and they are as few. ``mapped``: hashes that the application mapped and nobody
    projected; past ``every_run_limit`` by rotation, and by ``moved``. ``unplaced``: open, but on no contract
    yet; ``unplaced_share``: closed before anything of them on chain was known, and bare hashes joined to
    their transfers, by rotation as ``closed_share``.
    """

    def __init__(
        self,
        documents: Documents,
        event_log: EventLog,
        chain: Chain,
        spec: ContractSpec,
        pin: Header,
        settings: ReconcileSettings,
        settled: str,
        *,
        dry_run: bool,
        whole: bool = False,
    ) -> None:
        self._documents = documents
        self._event_log = event_log
        self._chain = chain
        self._spec = spec
        self._pin = pin
        self._size = settings.page_size
        self._rotation_runs = settings.rotation_runs
        self._reorg_window = settings.reorg_window
        self._settled = settled
        self._dry_run = dry_run
        self._whole_up_to = settings.every_run_limit if whole else -1
        self._cursor: Document = read_note(documents, CURSORS, spec.key)
        self._mapped_count = documents.count(MAPPINGS)
        self._mapped_in_turn = not whole and self._mapped_count > settings.every_run_limit
        self.open_count = documents.count(STATES, (("contractKey", spec.key), ("open", True)))
        self.tiered = self.open_count > settings.every_run_limit
        self.late: Mapping[str, list[Any]] = self._cursor.get("late", {})
        self.turns = Turns(self._cursor, settings, tiered=self.tiered, whole=whole)
        self._pages: dict[str, Callable[[After], Page]] = {
            ARRIVED: self._arrived,
            "open": self._open,
            "changed": self._changed,
            "moved": self._moved,
            "suspect": self._suspect,
            "share": self._share,
            "unplaced": self._unplaced,
            "unplaced_share": self._unplaced_share,
            "closed": self._closed,
            "closed_share": self._closed_share,
            "mapped": self._mapped,
        }

    @property
    def phases(self) -> list[str]:
        """Return the phases of this run, in order."""
        few = ["open", "moved"] if self._mapped_in_turn else ["open"]
        first = ["suspect", "changed", "moved", "share"] if self.tiered else few
        return [ARRIVED, *first, "unplaced", "mapped", "unplaced_share", "closed_share", "closed"]

    def page(self, phase: str, after: After) -> Page:
        """Return the next page of a phase."""
        return self._pages[phase](after)

    def remember(self, **cursor: Any) -> None:
        """Keep cursors for the next run (a dry run leaves them alone)."""
        self._cursor = {**self._cursor, **cursor}
        if not self._dry_run:
            keep_note(self._documents, CURSORS, self._spec.key, self._cursor)

    def _query(self, where: tuple[tuple[str, Any], ...], after: After, limit: int | None = None) -> Page:
        size = min(self._size, limit or self._size)
        found = self._documents.query(
            STATES, Query(where=where, limit=size, after=tuple(after) if after else None)
        )
        last = [found[-1][0]] if len(found) == size else None
        return Page([_candidate(*each) for each in found], last)

    def _arrived(self, after: After) -> Page:
        """Return whose logs were stored since the last run though their blocks lie far below.

        The first run looks at every log on its pages, and begins here.
        """
        start = after or self._cursor.get("arrivedAfter")
        if start is None:
            return Page([], None, {"arrivedAfter": [self._settled, ""]})
        query = Query(
            order_by="audit.storedAt",
            limit=self._size,
            after=tuple(start),
            fields=("rolloverId", "audit", "data"),
        )
        found = self._documents.query(EVENTS, query)
        through = self.turns.confirmed_through("open")
        old = [event["rolloverId"] for _, event in found if self._is_log(event, through)]
        places = [[event["audit"]["storedAt"], key] for key, event in found]
        last = places[-1] if len(found) == self._size else None
        return Page(self.candidates(old), last, self._settled_place("arrivedAfter", places))

    def _settled_place(self, name: str, places: Sequence[list[Any]]) -> Document:
        """Return from where the next run goes on, by the time of storing, if from another place than before.

        What was stored before may become visible after, and a hand may date an event into the far future:
        behind those the next run looks again.
        """
        settled = [place for place in places if isinstance(place[0], str) and place[0] <= self._settled]
        return {name: settled[-1]} if settled else {}

    def _is_log(self, event: Mapping[str, Any], through: int) -> bool:
        data = event.get("data")
        if not isinstance(data, dict):
            return False
        here = (data.get("chainId"), data.get("contract")) == (self._spec.chain_id, self._spec.address)
        block = data.get("blockNumber")
        return here and isinstance(data.get("blockHash"), str) and isinstance(block, int) and block <= through

    def _open(self, after: After) -> Page:
        return self._query((("contractKey", self._spec.key), ("open", True)), after)

    def _unplaced(self, after: After) -> Page:
        return self._query((("contractKey", None), ("open", True)), after)

    def _suspect(self, _after: After) -> Page:
        return Page(self.candidates(self._cursor.get("suspects", [])), None)

    def _share(self, after: After) -> Page:
        budget = math.ceil(self.open_count / self._rotation_runs)
        return self._rotating("shareAfter", after, budget, (("contractKey", self._spec.key), ("open", True)))

    def _unplaced_share(self, after: After) -> Page:
        page = self._closed_in_turn("unplacedShareAfter", after, None)
        due = [c for c in page.candidates if c.state and self._is_due(c.state)]
        joined = tuple(c.state for c in page.candidates if c.state and c.state.get("joinedTo"))
        return Page(due, page.after, page.cursor, stand_ins=joined)

    def _closed_share(self, after: After) -> Page:
        page = self._closed_in_turn("closedShareAfter", after, self._spec.key)
        # Those that phase ``closed`` has yet to come to are left to it.
        through = self._cursor.get("closedAfter", [-1, ""])
        due = [c for c in page.candidates if c.state and [_last_block(c.state), c.rollover_id] <= through]
        return Page(due, page.after, page.cursor)

    def _closed_in_turn(self, name: str, after: After, contract_key: str | None) -> Page:
        where = (("contractKey", contract_key), ("open", False))
        count = self._documents.count(STATES, where)
        whole = count <= self._whole_up_to
        budget = count if whole else math.ceil(count / self._rotation_runs)
        return self._rotating(name, after or ([None, 0] if whole else None), budget, where)

    def _rotating(self, name: str, after: After, budget: int, where: tuple[tuple[str, Any], ...]) -> Page:
        """Go on where the last run stopped, as far as the budget, then start over in the next run."""
        key, taken = after or [self._cursor.get(name), 0]
        if taken >= budget:
            return Page([], None)
        page = self._query(where, [key] if key else None, budget - taken)
        taken += len(page.candidates)
        cursor = {name: page.after[0] if page.after else None}
        return Page(page.candidates, [page.after[0], taken] if page.after else None, cursor)

    def _closed(self, after: After) -> Page:
        start = after or self._cursor.get("closedAfter")
        query = Query(
            where=(("contractKey", self._spec.key), ("open", False)),
            order_by="lastBlock",
            limit=self._size,
            after=tuple(start) if start else None,
        )
        found = self._documents.query(STATES, query)
        final = [(key, state) for key, state in found if 0 <= _last_block(state) <= self._pin.number]
        places = [[state["lastBlock"], key] for key, state in final]
        # Nearer to the pin a reorg may still take back what closed them: the next run looks again.
        settled = [place for place in places if place[0] <= self._pin.number - self._reorg_window]
        cursor = {"closedAfter": settled[-1]} if settled else {}
        candidates = [_candidate(*each) for each in final]
        return Page(candidates, places[-1] if len(final) == self._size else None, cursor)

    def _mapped(self, after: After) -> Page:
        budget = math.ceil(self._mapped_count / self._rotation_runs) if self._mapped_in_turn else math.inf
        key, taken = after or [self._cursor.get("mappedAfter") if self._mapped_in_turn else None, 0]
        if taken >= budget:
            return Page([], None)
        size = int(min(self._size, budget - taken))
        found = self._documents.query(MAPPINGS, Query(limit=size, after=(key,) if key else None))
        told = {key: mapped_id(key, mapping) for key, mapping in found}
        ids = {key: rollover_id for key, rollover_id in told.items() if rollover_id is not None}
        there = self._documents.get_many(STATES, ids.values(), fields=())
        missing = [
            Candidate(rollover_id, key, None) for key, rollover_id in ids.items() if rollover_id not in there
        ]
        misfits = tuple(key for key, mapping in found if key not in ids and is_misfit(key, mapping))
        last = found[-1][0] if len(found) == size else None
        cursor = {"mappedAfter": last} if self._mapped_in_turn else {}
        return Page(missing, [last, taken + size] if last else None, cursor, misfits)

    def _changed(self, after: After) -> Page:
        start = after or self._cursor.get("changedAfter")
        query = Query(
            order_by="audit.storedAt",
            limit=self._size,
            after=tuple(start) if start else None,
            fields=("rolloverId", "audit"),
        )
        found = self._documents.query(EVENTS, query)
        places = [[event["audit"]["storedAt"], key] for key, event in found]
        candidates = self.candidates([event.get("rolloverId") for _, event in found])
        last = places[-1] if len(found) == self._size else None
        return Page(candidates, last, self._settled_place("changedAfter", places))

    def _moved(self, after: After) -> Page:
        first, span = after or [self._cursor.get("movedThrough", self._spec.deployment_block - 1) + 1, 0]
        if first > self._pin.number:
            return Page([], None)
        last = min(self._pin.number, first + (span or _CHUNK_OF_BLOCKS) - 1)
        try:
            logs = self._chain.logs(first, last, [self._spec.address])
        except RangeRefused:
            if first == last:
                raise
            return Page([], [first, (last - first + 1) // 2])
        hashes = {found for log in logs if (found := self._transfer_of(log))}
        ids = self._event_log.mapped(hashes)
        candidates = self.candidates({ids.get(key, key) for key in hashes})
        following: After = [last + 1, span] if last < self._pin.number else None
        return Page(candidates, following, {"movedThrough": last})

    def _transfer_of(self, log: RawLog) -> str | None:
        try:
            decoded = self._spec.decode(log)
        except UndecodableLog:
            return None  # the handler has dead-lettered it, with its cause
        return decoded.transfer_hash if decoded else None

    def candidates(self, told: Iterable[object]) -> list[Candidate]:
        """Return those of the transfers that this contract checks, as they are stored now."""
        rollover_ids = {each for each in told if can_be_key(each)}
        states = self._documents.get_many(STATES, rollover_ids)
        return [
            _candidate(key, states[key]) if key in states else Candidate(key, hash_of(key), None)
            for key in sorted(rollover_ids)
            if key not in states or self._is_due(states[key])
        ]

    def _is_due(self, state: State) -> bool:
        # What was joined to another transfer is checked as that one.
        return state.get("contractKey") in (None, self._spec.key) and not state.get("joinedTo")


def hash_of(rollover_id: str) -> str:
    """Return the transfer hash of a rollover id (an unmapped transfer's id is its hash)."""
    return rollover_id if is_hash(rollover_id) else transfer_hash(rollover_id)


def _candidate(key: str, state: State) -> Candidate:
    # By the key alone: what the document says of its hash, an event or a hand may have told wrongly.
    return Candidate(key, hash_of(key), state)


def _last_block(state: State) -> int:
    """Return the block of the last log that the state knows; -1 in a document edited by hand."""
    block = state.get("lastBlock")
    return block if isinstance(block, int) else -1
