"""A block's hash from its header, and its receipts' root from its receipts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.block_proof import receipts_root, recomputed_hash
from shared.adapters.ethereum_shapes import read_header
from shared.domain.bloom import bloom_of
from shared.errors import DoubtfulAnswer
from tests.support.blocks import recorded

ANVIL = ("block_0", "block_1", "block_40", "block_300", "types")
HEADERS = [
    *recorded("mainnet"),
    recorded("geth")["plain"]["block"],
    recorded("geth")["requests"]["block"],
    *(recorded(name)["block"] for name in ANVIL),
]
LATEST = recorded("types")["block"]
HASHED = [
    name
    for name in LATEST
    if name not in ("hash", "totalDifficulty", "size", "uncles", "transactions", "withdrawals")
]
TYPES = recorded("types")["receipts"]
NO_BLOOM = "0x" + "00" * 256
LOG = {"address": "0x" + "00" * 20, "topics": ["0x" + "00" * 32], "data": "0x"}


def receipt(kind: int, gas: int, **changed: Any) -> dict[str, Any]:
    """Return a receipt of a type, without logs."""
    fields = {"type": hex(kind), "status": "0x1", "cumulativeGasUsed": hex(gas), "logsBloom": NO_BLOOM}
    return fields | {"logs": []} | changed


@pytest.mark.parametrize("block", HEADERS, ids=lambda block: str(int(block["number"], 16)))
def test_headers_of_every_age_are_recomputed(block: dict[str, Any]) -> None:
    """Headers of mainnet, geth and anvil, from Frontier to EIP-7685, have the hash of their fields."""
    assert recomputed_hash(block) == block["hash"]
    header = read_header(block)
    assert header is not None
    assert header.recomputed
    assert header.receipts_root == block["receiptsRoot"]
    assert header.logs_bloom == bytes.fromhex(block["logsBloom"][2:])


@pytest.mark.parametrize("name", HASHED)
def test_a_changed_field_is_noticed(name: str) -> None:
    """A header of which one field is another, missing or nonsense has not the hash that it claims."""
    value = LATEST[name]
    last = "1" if value[-1] == "0" else "0"
    others = [value[:-1] + last if len(value) > 2 else "0x11", None, "0xzz", "", 7, [], {}]
    for other in others:
        assert recomputed_hash({**LATEST, name: other}) != LATEST["hash"]
    assert (
        recomputed_hash({field: value for field, value in LATEST.items() if field != name}) != LATEST["hash"]
    )


def test_a_header_that_tells_less_is_still_a_header() -> None:
    """Where bloom and root are missing or odd the header is read, and is not proved."""
    known = {name: LATEST[name] for name in ("number", "hash", "parentHash", "timestamp")}
    for odd in ({}, {"logsBloom": None, "receiptsRoot": None}, {"logsBloom": "0x"}):
        header = read_header({**known, **odd})
        assert header is not None
        assert not header.recomputed
        assert header.logs_bloom is None
        assert header.receipts_root is None


@pytest.mark.parametrize("name", ANVIL)
def test_roots_of_anvil(name: str) -> None:
    """Blocks of 0 to 300 receipts, and one with transactions of all types 0 to 4, give their own root."""
    block = recorded(name)
    assert receipts_root(block["receipts"]) == block["block"]["receiptsRoot"]


def test_a_root_of_geth() -> None:
    """A block that geth made gives its own root."""
    block = recorded("geth")["plain"]
    assert receipts_root(block["receipts"]) == block["block"]["receiptsRoot"]


def test_roots_of_alloy() -> None:
    """The vectors of alloy (check_receipt_root_optimism) and reth (receipt_root_task) come out."""
    alone = receipt(1, 102_068, logsBloom="0x" + "00" * 255 + "01", logs=[{**LOG, "topics": []}])
    assert receipts_root([alone]) == "0xfe70ae4a136d98944951b2123859698d59ad251a381abc9960fa81cae3d0d4a0"
    mixed = [
        receipt(0, 21_000),
        receipt(2, 42_000, logsBloom="0x" + bloom_of([LOG]).hex(), logs=[LOG]),
        receipt(1, 63_000, status="0x0"),
    ]
    assert receipts_root(mixed) == "0xa4746a21d06f407a22200fed3491774c1b455736af092b7dcd7565de6b11da0c"


def test_receipts_of_before_byzantium() -> None:
    """A receipt without a status is hashed with the state's root in its place."""
    old = {**receipt(0, 21_000), "root": "0x" + "ab" * 32}
    del old["type"], old["status"]
    assert receipts_root([old]) != receipts_root([{**old, "root": "0x" + "ac" * 32}])
    assert receipts_root([{**old, "status": None}]) == receipts_root([old])
    assert receipts_root([{**old, "status": "0x1"}]) == receipts_root([receipt(0, 21_000)])


