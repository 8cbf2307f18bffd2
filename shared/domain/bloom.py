"""The logs bloom of a block or a receipt: 2048 bits that have no false negatives.

Ethereum's yellow paper, section 4.3.1 (function M3:2048): each address and each topic of each log sets three
bits; a bit's position is the low 11 bits of one of the first three pairs of bytes of the item's keccak-256,
counted from the last bit of the 256 bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared.domain.hashing import keccak_256

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOOM_BYTES: Final = 256
_LAST_BIT: Final = 2047
_PAIRS: Final = (0, 2, 4)
_KEPT: Final = 4096


def may_hold(bloom: bytes, address: str) -> bool:
    """Say whether logs of this address (20 bytes, hex with 0x) can be under the bloom; False is certain."""
    mask = _mask(address.lower())
    return int.from_bytes(bloom) & mask == mask


def bloom_of(logs: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the bloom of these logs; KeyError, TypeError or ValueError where one is not whole."""
    bits = 0
    for log in logs:
        bits |= _mask(log["address"])
        for topic in log["topics"]:
            bits |= _mask(topic)
    return bits.to_bytes(BLOOM_BYTES)


@lru_cache(maxsize=_KEPT)
def _mask(item: str) -> int:
    digest = keccak_256(bytes.fromhex(item[2:]))
    mask = 0
    for i in _PAIRS:
        mask |= 1 << (int.from_bytes(digest[i : i + 2]) & _LAST_BIT)
    return mask
