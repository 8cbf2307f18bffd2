"""Giving a transfer that is known by its bare hash alone to the rollover it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.app.event_log import MAPPINGS
from shared.domain.events import CORRECTION, SUPERSEDED, is_ours, joined_event
from shared.domain.hashing import transfer_hash
from shared.domain.state import fold, is_superseded

if TYPE_CHECKING:
    from shared.app.event_log import EventLog
    from shared.app.project_events import ProjectEvents
    from shared.domain.contract import ContractSpec
    from shared.domain.state import State
    from shared.ports import Chain, Documents


class JoinUnmapped:
    """Resolves bare hashes by the application's mapping, else by the reference in the calldata."""

    def __init__(
        self,
        documents: Documents,
        chain: Chain,
        spec: ContractSpec,
        event_log: EventLog,
        projection: ProjectEvents,
    ) -> None:
        self._documents = documents
        self._chain = chain
        self._spec = spec
        self._event_log = event_log
        self._projection = projection

    def resolve(self, state: State) -> str | None:
        """Return the id of the transfer that the hash stands for, None where nothing tells it.

        A reference in the calldata counts only if its keccak is the hash; then the mapping is written.
        """
        bare = state["rolloverId"]
        mapped = self._event_log.mapped([bare]).get(bare)
        if mapped:
            return mapped
        for proof in state["proofs"].values():
            transaction = (
                self._chain.transaction(proof["transactionHash"]) if "transactionHash" in proof else None
            )
            reference = self._spec.sender_reference(transaction.data) if transaction else None
            if reference and transfer_hash(reference) == bare:
                self._documents.create(MAPPINGS, bare, {"transferId": reference, "resolvedFrom": "calldata"})
                return reference
        return None

    def join(self, bare: str, rollover_id: str) -> list[str]:
        """Append the corrections that give every event kept under ``bare`` to ``rollover_id``; return ids.

        Verdicts come along. The stand-in state is closed.
        """
        stream = self._event_log.events_of(bare)
        kept = [event for event in stream if is_ours(event) and event["data"].get("step")]
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