def test_deposits_of_the_op_stack() -> None:
    """A deposit's nonce and version are hashed since Canyon, which is when the version is told."""
    plain = receipt(0x7E, 46_913)
    before = receipts_root([plain])
    assert receipts_root([{**plain, "depositNonce": "0x3d3bff"}]) == before
    since = {**plain, "depositNonce": "0x3d3bff", "depositReceiptVersion": "0x1"}
    assert receipts_root([since]) != before
    assert receipts_root([since]) != receipts_root([{**since, "depositNonce": "0x3d3c00"}])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "0x80"), ("type", "two"), ("status", "0x2"), ("status", 1), ("cumulativeGasUsed", None),
        ("logsBloom", "0x"), ("logs", None), ("logs", [None]), ("logs", [{**LOG, "data": "0x0"}]),
        ("logs", [{**LOG, "data": "0xab cd"}]), ("logs", [{**LOG, "address": "0x"}]),
        ("logs", [{**LOG, "topics": [7]}]), ("logs", [{**LOG, "topics": None}]),
    ],
)  # fmt: skip
def test_a_receipt_that_is_not_whole(name: str, value: Any) -> None:
    """Nonsense in a receipt is the endpoint's fault, told as such."""
    with pytest.raises(DoubtfulAnswer, match="not whole"):
        receipts_root([{**receipt(2, 21_000), name: value}])


@given(st.data())
def test_what_becomes_of_a_log_is_noticed(data: st.DataObject) -> None:
    """Receipts of which a log was dropped, altered, added or moved have another root."""
    receipts = deepcopy(TYPES)
    at = data.draw(st.integers(0, len(receipts) - 1), "receipt")
    logs = receipts[at]["logs"]
    match data.draw(st.sampled_from(["drop", "double", "add", "move", "address", "topics", "data"]), "what"):
        case "drop":
            del logs[0]
        case "double":
            logs.append(logs[0])
        case "add":
            logs.insert(data.draw(st.integers(0, 1)), LOG)
        case "move":
            receipts[(at + data.draw(st.integers(1, 4))) % 5]["logs"].append(logs.pop())
        case "address":
            logs[0]["address"] = flipped(data, logs[0]["address"])
        case "topics":
            i = data.draw(st.integers(0, len(logs[0]["topics"]) - 1))
            logs[0]["topics"][i] = flipped(data, logs[0]["topics"][i])
        case "data":
            logs[0]["data"] = flipped(data, logs[0]["data"])
    assert receipts_root(receipts) != recorded("types")["block"]["receiptsRoot"]


@given(st.integers(0, 3), st.integers(1, 4))
def test_receipts_that_change_places_are_noticed(at: int, by: int) -> None:
    """The root tells the order of the receipts, and that none is missing."""
    receipts = list(TYPES)
    other = (at + by) % 5
    receipts[at], receipts[other] = receipts[other], receipts[at]
    assert receipts_root(receipts) != LATEST["receiptsRoot"]
    del receipts[at]
    assert receipts_root(receipts) != LATEST["receiptsRoot"]


def flipped(data: st.DataObject, value: str) -> str:
    """Return hex data of the same length with another digit somewhere."""
    at = data.draw(st.integers(2, len(value) - 1), "digit")
    return value[:at] + ("1" if value[at] == "0" else "0") + value[at + 1 :]
