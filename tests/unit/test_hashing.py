"""The hashes, and what loading them costs nobody else."""

from __future__ import annotations

import subprocess
import sys

from shared.domain.hashing import keccak_256

_FRESH = """
import sys
from shared.domain.hashing import keccak_256
keccak_256(b"")
assert "cffi" not in sys.modules
import cffi
assert keccak_256(b"") == keccak_256(b"")
"""


def test_keccak_is_ethereums() -> None:
    """The hash of nothing is the one that Ethereum knows for empty code."""
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak_256(b"").hex() == empty


def test_keccak_loads_no_parser_and_takes_it_from_nobody() -> None:
    """A cold start does without cffi, and whoever imports it afterwards has it."""
    subprocess.run([sys.executable, "-c", _FRESH], check=True)
