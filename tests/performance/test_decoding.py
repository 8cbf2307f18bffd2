"""Decoding a log by its compiled decoder, against web3.py walking the ABI for each log, in one run."""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode
from hexbytes import HexBytes
from web3 import Web3

from tests.support.contracts import ESCROW, escrow_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 1_000
LEAST_RATIO = 8
FUNDS = "(uint256,uint256,uint256,uint256,uint256,uint16)"
EVENTS = [
    ("executed", "TransferExecuted", ["uint256", "uint256"], [1_000_000, 1_700_000_000]),
    (
        "financial",
        "FinancialDetailsProvided",
        ["uint256", FUNDS, "uint256", "uint256"],
        [10, (1, 2, 3, 4, 10, 2025), 5, 6],
    ),
]


def _best_s(decode: Callable[[Any], Any], log: object) -> float:
    return min(timeit.repeat(lambda: decode(log), number=ROUNDS, repeat=5)) / ROUNDS


@pytest.mark.parametrize(("step", "event", "types", "values"), EVENTS)
def test_a_compiled_decoder_outruns_the_generic_one(
    tmp_path: Path, step: str, event: str, types: list[str], values: list[object]
) -> None:
    """From raw log to step and fields takes at most an eighth of web3.py's time for the same log."""
    spec = escrow_spec(tmp_path)
    topics, data = [spec.topics_of(step)[0], "0x" + "ab" * 32], "0x" + encode(types, values).hex()
    contract = Web3().eth.contract(abi=spec.abi, address=Web3.to_checksum_address(ESCROW))
    log = {
        "address": ESCROW,
        "topics": [HexBytes(topic) for topic in topics],
        "data": HexBytes(data),
        "logIndex": 0,
        "transactionIndex": 0,
        "blockNumber": 1,
        "blockHash": HexBytes(b"\1" * 32),
        "transactionHash": HexBytes(b"\2" * 32),
    }
    generic = _best_s(contract.events[event]().process_log, log)
    ours = _best_s(spec.decode, {"topics": topics, "data": data})
    assert generic / ours >= LEAST_RATIO, f"{ours * 1e6:.1f} µs against {generic * 1e6:.1f} µs"
    print(f"{step}: {ours * 1e6:.1f} µs against {generic * 1e6:.1f} µs, {generic / ours:.0f} times")  # noqa: T201
