"""The listener as a process: how it ends, and what it says when it cannot go on."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
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
    environ["PLUMBLINE_HEALTH_PORT"] = "0"
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


def _free_port() -> int:
    with socket.socket() as listening_socket:
        listening_socket.bind(("127.0.0.1", 0))
        return int(listening_socket.getsockname()[1])


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _answers(port: int, path: str, status: int, process: subprocess.Popen[str]) -> bytes:
    """Wait until a path is answered with this status, and return the body."""
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            found, body = _get(port, path)
        except OSError:
            found, body = 0, b""
        if found == status:
            return body
        assert time.monotonic() < deadline, (found, body)
        time.sleep(0.05)


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
    anvil.rpc.call("anvil_setCode", ADDRESS, "0x00")
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


def test_a_node_of_another_network_leaves_it_up_and_not_ready(tmp_path: Path, anvil: Anvil) -> None:
    """Nothing is believed of it; health says why, without the key, and the process ends well when told to."""
    port = _free_port()
    rpc = {"PLUMBLINE_RPC_1": f"{anvil.rpc_url}/?key={PROVIDER_KEY}", "PORT": str(port)}
    with listening(tmp_path, PLUMBLINE_CONTRACTS=_contracts(tmp_path, 1), **rpc) as process:
        assert json.loads(_answers(port, "/healthz", 200, process)) == {"alive": True, "dead": []}
        deadline = time.monotonic() + _DEADLINE_S
        while b"31337" not in (body := _answers(port, "/readyz", 503, process)):
            assert time.monotonic() < deadline, body
        process.terminate()
        _, said = process.communicate(timeout=_DEADLINE_S)
    assert process.returncode == 0
    assert PROVIDER_KEY not in said + body.decode()
    assert not SqliteDocuments(tmp_path / "store.sqlite").get("chain_cursors", "1")


def test_health_and_metrics_of_a_listener_that_follows(tmp_path: Path, anvil: Anvil) -> None:
    """Ready once it keeps up, figures under their names, anything else not found."""
    anvil.rpc.call("anvil_setCode", ADDRESS, "0x00")
    port = _free_port()
    rpc = {"PLUMBLINE_RPC_31337": anvil.rpc_url, "PLUMBLINE_WS_31337": anvil.ws_url}
    settings = {**rpc, "PLUMBLINE_HEALTH_PORT": str(port), "PLUMBLINE_REPORT_S": "0.1"}
    settings["PLUMBLINE_METRICS"] = "prometheus"
    with listening(tmp_path, PLUMBLINE_CONTRACTS=_contracts(tmp_path, 31337), **settings) as process:
        body = json.loads(_answers(port, "/readyz", 200, process))
        assert body["problems"] == []
        assert body["chains"]["31337"]["behind"] == 0
        assert b'plumbline_blocks_behind{chain="31337"} 0.0' in _answers(port, "/metrics", 200, process)
        _answers(port, "/anything", 404, process)
        process.terminate()
        process.communicate(timeout=_DEADLINE_S)
    assert process.returncode == 0


def test_a_node_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A request that hangs is left where it is: the exit comes within the time that platforms give."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        rpc = {"PLUMBLINE_RPC_1": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        rpc["PLUMBLINE_REQUEST_TIMEOUT_S"] = "60"
        with (
            listening(tmp_path, PLUMBLINE_CONTRACTS=_contracts(tmp_path, 1), **rpc) as process,
            deaf.accept()[0],
        ):
            process.terminate()
            process.communicate(timeout=15)
    assert process.returncode == 0
