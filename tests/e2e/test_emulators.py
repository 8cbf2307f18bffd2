"""The whole way on Google's emulators: their own CloudEvents and pushes, the functions as they are."""

from __future__ import annotations

import os
import socket
import uuid
from typing import TYPE_CHECKING

import pytest

from shared.adapters.firestore import FirestoreDocuments
from shared.adapters.pubsub import PubSubBus
from shared.adapters.system_clock import SystemClock
from shared.app.event_log import MAPPINGS, EventLog
from shared.app.reconcile_report import is_straight
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.domain.topics import HANDLE_CHAIN_EVENT
from shared.local.children import Children
from shared.local.escrow.calldata import whole_life
from shared.ports import Query
from tests.support import parts
from tests.support.chain import parties
from tests.support.eventarc import Forwarder, register_trigger
from tests.support.firestore_emulator import FirestoreEmulator
from tests.support.projection import projection_on
from tests.support.served import reconcile_over_http, wait_until, wait_until_served
from tests.support.triggers import started_event

if TYPE_CHECKING:
    from pathlib import Path

    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient
    from tests.support.pubsub_emulator import PubSubEmulator

_LIVES = {"level-3": (parties(3, 3), 5), "level-2": (parties(2, 3), 4)}
"""Each transfer's pair, and the calls that its life takes (a level-2 pair completes when it executes)."""


def test_the_whole_way_on_both_emulators(
    tmp_path: Path, anvil: Anvil, escrow: EscrowClient, pubsub_emulator: PubSubEmulator
) -> None:
    """From logs to states by push and trigger; a deleted event is put right; then all is straight."""
    found = parts.require("firestore_emulator").found
    assert found
    if not found.endswith(".jar"):
        pytest.skip("a running Firestore emulator cannot be told where to post its triggers")
    project, port = f"p-{uuid.uuid4().hex[:20]}", _free_port()
    contracts = write_contract_file(tmp_path / "contracts", 31337, escrow.address, 1, Finality(depth=0))
    with Forwarder() as forwarder, FirestoreEmulator(found, tmp_path, forwarder.host) as firestore:
        register_trigger(firestore.host, project)
        bus = PubSubBus(project, emulator_host=pubsub_emulator.host)
        bus.ensure_topology()
        _push_to(bus, f"http://127.0.0.1:{port}/handle_chain_event")
        documents = FirestoreDocuments(project, client=firestore.client(project))
        children = Children(
            {
                **os.environ,
                "FIRESTORE_EMULATOR_HOST": firestore.host,
                "PUBSUB_EMULATOR_HOST": pubsub_emulator.host,
                "PLUMBLINE_STORE": f"firestore://{project}",
                "PLUMBLINE_BUS": f"pubsub://{project}",
                "PLUMBLINE_CONTRACTS": str(contracts),
                "PLUMBLINE_RPC_31337": anvil.rpc_url,
                "PLUMBLINE_POLL_S": "0.1",
            }
        )
        try:
            children.add("functions", "shared.local.serve", "--port", str(port))
            wait_until_served(port)
            forwarder.target = f"127.0.0.1:{port}"
            children.add("listener", "shared.local.listen")
            _start(documents)
            for name, (pair, calls) in _LIVES.items():
                escrow.run(whole_life(name, pair)[:calls])
            wait_until(lambda: _states(documents) == [8, 8], "both states are 8")
            # The handler has projected them already; the triggers come all the same, and are accepted.
            wait_until(lambda: forwarder.forwarded >= 14, "every event's trigger was delivered")

            minted = _kinds(documents, "level-3")["blockchain.v5.minted"]
            documents.delete(EVENTS, minted)
            report = reconcile_over_http(port, {"block": "latest"})
            assert report["causes"].get("event_deleted") == 1
            assert documents.get(EVENTS, minted)
            assert "blockchain.v5.minted" not in _kinds(documents, "level-2")
            assert _states(documents) == [8, 8]
            assert is_straight(reconcile_over_http(port, {"block": "latest"}))
            assert not projection_on(documents).rebuild_all(check_only=True).different
        finally:
            children.stop()
            documents.close()
            bus.close()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _push_to(bus: PubSubBus, endpoint: str) -> None:
    name = bus._subscription_path(HANDLE_CHAIN_EVENT)
    request = {"subscription": name, "push_config": {"push_endpoint": endpoint}}
    bus._subscriber().modify_push_config(request=request)


def _start(documents: FirestoreDocuments) -> None:
    """Start and map the transfers as the application does."""
    log = EventLog(documents, SystemClock(), "application")
    for name in _LIVES:
        log.append({**started_event(name), "eventId": f"started-{name}"})
        documents.put(MAPPINGS, transfer_hash(name), {"transferId": name})


def _states(documents: FirestoreDocuments) -> list[int]:
    return [state["contractState"] for state in documents.get_many(STATES, _LIVES).values()]


def _kinds(documents: FirestoreDocuments, name: str) -> dict[str, str]:
    """Return the ids of a transfer's events by type."""
    found = documents.query(EVENTS, Query(where=(("rolloverId", name),)))
    return {event["eventType"]: key for key, event in found}
