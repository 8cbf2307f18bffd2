"""What the store should hold by the chain as it stands, read from the node itself, and what it holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from web3 import Web3

from shared.adapters.sqlite import SqliteDocuments
from shared.local.escrow.calldata import artefact
from shared.ports import Query

if TYPE_CHECKING:
    from pathlib import Path

    from shared.local.escrow.client import EscrowClient

_TYPES: Final = {
    "TransferAgreed": "blockchain.v5.agreement",
    "FinancialDetailsProvided": "blockchain.v5.financial",
    "TransferExecuted": "blockchain.v5.executed",
    "TokensMinted": "blockchain.v5.minted",
    "TokensBurned": "blockchain.v5.burned",
    "TransferCompleted": "blockchain.v5.completed",
}
_VERDICTS: Final = {"system.event_superseded": False, "system.event_reinstated": True}
_TOLD_LATER: Final = ("audit", "stateHash", "verdicts", "verdictSeq", "eventId", "metadata")
"""Fields that say when, how often or by whom it was written, not what happened."""

Place = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares one store with one contract; ``mapped`` gives the hash of each transfer that has an id."""

    store: Path
    escrow: EscrowClient
    hashes: tuple[str, ...]
    mapped: dict[str, str]

    def differences(self) -> list[str]:
        """Return what is missing, what is too much, and every state that is not the contract's."""
        documents = SqliteDocuments(self.store)
        try:
            events = [event for _, event in documents.query("events", Query())]
            live, wrong = self._live(events)
            told = self._canonical()
            wrong += [f"missing: {told[place]} at {place}" for place in told.keys() - live.keys()]
            wrong += [f"too much: {live[place]} at {place}" for place in live.keys() - told.keys()]
            wrong += [
                f"other content at {place}: {live[place]} is {told[place]}"
                for place in told.keys() & live.keys()
                if live[place] != told[place]
            ]
            keys = {each: self.mapped.get(each, each) for each in self.hashes}
            states = documents.get_many("rollover_states", keys.values())
            for transfer_hash, key in keys.items():
                word = self.escrow.read(_state_call(transfer_hash))
                number = int.from_bytes(word)
                stored = states.get(key, {}).get("contractState", 0)
                if number != stored:
                    wrong.append(f"state of {key}: contract {number}, stored {stored}")
        finally:
            documents.close()
        return sorted(wrong)

    def _canonical(self) -> dict[Place, tuple[Any, ...]]:
        web3 = Web3()
        contract = web3.eth.contract(abi=artefact()["abi"])
        decoders = {event().topic: event() for event in contract.events}
        asked = {"fromBlock": "0x0", "toBlock": "latest", "address": self.escrow.address}
        canonical: dict[Place, tuple[Any, ...]] = {}
        for log in self.escrow.rpc.call("eth_getLogs", asked):
            found = decoders[log["topics"][0]].process_log(_parsed(log))
            args = found["args"]
            place = (log["blockHash"], log["transactionHash"], int(log["logIndex"], 16))
            canonical[place] = (
                _TYPES[found["event"]],
                "0x" + bytes(args["transferHash"]).hex(),
                args.get("grossAmount"),
            )
        return canonical

    def _live(self, events: list[dict[str, Any]]) -> tuple[dict[Place, tuple[Any, ...]], list[str]]:
        verdicts: dict[str, tuple[int, bool]] = {}
        for event in events:
            if event["eventType"] in _VERDICTS:
                verdict = (event["data"]["verdictSeq"], _VERDICTS[event["eventType"]])
                target = event["data"]["targetEventId"]
                verdicts[target] = max(verdict, verdicts.get(target, verdict))
        live: dict[Place, tuple[Any, ...]] = {}
        wrong = []
        for event in events:
            if event["eventType"] not in _TYPES.values():
                continue
            if not verdicts.get(event["eventId"], (0, True))[1]:
                continue
            data = event["data"]
            if data.get("evidence") == "contract_state":
                wrong.append(f"an event without its log: {event['eventId']} {event['eventType']}")
                continue
            place = (data["blockHash"], data["transactionHash"], int(data["logIndex"]))
            if place in live:
                wrong.append(f"twice: {place}")
            gross = data.get("grossAmount")
            live[place] = (event["eventType"], data["transferHash"], None if gross is None else int(gross))
        return live, wrong


def checksum(store: Path) -> str:
    """Return a digest of what happened by events and states, whoever wrote it and when."""
    documents = SqliteDocuments(store)
    try:
        found = [
            sorted(
                orjson.dumps(_without(document), option=orjson.OPT_SORT_KEYS)
                for _, document in documents.query(collection, Query())
                if document.get("eventType") not in _VERDICTS
            )
            for collection in ("events", "rollover_states")
        ]
    finally:
        documents.close()
    return hashlib.sha256(b"\n".join(b"\n".join(each) for each in found)).hexdigest()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(each) for name, each in value.items() if name not in _TOLD_LATER}
    return value


def _state_call(transfer_hash: str) -> bytes:
    return Web3.keccak(text="getTransferState(bytes32)")[:4] + bytes.fromhex(transfer_hash[2:])


def _parsed(log: dict[str, Any]) -> dict[str, Any]:
    as_bytes = {name: bytes.fromhex(log[name][2:]) for name in ("data", "transactionHash", "blockHash")}
    numbers = {name: int(log[name], 16) for name in ("blockNumber", "transactionIndex", "logIndex")}
    topics = [Web3.to_bytes(hexstr=topic) for topic in log["topics"]]
    return {
        **log,
        **as_bytes,
        **numbers,
        "topics": topics,
        "address": Web3.to_checksum_address(log["address"]),
    }
