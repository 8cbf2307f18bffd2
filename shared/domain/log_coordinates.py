"""Where a log stands on its chain, checked field by field, and the id of the event that it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from shared.domain.hashing import digest
from shared.domain.limits import SAFE_INTEGER
from shared.errors import UndecodableLog

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEX: Final = re.compile(r"0x[0-9a-fA-F]*")
_ADDRESS_DIGITS: Final = 42
_HASH_DIGITS: Final = 66


def event_id(chain_id: int, contract: str, block_hash: str, transaction_hash: str, log_index: int) -> str:
    """Return the id of the event that a log is."""
    return digest([chain_id, contract.lower(), block_hash.lower(), transaction_hash.lower(), log_index])


def hex_number(value: object, field: str) -> int:
    """Read a JSON-RPC quantity; raises UndecodableLog naming the field."""
    if isinstance(value, str):
        if value[:2] == "0x":
            try:
                return int(value, 16)
            except ValueError:
                pass
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UndecodableLog(f"log field {field} is not a quantity: {value!r}")


def number_below(limit: int, value: object, field: str) -> int:
    """Read a quantity from 0 to below ``limit``; raises UndecodableLog naming the log's field."""
    number = hex_number(value, field)
    if not 0 <= number < limit:
        raise UndecodableLog(f"log field {field} is out of range: {number}")
    return number


def _hex_string(value: object, field: str, digits: int) -> str:
    if isinstance(value, str) and len(value) == digits and _HEX.fullmatch(value):
        return value.lower()
    raise UndecodableLog(f"log field {field} is not {digits // 2 - 1} bytes of hex: {value!r}")


def log_coordinates(chain_id: int, log: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a raw log stands, as fields of an event's ``data``; UndecodableLog names what is off."""
    return {
        "chainId": chain_id,
        "contract": _hex_string(log.get("address"), "address", _ADDRESS_DIGITS),
        "blockNumber": number_below(SAFE_INTEGER, log.get("blockNumber"), "blockNumber"),
        "blockHash": _hex_string(log.get("blockHash"), "blockHash", _HASH_DIGITS),
        "transactionHash": _hex_string(log.get("transactionHash"), "transactionHash", _HASH_DIGITS),
        # Chains number the logs of their own doing from the top of 32 bits down (0xffffffe2 on Gnosis).
        "logIndex": number_below(SAFE_INTEGER, log.get("logIndex"), "logIndex"),
    }


def id_of_log(chain_id: int, log: Mapping[str, Any]) -> str:
    """Return the event id of a raw log."""
    return id_at(log_coordinates(chain_id, log))


def id_at(at: Mapping[str, Any]) -> str:
    """Return the event id of a log by its coordinates (see ``log_coordinates``)."""
    return event_id(at["chainId"], at["contract"], at["blockHash"], at["transactionHash"], at["logIndex"])
