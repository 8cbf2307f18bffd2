"""The two hashes of Plumbline: keccak-256 for what the chain names, SHA-256 for what we name."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import orjson
import sha3

_HASH: Final = re.compile(r"0x[0-9a-f]{64}")


def keccak_256(data: bytes) -> bytes:
    """Return the 32 bytes of Ethereum's keccak-256 (the padding of before FIPS 202)."""
    digested: bytes = sha3.keccak_256(data).digest()
    return digested


@lru_cache(maxsize=4096)
def transfer_hash(transfer_id: str) -> str:
    """Return the hash under which the contract knows a transfer: keccak256 of the id's UTF-8 bytes."""
    return "0x" + keccak_256(transfer_id.encode()).hex()


def is_hash(text: str) -> bool:
    """Say whether a text is a hash as we spell it; an id that merely begins with 0x is none."""
    return _HASH.fullmatch(text) is not None


def canonical_json(value: Any) -> bytes:
    """Return the one spelling of a JSON value: sorted keys, no spaces, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON, as 64 hex digits."""
    return sha256(canonical_json(value)).hexdigest()
