"""The command line as a program: what it prints and the code that it ends with."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from shared.adapters.local_bus import LocalBus
from shared.adapters.sqlite import SqliteDocuments
from shared.adapters.system_clock import SystemClock
from shared.app.deadletters import EVENTS_SOURCE, dead_letter
from shared.app.event_log import EventLog
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.state import STATES
from shared.errors import NotFound, UndecodableLog
from tests.support.projection import projection_on

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = 31337
DEAD_NODE = "http://user:s3cret@127.0.0.1:9/key-that-nobody-sees"


class Home:
    """A store with one transfer in it, a registry, and the command line before both."""

    def __init__(self, directory: Path) -> None:
        file = write_contract_file(directory / "contracts", CHAIN, "0x" + "11" * 20, 1, Finality(depth=0))
        self.path = directory / "store.sqlite"
        self.directory = directory
        self.environ = {
            "PLUMBLINE_STORE": f"sqlite:///{self.path}",
            "PLUMBLINE_CONTRACTS": str(file),
            f"PLUMBLINE_RPC_{CHAIN}": DEAD_NODE,
            "PLUMBLINE_REQUEST_TIMEOUT_S": "1",
        }
        self.documents = SqliteDocuments(self.path)
        log = EventLog(self.documents, SystemClock(), "application")
        for kind in ("rollover.started", "rollover.acknowledged"):
            event: dict[str, Any] = {
                "eventId": f"one-{kind}", "eventType": kind, "rolloverId": "one", "data": {},
                "timestamp": "2026-01-01T00:00:00Z", "userId": "alpha",
                "sourceCustodianId": "alpha", "destinationCustodianId": "beta",
            }  # fmt: skip
            log.append(event)
            projection_on(self.documents).project([event])

    def run(self, *arguments: str, **settings: str | None) -> subprocess.CompletedProcess[str]:
        """Run ``plumbline``; a setting of None is taken out of the environment."""
        environ = {**os.environ, **self.environ, **settings}
        return subprocess.run(
            [sys.executable, "-m", "shared", *arguments],
            env={name: value for name, value in environ.items() if value is not None},
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Return what a command that succeeds prints with ``--json``."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return orjson.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give a home of the test's own."""
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PLUMBLINE_STORE": None}, "PLUMBLINE_STORE"),
        ({"PLUMBLINE_STORE": "mysql://here"}, "PLUMBLINE_STORE"),
        ({"PLUMBLINE_CONTRACTS": None}, "PLUMBLINE_CONTRACTS"),
        ({"PLUMBLINE_POLL_S": "often"}, "PLUMBLINE_POLL_S"),
        ({"PLUMBLINE_POL_S": "1"}, "PLUMBLINE_POL_S"),
        ({f"PLUMBLINE_RPC_{CHAIN}": "ftp://node"}, f"PLUMBLINE_RPC_{CHAIN}"),
    ],
)
def test_bad_configuration_ends_with_2_and_names_the_variable(
    home: Home, settings: dict[str, str | None], named: str
) -> None:
    """Nothing is on stdout, one line on stderr says which variable, and no URL is ever in it."""
    done = home.run("events", **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert "ftp://" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("state",), ("events", "--colour"), ("reconcile", "--block", "yesterday")]
)
def test_misuse_ends_with_2(home: Home, arguments: tuple[str, ...]) -> None:
    """An unknown command or option, a missing argument, a block that is none."""
    done = home.run(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("fly",), "action"),
        (("agree_send", "--within", "0"), "within_blocks"),
        (("agree_send", "--confidence", "1.5"), "confidence"),
        (("agree_send", "--chain", "1"), "chain"),
        (("agree_send", "--from", "me"), "from"),
    ],
)
def test_a_wrong_field_of_a_quote_is_named(home: Home, arguments: tuple[str, ...], field: str) -> None:
    """The command refuses what the function refuses, with exit code 2."""
    done = home.run("quote", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"field {field}" in done.stderr


def test_options_stand_in_for_the_environment(home: Home) -> None:
    """Store, registry and node can be given before the command."""
    options = [
        f"--store=sqlite:///{home.path}", f"--contracts={home.environ['PLUMBLINE_CONTRACTS']}",
        f"--rpc-url={DEAD_NODE}",
    ]  # fmt: skip
    done = home.run(*options, "contracts", "check", "--json", **dict.fromkeys(home.environ))
    assert [finding["problem"] for finding in orjson.loads(done.stdout)] == ["unreachable"]


def test_a_registry_file_with_a_typo_is_named(home: Home) -> None:
    """A misspelt key of a contract file is bad configuration, told with file and key."""
    file = home.directory / "typo.toml"
    file.write_text('nmae = "RolloverEscrow"\n', "utf-8")
    done = home.run("contracts", "check", PLUMBLINE_CONTRACTS=str(file))
    assert done.returncode == 2
    assert "typo.toml" in done.stderr


def test_events_state_and_timeline_tell_what_is_stored(home: Home) -> None:
    """Each reading command has a table for people and the same as JSON."""
    lines = [orjson.loads(line) for line in home.run("events", "one", "--json").stdout.splitlines()]
    assert {line["eventType"] for line in lines} == {"rollover.started", "rollover.acknowledged"}
    assert [(line["finality"], line["superseded"]) for line in lines] == [(None, False)] * 2
    assert home.json("state", "one")["status"] == "acknowledged"
    assert [entry["by"] for entry in home.json("timeline", "one")] == ["alpha", "alpha"]
    for command in ("events", "state", "timeline"):
        shown = home.run(command, "one")
        assert shown.returncode == 0
        assert "acknowledged" in shown.stdout


@pytest.mark.parametrize("command", ["state", "timeline", "events"])
def test_a_transfer_that_nobody_knows_ends_with_1(home: Home, command: str) -> None:
    """The message says what is not there."""
    done = home.run(command, "nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_rebuild_check_finds_an_edited_state_and_rebuild_mends_it(home: Home) -> None:
    """Exit 1 while a state is not what its events say, 0 before and after."""
    assert home.run("rebuild", "--check").returncode == 0
    state = home.documents.get(STATES, "one") or {}
    home.documents.put(STATES, "one", {**state, "status": "completed"})
    found = home.run("rebuild", "--check", "--json")
    assert found.returncode == 1
    assert orjson.loads(found.stdout)["different"] == ["one"]
    assert home.run("rebuild", "one").returncode == 0
    assert home.run("rebuild", "--check").returncode == 0


def test_an_unreachable_node_is_told_without_its_url(home: Home) -> None:
    """Reconcile, status, quote and the check end with 1 and keep the provider's key to themselves."""
    for arguments in (("reconcile",), ("status",), ("contracts", "check"), ("quote", "agree_send")):
        done = home.run(*arguments)
        assert done.returncode == 1, arguments
        assert "s3cret" not in done.stdout + done.stderr
        assert "key-that-nobody-sees" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_unknown_is_unhealthy(home: Home) -> None:
    """With nothing read, nothing reconciled and a node that does not answer, status says so."""
    done = home.run("status", "--json")
    found = orjson.loads(done.stdout)
    assert (done.returncode, found["healthy"]) == (1, False)
    assert len(found["problems"]) == 2


def test_dead_letters_are_listed_and_replayed(home: Home) -> None:
    """They are listed with their cause, and a replay sends them where they came from."""
    bus = LocalBus(home.path)
    dead_letter(bus, {"logs": []}, UndecodableLog("topic 0x12 is no event"))
    bus.close()
    [letter] = home.json("deadletters", "list")
    assert letter["cause"] == "undecodable_log"
    assert home.json("deadletters", "replay")["replayed"] == [letter["message_id"]]
    assert home.json("deadletters", "list") == []


def test_a_replay_that_fails_again_says_so(home: Home) -> None:
    """An event that is still not there is named with its cause, and the command found something wrong."""
    bus = LocalBus(home.path)
    dead_letter(bus, {"eventId": "gone"}, NotFound("gone"), source=EVENTS_SOURCE)
    bus.close()
    done = home.run("deadletters", "replay")
    assert done.returncode == 1
    assert "failed again" in done.stdout
    assert "not_found: event gone is not stored" in " ".join(done.stdout.split())
    assert [letter["cause"] for letter in home.json("deadletters", "list")] == ["not_found"]


def test_the_settings_of_plumbline_local_are_found_without_an_environment(home: Home) -> None:
    """Beside a ``var/plumbline.env`` the commands need no variable; a variable wins over it."""
    (home.directory / "var").mkdir()
    lines = "".join(f"{name}={value}\n" for name, value in home.environ.items())
    (home.directory / "var" / "plumbline.env").write_text(lines, "utf-8")
    nothing = dict.fromkeys(home.environ)
    assert home.run("state", "one", **nothing).returncode == 0
    SqliteDocuments(home.directory / "empty.sqlite").put("c", "k", {})
    empty = f"sqlite:///{home.directory / 'empty.sqlite'}"
    assert home.run("--store", empty, "state", "one", **nothing).returncode == 1


@pytest.mark.parametrize(
    "command", ["events", "reconcile", "rebuild --check", "status", "deadletters list", "state one"]
)
def test_a_store_that_is_not_there_is_not_made(home: Home, command: str) -> None:
    """A mistyped name is misuse: an empty store would look as if all were well."""
    missing = home.directory / "mistyped.sqlite"
    found = home.run("--store", f"sqlite:///{missing}", *command.split())
    assert (found.returncode, found.stdout) == (2, "")
    assert f"there is no file {missing}" in found.stderr
    assert not missing.exists()


def test_the_rebuild_of_an_unknown_transfer_is_not_found(home: Home) -> None:
    """A mistyped transfer has not been looked at, so it does not look straight."""
    found = home.run("rebuild", "--check", "oen")
    assert (found.returncode, found.stdout) == (1, "")
    assert "no event of transfer oen" in found.stderr
