"""The listener as a process: how it ends, and what it says when it cannot go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.adapters.sqlite import SqliteDocuments
from shared.app.chain_heads import CHAIN_HEADS
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from tests.support.triggers import PROVIDER_KEY
from tests.support.world import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.local.anvil import Anvil

_ROOT = Path(__file__).resolve().parents[2]
_MAIN = _ROOT / "functions" / "listen_chain" / "main.py"
_DEADLINE_S = 30.0


@contextmanager
def listening(home: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run the listener on a store of its own, and leave no process behind."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    environ |= {"PLUMBLINE_STORE": f"sqlite:///{home / 'store.sqlite'}", "K_SERVICE": "listen-chain"}
    with subprocess.Popen(
        [sys.executable, str(_MAIN)],
        env={**environ, **settings},
        cwd=home,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _contracts(home: Path, chain_id: int) -> str:
    return str(write_contract_file(home / "contracts", chain_id, ADDRESS, 1, Finality(depth=0)))


def _read(home: Path, chain_id: int, process: subprocess.Popen[str]) -> None:
    documents = SqliteDocuments(home / "store.sqlite")
    deadline = time.monotonic() + _DEADLINE_S
    try:
        while documents.get(CHAIN_HEADS, str(chain_id)) is None:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline, "the listener read nothing"
            time.sleep(0.02)
    finally:
        documents.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_well(tmp_path: Path, anvil: Anvil, number: signal.Signals) -> None:
    """While it follows a chain a signal ends it with exit code 0, and it says nothing of trouble."""
    rpc = {"PLUMBLINE_RPC_31337": anvil.rpc_url}
    with listening(tmp_path, PLUMBLINE_CONTRACTS=_contracts(tmp_path, 31337), **rpc) as process:
        _read(tmp_path, 31337, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=_DEADLINE_S)
    assert process.returncode == 0
    assert "Traceback" not in said


def test_told_to_stop_while_the_node_is_away_it_ends_well(tmp_path: Path) -> None:
    """A node that does not answer is waited for, keeps the provider's key, and does not hold up the end."""
    rpc = {"PLUMBLINE_RPC_1": f"http://127.0.0.1:9/v2/{PROVIDER_KEY}", "PLUMBLINE_REQUEST_TIMEOUT_S": "1"}
    with listening(tmp_path, PLUMBLINE_CONTRACTS=_contracts(tmp_path, 1), **rpc) as process:
        said = process.stderr.readline() if process.stderr else ""
        assert json.loads(said)["severity"] in ("WARNING", "ERROR")
        process.terminate()
        _, rest = process.communicate(timeout=_DEADLINE_S)
    assert process.returncode == 0
    assert PROVIDER_KEY not in said + rest


def test_a_setting_that_is_wrong_stops_the_start(tmp_path: Path) -> None:
    """The exit code says so, and the message names the variable."""
    with listening(tmp_path, PLUMBLINE_CONTRACTS=_contracts(tmp_path, 1)) as process:
        _, said = process.communicate(timeout=_DEADLINE_S)
    assert process.returncode != 0
    assert "PLUMBLINE_RPC_1 is not set" in said


def test_where_a_chain_cannot_go_on_the_exit_code_says_so(tmp_path: Path, anvil: Anvil) -> None:
    """A node of another network ends the listener with code 1 and one redacted line of JSON."""
    rpc = {"PLUMBLINE_RPC_1": f"{anvil.rpc_url}/?key={PROVIDER_KEY}"}
    with listening(tmp_path, PLUMBLINE_CONTRACTS=_contracts(tmp_path, 1), **rpc) as process:
        _, said = process.communicate(timeout=_DEADLINE_S)
    assert process.returncode == 1
    assert PROVIDER_KEY not in said
    lines = [json.loads(line) for line in said.splitlines()]
    assert any(line["severity"] == "CRITICAL" for line in lines)
