"""SIGKILL, the real one: every process of the laptop's cloud, at any moment, while transfers go on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from shared.app.event_log import MAPPINGS
from shared.domain.events import CHAIN_TYPES, EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.log_coordinates import id_of_log
from shared.domain.state import STATES
from shared.local.escrow import calldata
from shared.local.running import RunningLocal
from shared.ports import Query
from tests.support.chain import parties

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shared.bootstrap import Plumbline
    from shared.local.escrow.client import EscrowClient

_CHAIN: Final = 31337
_MODULES: Final = {
    "functions": "shared.local.serve",
    "listener": "shared.local.listen",
    "delivery": "shared.local.deliver",
}
_ROUNDS: Final = 3
_SETTLED_WITHIN_S: Final = 75.0
"""Mostly a few seconds; what a dead delivery held comes again after its ack deadline of 60 s."""
_SETTINGS: Final = {"PLUMBLINE_LISTENER_LEASE_S": "1", "PLUMBLINE_POLL_S": "0.1"}


def _until(reached: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _processes(local: RunningLocal, victim: str) -> list[int]:
    """Return the process of this name below the supervisor, and the workers below it; it restarts anew."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    found = [int(pid) for pid, ppid, args in rows if int(ppid) == local.pid and _MODULES[victim] in args]
    return found + [int(pid) for pid, ppid, _ in rows if int(ppid) in found]


def _kill_one(local: RunningLocal, victim: str, chance: random.Random) -> None:
    assert _until(lambda: bool(_processes(local, victim)), 10), f"{victim} was not started again"
    processes = _processes(local, victim)
    if processes:
        os.kill(chance.choice(processes), signal.SIGKILL)


def _has_events(parts: Plumbline, count: int) -> bool:
    return parts.documents.count(EVENTS) >= count


def _start(parts: Plumbline, transfer_id: str) -> None:
    event = {
        "eventId": f"started-{transfer_id}",
        "eventType": "rollover.started",
        "rolloverId": transfer_id,
        "timestamp": "2026-01-01T00:00:00Z",
        "sourceCustodianId": "alpha",
        "destinationCustodianId": "beta",
        "data": {},
    }
    parts.documents.create(MAPPINGS, transfer_hash(transfer_id), {"transferId": transfer_id})
    parts.event_log("application").append(event)


def _transfers_while_killing(local: RunningLocal, parts: Plumbline, escrow: EscrowClient) -> list[str]:
    """Let transfers go on, and kill each process several times amid what they cause; return their ids."""
    chance = random.Random(20261123)
    victims = [name for name in _MODULES for _ in range(_ROUNDS)]
    chance.shuffle(victims)
    pair = parties(3, 3)
    for custodian in (pair.sender, pair.receiver):
        escrow.set_custodian_level(custodian, 3)
    transfers = []
    for number, victim in enumerate(victims):
        transfer_id = f"transfer-{number}"
        transfers.append(transfer_id)
        _start(parts, transfer_id)
        before = parts.documents.count(EVENTS)
        calls = calldata.whole_life(transfer_id, pair)
        for call in calls[: chance.randint(2, len(calls))]:
            escrow.transact(call)
        # In the midst of it: once some of its events are stored, unless others are still down.
        amid = before + chance.randint(0, 3)
        _until(partial(_has_events, parts, amid), 1.0)
        _kill_one(local, victim, chance)
    return transfers


def test_sigkill_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Nine kills later every state is the contract's, and each canonical log is exactly one event."""
    options = ("--reconcile-every", "0")
    with (
        RunningLocal(tmp_path / "home", options, _SETTINGS) as local,
        local.parts() as parts,
        local.escrow() as escrow,
    ):
        transfers = _transfers_while_killing(local, parts, escrow)
        wanted = {name: escrow.get_transfer_state(name) for name in transfers}

        def states() -> dict[str, int]:
            found = parts.documents.get_many(STATES, transfers, fields=("contractState",))
            return {name: state["contractState"] for name, state in found.items()}

        _until(lambda: states() == wanted, _SETTLED_WITHIN_S)
        assert states() == wanted, local.last_words()
        chain = parts.chain(_CHAIN)
        logs = chain.logs(0, chain.head().number, [escrow.address], [list(parts.registry.contracts[0].rules)])
        stored = [
            key
            for kind in CHAIN_TYPES
            for key, _ in parts.documents.query(EVENTS, Query(where=(("eventType", kind),), fields=()))
        ]
        assert sorted(stored) == sorted(id_of_log(_CHAIN, log) for log in logs)
        assert parts.documents.count(EVENTS) == len(logs) + len(transfers)
        assert local.command("rebuild", "--check").returncode == 0
        report = parts.reconcile.run(manual=True)
        assert (report["mismatchCount"], report["errorCount"], report["checked"]) == (0, 0, len(transfers))
        assert parts.dead_letters.list(10) == []
