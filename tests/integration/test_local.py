"""``plumbline local`` as a program: ready, ended, killed, and refused."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.state import STATES
from shared.errors import PlumblineError
from shared.local.cloud import _shown, write_environment
from shared.local.running import RunningLocal
from tests.support.chain import parties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient
    from shared.ports import Documents

WITHIN_S = 20.0
NO_SCHEDULE = ("--reconcile-every", "0")


def _until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        assert time.monotonic() < deadline, f"not within {WITHIN_S:.0f} s: {what}"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return _state_letter(pid) != "Z"


def _state_letter(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 - not a file of anybody's
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def _descendants(pid: int) -> list[int]:
    """Return the ids of all processes below this one."""
    with os.popen("ps -eo pid=,ppid=") as listing:  # noqa: S605
        parents = {int(a): int(b) for a, b in (line.split() for line in listing)}
    found, frontier = [], {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found += sorted(frontier)
    return found


@pytest.fixture
def local(tmp_path: Path) -> Iterator[RunningLocal]:
    """Run the whole cloud, with a chain of its own."""
    with RunningLocal(tmp_path / "home", NO_SCHEDULE, {"PLUMBLINE_LISTENER_LEASE_S": "2"}) as running:
        yield running


def _state(documents: Documents, transfer_key: str) -> int | None:
    state = documents.get(STATES, transfer_key)
    return None if state is None else int(state["contractState"])


def test_the_ready_line_says_where_everything_is(local: RunningLocal) -> None:
    """Port, node, contract, chain, store, registry and process ids are told, and each of them is true."""
    ready = local.ready
    assert ready["ready"] is True
    assert ready["chainId"] == 31337
    assert ready["store"].startswith("sqlite:////")
    assert set(ready["children"]) == {"functions", "listener", "delivery"}
    with local.escrow() as escrow:
        assert escrow.version() == "6.0.0"
    connection = http.client.HTTPConnection("127.0.0.1", ready["port"], timeout=10)
    connection.request("POST", "/reconcile", b'{"dryRun": true}', {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    status = local.command("status", "--json")
    assert '"readThrough"' in status.stdout
    assert local.command("contracts", "check").returncode == 0


def test_it_quotes(local: RunningLocal) -> None:
    """Function and command say the same of the same block; what would revert ends the command with 1."""
    connection = http.client.HTTPConnection("127.0.0.1", local.ready["port"], timeout=10)
    connection.request("GET", "/quote_gas/quote?action=agree_send&transfer=quoted")
    served = json.loads(connection.getresponse().read())
    connection.close()
    told = local.command("quote", "agree_send", "--transfer", "quoted", "--json")
    assert told.returncode == 0
    assert json.loads(told.stdout) == served
    assert served["gas"]["source"] == "estimate"
    shown = local.command("quote", "execute_transfer", "--transfer", "quoted")
    assert shown.returncode == 1
    assert "It would revert: InvalidState current 0, expected 4" in shown.stdout
    assert "max fee" in shown.stdout


def test_the_figures_of_all_functions_are_told_in_one_place(local: RunningLocal) -> None:
    """Whichever worker answers, it tells what any of them has counted, and the listener tells its own."""

    def told(port: int, wanted: bytes) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        body = connection.getresponse().read()
        connection.close()
        return wanted in body

    with local.escrow() as escrow:
        for number in range(3):
            escrow.agree_send(f"told-{number}", parties(3, 3))
    port = int(local.ready["port"])
    stored = b'plumbline_events_stored_total{chain="31337"} 3.0'
    _until(lambda: told(port, stored), "the events stored are told")
    assert all(told(port, stored) for _ in range(20))
    taken = b'plumbline_log_to_state_seconds_count{chain="31337",source="handle_chain_event"} 3.0'
    _until(lambda: told(port, taken), "the time from log to state is told")
    published = b'plumbline_logs_published_total{chain="31337"} 3.0'
    _until(lambda: told(int(local.ready["healthPort"]), published), "the listener's figures are told")


def test_sigterm_ends_it_with_0_and_leaves_no_process(tmp_path: Path) -> None:
    """All that it started, the chain included, is gone within 15 seconds."""
    with RunningLocal(tmp_path, NO_SCHEDULE) as local:
        below = _descendants(local.pid)
        assert len(below) >= 5
        begun = time.monotonic()
        assert local.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 15
    _until(lambda: not any(map(_runs, below)), "every child gone")


_ENDED_WHILE_IT_IMPORTS = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "shared.cli":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder())
sys.argv = ["plumbline", "local"]
runpy.run_module("shared", run_name="__main__")
"""


def test_told_to_end_before_it_is_there_it_ends_with_0(tmp_path: Path) -> None:
    """The signal may come while Python still imports the program, long before the ready line."""
    ended = subprocess.run(
        [sys.executable, "-c", _ENDED_WHILE_IT_IMPORTS], cwd=tmp_path, timeout=WITHIN_S, check=False
    )
    assert ended.returncode == 0
    assert not list(tmp_path.iterdir())


