"""What the store should hold by the chain as it stands, read from the node itself, and what it holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from web3 import Web3

from shared.adapters.sqlite import SqliteDocuments
from shared.local.escrow.calldata import artefact
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
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
_EXTERNAL: Final = "blockchain.external_transaction"
_VERDICTS: Final = {"system.event_superseded": False, "system.event_reinstated": True}
_NOT_ARGUMENTS: Final = (
    "chainId",
    "contract",
    "step",
    "agreementType",
    "blockHash",
    "transactionHash",
    "logIndex",
)
_TOLD_LATER: Final = ("audit", "stateHash", "verdicts", "verdictSeq", "eventId", "metadata")
"""Fields that say when, how often or by whom it was written, not what happened."""
_HANGS_ON: Final = ("contract", "logIndex", "transferHash", "actionEventId", "actionEventType")
"""Which of its logs an external transaction's event hangs on: the first that the node had told of."""

Place = tuple[str, str, int | str]
"""Block hash, transaction hash, and log index; or what the event says of the transaction as a whole."""
Told = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares one store with one contract; ``mapped`` gives the hash of each transfer that has an id.

    ``wallets`` are the platform's, lower-case: a transaction of another is to have an event of its own.
    """

    store: Path
    escrow: EscrowClient
    hashes: tuple[str, ...]
    mapped: dict[str, str]
    wallets: AbstractSet[str] = frozenset()
    _senders: dict[str, str] = field(default_factory=dict)

    def differences(self) -> list[str]:
        """Return what is missing, what is too much, and every state that is not the contract's."""
        documents = SqliteDocuments(self.store)
        try:
            events = [event for _, event in documents.query("events", Query())]
            live, wrong = _live(events)
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

    def _canonical(self) -> dict[Place, Told]:
        web3 = Web3()
        events: Any = web3.eth.contract(abi=artefact()["abi"]).events
        decoders = {event().topic: event() for event in events}
        asked = {"fromBlock": "0x0", "toBlock": "latest", "address": self.escrow.address}
        canonical: dict[Place, Told] = {}
        for log in self.escrow.rpc.call("eth_getLogs", asked):
            found = decoders[log["topics"][0]].process_log(_parsed(log))
            transaction = (log["blockHash"], log["transactionHash"])
            number = str(int(log["blockNumber"], 16))
            arguments = {**_plain(found["args"]), "blockNumber": number}
            at = datetime.fromtimestamp(int(log["blockTimestamp"], 16), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            canonical[*transaction, int(log["logIndex"], 16)] = (_TYPES[found["event"]], at, arguments)
            sender = self._sender(log["transactionHash"])
            if self.wallets and sender not in self.wallets:
                canonical[*transaction, _EXTERNAL] = (_EXTERNAL, at, number, sender)
        return canonical

    def _sender(self, transaction_hash: str) -> str:
        if transaction_hash not in self._senders:
            found = self.escrow.rpc.call("eth_getTransactionByHash", transaction_hash)
            self._senders[transaction_hash] = found["from"].lower()
        return self._senders[transaction_hash]


def _live(events: list[dict[str, Any]]) -> tuple[dict[Place, Told], list[str]]:
    verdicts: dict[str, tuple[int, bool]] = {}
    for event in events:
        if event["eventType"] in _VERDICTS:
            verdict = (event["data"]["verdictSeq"], _VERDICTS[event["eventType"]])
            target = event["data"]["targetEventId"]
            verdicts[target] = max(verdict, verdicts.get(target, verdict))
    standing = [event for event in events if verdicts.get(event["eventId"], (0, True))[1]]
    # What was restated stands for the log's own id, to which others refer.
    transactions = {
        event["metadata"].get("originalEventId", event["eventId"]): event["data"].get("transactionHash")
        for event in standing
        if event["eventType"] in _TYPES.values()
    }
    live: dict[Place, Told] = {}
    wrong = []
    for event in standing:
        data, kind, at = event["data"], event["eventType"], event["timestamp"]
        if kind == _EXTERNAL:
            place: Place = (data["blockHash"], data["transactionHash"], _EXTERNAL)
            told: Told = (kind, at, str(data["blockNumber"]), data["sender"])
            if transactions.get(data["actionEventId"]) != data["transactionHash"]:
                wrong.append(f"not linked to what it did: {place}")
        elif kind not in _TYPES.values():
            continue
        elif data.get("evidence") == "contract_state":
            wrong.append(f"an event without its log: {event['eventId']} {kind}")
            continue
        else:
            place = (data["blockHash"], data["transactionHash"], int(data["logIndex"]))
            told = (kind, at, _plain({name: data[name] for name in data if name not in _NOT_ARGUMENTS}))
        if place in live:
            wrong.append(f"twice: {place}")
        live[place] = told
    return live, wrong


def checksum(store: Path) -> str:
    """Return a digest of what happened by events and states, whoever wrote it and when."""
    documents = SqliteDocuments(store)
    try:
        found = [
            sorted(
                orjson.dumps(_happened(document), option=orjson.OPT_SORT_KEYS)
                for _, document in documents.query(collection, Query())
                if document.get("eventType") not in _VERDICTS
            )
            for collection in ("events", "rollover_states")
        ]
    finally:
        documents.close()
    return hashlib.sha256(b"\n".join(b"\n".join(each) for each in found)).hexdigest()


def _happened(document: dict[str, Any]) -> dict[str, Any]:
    of_a_transaction = document.get("eventType") == _EXTERNAL
    return dict(_without(document, (*_TOLD_LATER, *_HANGS_ON) if of_a_transaction else _TOLD_LATER))


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {name: _without(each, names) for name, each in value.items() if name not in names}
    return value


def _plain(value: Any) -> Any:
    """Return arguments as text whatever their spelling: numbers in decimal, bytes and addresses in hex."""
    if isinstance(value, bool):
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if hasattr(value, "items"):
        return {name: _plain(each) for name, each in value.items()}
    return str(value).lower()


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
