"""Blocks, as far as Plumbline reads them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Header:
    """A block header; ``timestamp`` in seconds since 1970 (UTC), hashes lower-case with 0x.

    ``logs_bloom`` (256 bytes) and ``receipts_root`` are None where the node does not tell them;
    ``recomputed`` says that the hash was recomputed from all the fields, which are therefore genuine.
    ``base_fee_wei`` is None on a legacy chain, the gas fields where the node does not tell them.
    Two headers of one hash are equal, however much is known of each.
    """

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    logs_bloom: bytes | None = field(default=None, compare=False, repr=False)
    receipts_root: str | None = field(default=None, compare=False, repr=False)
    recomputed: bool = field(default=False, compare=False)
    base_fee_wei: int | None = field(default=None, compare=False, repr=False)
    gas_used: int | None = field(default=None, compare=False, repr=False)
    gas_limit: int | None = field(default=None, compare=False, repr=False)
