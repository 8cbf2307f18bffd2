"""A real chain for tests: a fresh anvil, and the escrow contract deployed on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.local.anvil import Anvil
from shared.local.escrow.calldata import Parties
from shared.local.escrow.client import EscrowClient

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTODIANS = {level: "0x" + f"{level:02x}" * 20 for level in range(1, 4)}
"""Three custodians whose level is their key, once ``escrow`` has set them."""
OTHER_CUSTODIANS = {level: "0x" + f"{level:02x}" * 19 + "ff" for level in range(1, 4)}
"""Their counterparts of the same levels."""


def parties(sender_level: int, receiver_level: int) -> Parties:
    """Return a pair of custodians of these levels (1 to 3)."""
    return Parties(CUSTODIANS[sender_level], OTHER_CUSTODIANS[receiver_level])


def deploy_escrow(anvil: Anvil) -> EscrowClient:
    """Deploy the escrow and set the level of every custodian named above."""
    client = EscrowClient.deploy(anvil.rpc)
    for named in (CUSTODIANS, OTHER_CUSTODIANS):
        for level, custodian in named.items():
            client.set_custodian_level(custodian, level)
    return client


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    """Start a chain of the test's own, which mines every transaction at once."""
    with Anvil() as node:
        yield node


@pytest.fixture
def escrow(anvil: Anvil) -> EscrowClient:
    """Deploy the escrow on ``anvil``, with the custodians' levels set."""
    return deploy_escrow(anvil)


@pytest.fixture(scope="module")
def shared_anvil() -> Iterator[Anvil]:
    """Start a chain for a whole module, whose tests use transfers of their own."""
    with Anvil() as node:
        yield node


@pytest.fixture(scope="module")
def shared_escrow(shared_anvil: Anvil) -> EscrowClient:
    """Deploy the escrow on ``shared_anvil``."""
    return deploy_escrow(shared_anvil)
