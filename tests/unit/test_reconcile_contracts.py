"""Several contracts at once: a transfer that none of them owns yet is judged by the one that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.app.reconcile_report import is_straight
from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.hashing import transfer_hash
from tests.support.world import ADDRESS, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.every_store

OTHER = "0x" + "b0" * 20
SENT = "0x" + "31" * 32


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world of two contracts, with a transfer whose agreement the application told on its own."""
    made = World(tmp_path / "one")
    for address in (ADDRESS, OTHER):
        write_contract_file(tmp_path / "two", 1, address, 1, Finality(depth=0))
        made.chain.deploy(address)
    made.registry = load_registry(tmp_path / "two")
    made.start("a")
    told = {
        "eventId": "told", "eventType": "blockchain.v5.agreement", "rolloverId": "a",
        "timestamp": "2023-11-14T22:10:00Z", "data": {"isSender": True, "transactionHash": SENT},
    }  # fmt: skip
    made.log.append(told)
    made.projection.project([told])
    return made


def _agree(world: World, address: str) -> None:
    key = transfer_hash("a")
    header = world.chain.mine(
        [{**world._log(key, "agree_send"), "address": address, "transactionHash": SENT}]
    )
    world.chain.set_state(header.number, address, key, 2)
    world.chain.mine_empty(3)


@pytest.mark.parametrize("address", [ADDRESS, OTHER])
def test_what_another_contract_knows_is_not_taken_back(world: World, address: str) -> None:
    """Whichever contract is read first: an event that says no contract is true of the one that moved."""
    _agree(world, address)
    report = world.run()
    # Its log is found, which outranks what the application told.
    assert (report["supersededCount"], report["createdCount"]) == (0, 1)
    assert is_straight(world.run())
    assert (world.state("a") or {})["status"] == "awaiting_receiver"


def test_what_no_contract_knows_is_taken_back(world: World) -> None:
    """An event that is true of none of the contracts is superseded, once."""
    world.chain.mine_empty(200)
    report = world.run()
    assert (report["supersededCount"], report["causes"]) == (1, {"ahead_of_chain": 1})
    assert (world.state("a") or {})["status"] == "started"
    assert is_straight(world.run())


def test_a_contract_outside_the_registry_is_told_of(world: World) -> None:
    """A contract that nobody configured puts a state where no page looks: an error says so."""
    told = {
        "eventId": "strange", "eventType": "blockchain.v5.executed", "rolloverId": "a",
        "timestamp": "2023-11-14T22:10:00Z", "data": {"chainId": 1, "contract": "0x" + "77" * 20},
    }  # fmt: skip
    world.chain.mine()
    world.log.append(told)
    world.projection.project([told])
    reports = (world.run(), world.reconcile.run(), world.reconcile.run_one("a"))
    for report in reports:
        assert [error["where"] for error in report["errors"]] == ["a"]
        assert "0x7777" in report["errors"][0]["error"]
    assert len(world.alerts.sent) == 2
