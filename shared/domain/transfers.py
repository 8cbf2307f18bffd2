"""How a transfer is found in the store: where its state is, and which id belongs to its hash.

Apart from the fold and the append, so that who only looks something up need not import those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.domain.hashing import is_hash, transfer_hash
from shared.domain.keys import can_be_key

if TYPE_CHECKING:
    from collections.abc import Mapping

STATES: Final = "rollover_states"
MAPPINGS: Final = "transfer_hash_mappings"


def mapped_id(key: str, mapping: Mapping[str, Any]) -> str | None:
    """Return the transfer that a mapping gives to its key, the hash; None where it is no transfer of it.

    The hash is the id's own keccak, so a mapping to any other transfer is a mistake, and to follow it would
    give one transfer the history of another.
    """
    told = mapping.get("transferId")
    if not isinstance(told, str) or not can_be_key(told):
        return None
    return told if transfer_hash(told) == key else None


def is_misfit(key: str, mapping: Mapping[str, Any]) -> bool:
    """Say whether a hash is mapped to the transfer of another one; one that says nothing is none."""
    told = mapping.get("transferId")
    return is_hash(key) and isinstance(told, str) and can_be_key(told) and transfer_hash(told) != key
