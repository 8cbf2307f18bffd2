"""Giving a transfer that is known by its bare hash alone to the rollover it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.app.notes import keep_note, read_notes
from shared.app.project_events import readable
from shared.domain.comparison import supporting_ids
from shared.domain.events import CORRECTION, EVENTS, SUPERSEDED, correction_id, is_external, is_ours
from shared.domain.hashing import transfer_hash
from shared.domain.keys import can_be_key
from shared.domain.state import fold, is_intact, is_superseded
from shared.domain.system_events import joined_event, original_event
from shared.domain.transfers import MAPPINGS, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.app.event_log import EventLog
    from shared.app.project_events import ProjectEvents
    from shared.domain.contract import ContractSpec
    from shared.domain.state import State
    from shared.ports import Chain, Documents


TRIED: Final = "unmapped_transfers"
"""By bare hash: the transactions whose calldata named no transfer."""


class JoinUnmapped:
    """Resolves bare hashes by the application's mapping, else by the reference in the calldata.

    ``limit``: hashes whose calldata may be read (None: all); the others wait for the next run.
    """

    def __init__(
        self,
        documents: Documents,
        chain: Chain,
        spec: ContractSpec,
        event_log: EventLog,
        projection: ProjectEvents,
        limit: int | None,
    ) -> None:
        self._documents = documents
        self._chain = chain
        self._spec = spec
        self._event_log = event_log
        self._projection = projection
        self._left = limit

    def resolve(self, states: Sequence[State]) -> dict[str, str]:
        """Return, by bare hash, the transfers that these states of unmapped hashes belong to.

        A reference in the calldata counts only if its keccak is the hash; then the mapping is written.
        Calldata does not change, so a transaction that told nothing is not read again.
        """
        if not states:
            return {}
        resolved = self._event_log.mapped([state["rolloverId"] for state in states])
        open_ones = [state for state in states if state["rolloverId"] not in resolved]
        tried = read_notes(self._documents, TRIED, [state["rolloverId"] for state in open_ones])
        for state in open_ones:
            bare = state["rolloverId"]
            told_nothing = tried.get(bare, {}).get("transactions", [])
            transactions = {p["transactionHash"] for p in state["proofs"].values() if "transactionHash" in p}
            new = sorted(transactions.difference(told_nothing))
            if not new or self._left == 0:
                continue
            self._left = None if self._left is None else self._left - 1
            reference = self._reference(bare, new)
            if reference is not None:
                self._documents.create(MAPPINGS, bare, {"transferId": reference, "resolvedFrom": "calldata"})
                # Where the application's own mapping is wrong, that is for a person to correct.
                resolved |= self._event_log.mapped([bare])
            else:
                keep_note(self._documents, TRIED, bare, {"transactions": sorted(transactions)})
        return resolved

    def resolve_by_name(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return those transfers (given by their hashes) of which something is kept under the bare hash.

        The application knows them and has not mapped them, or to nothing; the mapping is written.
        """
        there = self._documents.get_many(STATES, names)
        kept = [bare for bare, state in there.items() if state.get("unmapped") is True and is_intact(state)]
        mappings = self._documents.get_many(MAPPINGS, kept)
        for bare in kept:
            mapping = mappings.get(bare, {})
            if not isinstance(mapping.get("transferId"), str):
                told = {**mapping, "transferId": names[bare], "resolvedFrom": "rolloverId"}
                self._documents.put(MAPPINGS, bare, told)
        # Where the application's own mapping is wrong, that is for a person to correct.
        return self._event_log.mapped(kept)

    def _reference(self, bare: str, transactions: Sequence[str]) -> str | None:
        for transaction_hash in transactions:
            transaction = self._chain.transaction(transaction_hash)
            reference = self._spec.sender_reference(transaction.data) if transaction else None
            # One that no document can be named by is no transfer of the application's.
            if can_be_key(reference) and transfer_hash(reference) == bare:
                return reference
        return None

    def broken(self, stand_ins: Sequence[State]) -> list[State]:
        """Return those states of joined hashes that rest on events which are no longer in the store."""
        rests_on = {
            state["rolloverId"]: [
                *supporting_ids(state), correction_id(state["rolloverId"], state["joinedTo"])
            ]
            for state in stand_ins
            if is_intact(state)
        }  # fmt: skip
        wanted = [key for keys in rests_on.values() for key in keys]
        there = self._documents.get_many(EVENTS, wanted, fields=()) if wanted else {}
        gone = {bare for bare, keys in rests_on.items() if any(key not in there for key in keys)}
        return [state for state in stand_ins if state["rolloverId"] in gone]

    def mend(self, state: State) -> list[str]:
        """Append again what a joined hash lacks, and compute its state anew; return the ids appended.

        What a correction has given to the transfer stands in it as a whole. The rest drops out of the state.
        """
        bare, rollover_id = state["rolloverId"], state["joinedTo"]
        corrections = self._documents.get_many(
            EVENTS, [correction_id(key, rollover_id) for key in state["proofs"]]
        )
        originals = [{**original_event(each), "rolloverId": bare} for each in readable(corrections.values())]
        known = [original for original in originals if original["eventId"] in state["proofs"]]
        restored = self._event_log.append_routed(known)
        return restored.stored + self.join(bare, rollover_id)

    def join(self, bare: str, rollover_id: str) -> list[str]:
        """Append the corrections that give every event kept under ``bare`` to ``rollover_id``; return ids.

        Verdicts come along. The stand-in state is closed.
        """
        stream = readable(self._event_log.events_of(bare))
        kept = [
            event for event in stream if is_external(event) or (is_ours(event) and event["data"].get("step"))
        ]
        appended = self._event_log.join(kept)
        state = fold(bare, [event for event in stream if event["eventType"] != CORRECTION])
        for event in kept:
            if state and is_superseded(state["verdicts"], event["eventId"]):
                counter = state["verdicts"][event["eventId"]][0]
                appended.add(
                    self._event_log.judge([event], counter, SUPERSEDED, "superseded before it was mapped")
                )
        last = max((event["timestamp"] for event in stream), default="")
        closing = {**joined_event(bare, rollover_id, last), "participants": []}
        appended.add(self._event_log.append_routed([closing]))
        self._projection.rebuild(bare)
        self._projection.rebuild(rollover_id)
        return appended.stored
