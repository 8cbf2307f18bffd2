"""What proves a block: its hash from its header's fields, and its receipts' root from its receipts.

The yellow paper, sections 4.3.1 to 4.3.4, with the EIPs named below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.domain.hashing import keccak_256
from shared.domain.rlp import encode, ordered_root, shortest
from shared.errors import DoubtfulAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_QUANTITY: Final = 0
_ANY_LENGTH: Final = -1
_HASH: Final = 32
# In the order in which they are hashed, each with its length in bytes.
_FIELDS: Final = (
    ("parentHash", _HASH),
    ("sha3Uncles", _HASH),
    ("miner", 20),
    ("stateRoot", _HASH),
    ("transactionsRoot", _HASH),
    ("receiptsRoot", _HASH),
    ("logsBloom", 256),
    ("difficulty", _QUANTITY),
    ("number", _QUANTITY),
    ("gasLimit", _QUANTITY),
    ("gasUsed", _QUANTITY),
    ("timestamp", _QUANTITY),
    ("extraData", _ANY_LENGTH),
    ("mixHash", _HASH),
    ("nonce", 8),
)
_LATER_FIELDS: Final = (
    ("baseFeePerGas", _QUANTITY),  # EIP-1559
    ("withdrawalsRoot", _HASH),  # EIP-4895
    ("blobGasUsed", _QUANTITY),  # EIP-4844
    ("excessBlobGas", _QUANTITY),  # EIP-4844
    ("parentBeaconBlockRoot", _HASH),  # EIP-4788
    ("requestsHash", _HASH),  # EIP-7685
)
_LAST_TYPE: Final = 0x7F  # EIP-2718
_DEPOSIT: Final = 0x7E  # OP Stack specification, "Deposits"
_STATUS: Final = {0: b"", 1: b"\x01"}  # EIP-658


def recomputed_hash(block: Mapping[str, Any]) -> str | None:
    """Return the hash of a JSON block's header, None where a field is missing or not as it should be.

    A chain whose headers have other fields gets a hash that is not the block's.
    """
    try:
        header = [_field(block[name], length) for name, length in _FIELDS]
        header += [
            _field(block[name], length) for name, length in _LATER_FIELDS if block.get(name) is not None
        ]
    except (KeyError, TypeError, ValueError):
        return None
    return "0x" + keccak_256(encode(header)).hex()


def receipts_root(receipts: Sequence[Mapping[str, Any]]) -> str:
    """Return the root of a block's JSON receipts, given in order.

    It covers status, gas, bloom and, of the logs, address, topics, data and order; nothing else of them.
    Raises DoubtfulAnswer where a receipt is not whole.
    """
    try:
        encoded = [_prefix(receipt) + encode(_receipt(receipt)) for receipt in receipts]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DoubtfulAnswer(f"a receipt that is not whole: {type(error).__name__} {error}") from error
    return "0x" + ordered_root(encoded).hex()


def _prefix(receipt: Mapping[str, Any]) -> bytes:
    kind = _type(receipt)
    return bytes([kind]) if kind else b""  # EIP-2718; a receipt of before it has no type


def _type(receipt: Mapping[str, Any]) -> int:
    kind = int(receipt.get("type") or "0x0", 16)
    if not 0 <= kind <= _LAST_TYPE:
        raise ValueError(f"type {kind}")
    return kind


def _receipt(receipt: Mapping[str, Any]) -> list[Any]:
    status = receipt.get("status")
    fields = [
        # Before Byzantium the state's root stood where the status stands now.
        _field(receipt["root"], _HASH) if status is None else _STATUS[int(status, 16)],
        _field(receipt["cumulativeGasUsed"], _QUANTITY),
        _field(receipt["logsBloom"], 256),
        [_log(log) for log in receipt["logs"]],
    ]
    if _type(receipt) == _DEPOSIT and receipt.get("depositReceiptVersion") is not None:
        # Since Canyon; before, the nonce was told and not hashed.
        fields += [_field(receipt[name], _QUANTITY) for name in ("depositNonce", "depositReceiptVersion")]
    return fields


def _log(log: Mapping[str, Any]) -> list[Any]:
    topics = [_field(topic, _HASH) for topic in log["topics"]]
    return [_field(log["address"], 20), topics, _field(log["data"], _ANY_LENGTH)]


def _field(value: str, length: int) -> bytes:
    if value[:2] != "0x":
        raise ValueError("not hex")
    if length == _QUANTITY:
        return shortest(int(value, 16))
    data = bytes.fromhex(value[2:])
    if len(data) != (len(value) - 2) / 2 or length not in (_ANY_LENGTH, len(data)):
        raise ValueError(f"{len(data)} bytes")
    return data