def test_told_to_end_while_the_node_is_mute_it_starts_nothing(tmp_path: Path) -> None:
    """A node that takes the connection and says nothing holds up no end, and no child is started for it."""
    file = write_contract_file(tmp_path / "contracts", 31337, "0x" + "11" * 20, 0, Finality(depth=0))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        options = ["--home", str(tmp_path / "home"), "--rpc-url", url, "--contract", str(file)]
        process = subprocess.Popen([sys.executable, "-m", "shared", "local", *options])
        mute.settimeout(WITHIN_S)
        asked, _ = mute.accept()
        process.terminate()
        assert process.wait(WITHIN_S) == 0
        asked.close()
    assert not (tmp_path / "home" / "plumbline.env").exists()


def test_when_it_is_killed_nothing_outlives_it(tmp_path: Path) -> None:
    """After SIGKILL the functions, the listener, the delivery and the chain notice and end."""
    with RunningLocal(tmp_path, NO_SCHEDULE) as local:
        below = _descendants(local.pid)
        assert local.stop(signal.SIGKILL) == -signal.SIGKILL
    _until(lambda: not any(map(_runs, below)), "every child gone")


@pytest.mark.parametrize("victim", ["functions", "listener", "delivery"])
def test_a_child_that_is_killed_comes_back_and_nothing_is_lost(local: RunningLocal, victim: str) -> None:
    """What happens on chain right after the kill reaches the state all the same."""
    with local.escrow() as escrow, local.parts() as parts:
        bare = escrow.agree_send("before", parties(3, 3))["logs"][0]["topics"][1]
        _until(lambda: _state(parts.documents, bare) == 2, "the state before the kill")
        os.kill(int(local.ready["children"][victim]), signal.SIGKILL)
        escrow.agree_receive("before", parties(3, 3))
        _until(lambda: _state(parts.documents, bare) == 3, f"the state after {victim} was killed")
        assert parts.documents.count("events") == 2


def test_the_schedule_reconciles(tmp_path: Path) -> None:
    """Every so many seconds the reconcile function is called, and its report is stored."""
    with RunningLocal(tmp_path, ("--reconcile-every", "0.2")) as local, local.parts() as parts:
        _until(lambda: parts.documents.count("reconciliation_reports") >= 2, "two reports")


def test_it_follows_a_chain_and_a_contract_of_ones_own(
    tmp_path: Path, anvil: Anvil, escrow: EscrowClient
) -> None:
    """With a node, a contract file and a first block, only what lies from that block on is read."""
    file = write_contract_file(tmp_path / "contracts", 31337, escrow.address, 1, Finality(depth=0))
    early = escrow.agree_send("early", parties(3, 3))["logs"][0]["topics"][1]
    receipt = escrow.agree_send("late", parties(3, 3))
    options = (
        "--rpc-url", anvil.rpc_url, "--ws-url", anvil.ws_url, "--contract", str(file),
        "--start-block", str(int(receipt["blockNumber"], 16)),
        "--store", f"sqlite:///{tmp_path / 'mine.sqlite'}", *NO_SCHEDULE,
    )  # fmt: skip
    with RunningLocal(tmp_path / "home", options) as local, local.parts() as parts:
        late = receipt["logs"][0]["topics"][1]
        _until(lambda: _state(parts.documents, late) == 2, "the state of what came after the start block")
        assert _state(parts.documents, early) is None
        assert local.ready["contract"] == escrow.address


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no contract", "--contract"),
        ("another chain", "chain"),
        ("no such file", "cannot be read"),
        ("store not writable", "SQLite file"),
        ("nonsense store", "PLUMBLINE_STORE"),
        ("no code", "no code at 0x1111"),
        ("port taken", "--port"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(tmp_path: Path, anvil: Anvil, case: str, said: str) -> None:
    """Exit code 2 (1 where the store cannot be used), with a message that says what is wrong."""
    node = ["--rpc-url", anvil.rpc_url]
    file = write_contract_file(
        tmp_path / "contracts",
        5 if case == "another chain" else 31337,
        "0x" + "11" * 20,
        0,
        Finality(depth=0),
    )
    options = {
        "no contract": node,
        "another chain": [*node, "--contract", str(file)],
        "no such file": [*node, "--contract", str(tmp_path / "nothing.toml")],
        "store not writable": [*node, "--contract", str(file), "--store", f"sqlite:///{tmp_path}"],
        "nonsense store": [*node, "--contract", str(file), "--store", "paper://drawer"],
        "no code": [*node, "--contract", str(file)],
        "port taken": ["--port", anvil.rpc_url.rpartition(":")[2]],
    }[case]
    refused = RunningLocal(tmp_path / "home", options)
    with pytest.raises(PlumblineError, match=said), refused:
        pass
    assert refused.exit_code == (1 if case == "store not writable" else 2)


def test_the_settings_are_for_the_owners_eyes_and_the_ready_line_for_all(tmp_path: Path) -> None:
    """RPC URLs hold keys: the file is 0600 even where one was there before, the line shows no path."""
    file = tmp_path / "plumbline.env"
    file.touch(mode=0o644)
    write_environment(file, {"PLUMBLINE_RPC_1": "http://127.0.0.1:1/v3/key"})
    assert file.stat().st_mode & 0o777 == 0o600
    assert _shown("http://127.0.0.1:8545") == "http://127.0.0.1:8545"
    for url in ("http://127.0.0.1:1/v3/key", "http://localhost:1/?apikey=key", "https://u:key@node.example/"):
        assert "key" not in _shown(url)
