"""Blocks, as far as Plumbline reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Header:
    """A block header; ``timestamp`` in seconds since 1970 (UTC), hashes lower-case with 0x."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
