"""Blocks as nodes gave them: block, receipts and logs, with hashes and roots that Plumbline did not make.

``mainnet``: headers of Ethereum's mainnet before London, at London, and of Cancun (blocks 200,000, 12,965,000
and 21,925,176), as they stand in the test data of nimbus-eth1 and helios. ``geth``: blocks of the chain of
ethereum/execution-apis, made by geth, the last one with EIP-7685 requests. The others are anvil's:
``python -m tests.support.blocks`` records them anew.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def recorded(name: str) -> Any:
    """Return what is recorded under this name."""
    path = FOLDER / f"{name}.json"
    text = path.read_bytes() if path.is_file() else gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes())
    return json.loads(text)
