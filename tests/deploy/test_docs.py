"""The commands of docs/deploy.md, word for word; what needs the cloud is held against gcloud's own words."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.pubsub import PubSubBus
from shared.app.watch import LISTENER, RECONCILIATION, UNMINTED
from shared.domain.schedules import SCHEDULES
from shared.local.anvil import Anvil
from tests.deploy.offline.terraform import offline_configuration
from tests.deploy.offline.wheel_schema import ROOT, TERRAFORM
from tests.support import parts
from tests.support.scheduler_server import SchedulerServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.firestore_emulator import FirestoreEmulator
    from tests.support.pubsub_emulator import PubSubEmulator

_PAGES = ("deploy.md", "operate.md")
_NEEDED = ("shared", "functions", "terraform", "requirements.txt", ".venv")
_TERRAFORM = r"""#!/usr/bin/env python3
# Terraform as the page calls it, but with its state in the folder, and apply only shows the plan.
import os, subprocess, sys
arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-backend-config")]
kept = [argument for argument in sys.argv[1:] if argument.startswith("-backend-config")]
if "init" in arguments:
    assert len(kept) == 2, kept
if "apply" in arguments:
    arguments[arguments.index("apply")] = "show"
sys.exit(subprocess.run([os.environ["REAL_TERRAFORM"], *arguments]).returncode)
"""
_GCLOUD = '#!/bin/sh\ncase "$*" in *--data-file=-*) cat >/dev/null ;; esac\n'
_ENDS_WITH = {
    "plumbline contracts check": (1, "the test's chain is empty: there is no contract"),
    "plumbline status": (1, "no listener has ever written to the emulator"),
}
"""Commands that cannot end well without the cloud, and why."""


def _commands(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


@dataclass(frozen=True)
class Ran:
    """A command of the page: how it ended and what it said."""

    command: str
    code: int
    said: str


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
    firestore_emulator: FirestoreEmulator,
    pubsub_emulator: PubSubEmulator,
) -> Iterator[list[Ran]]:
    """Follow the page in a copy of the checkout, with emulators in the cloud's place."""
    terraform = parts.require("terraform").found
    assert terraform
    home = tmp_path_factory.mktemp("newcomer")
    checkout, programs = home / "checkout", home / "bin"
    checkout.mkdir()
    programs.mkdir()
    for name in _NEEDED:
        _bring(ROOT / name, checkout / name)
    (checkout / "terraform" / "backend_override.tf").write_text(
        'terraform {\n  backend "local" {}\n}\n', "utf-8"
    )
    for name, text in (("terraform", _TERRAFORM), ("gcloud", _GCLOUD)):
        (programs / name).write_text(text, "utf-8")
        (programs / name).chmod(0o755)
    with SchedulerServer() as scheduler, Anvil(chain_id=11155111) as anvil:
        project, region = "my-project-sepolia", "us-central1"
        bus = PubSubBus(project, emulator_host=pubsub_emulator.host)
        bus.ensure_topology()
        bus.close()
        name = f"projects/{project}/locations/{region}/jobs/plumbline-reconcile"
        scheduler.add(name, SCHEDULES["reconcile"].cron)
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PLUMBLINE_", "TF_"))},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "REAL_TERRAFORM": terraform,
            "TF_CLI_CONFIG_FILE": str(offline_configuration(terraform, home)),
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_ARGS_plan": "-no-color",
            "FIRESTORE_EMULATOR_HOST": firestore_emulator.host,
            "PUBSUB_EMULATOR_HOST": pubsub_emulator.host,
            "CLOUD_SCHEDULER_EMULATOR_HOST": scheduler.host,
            "NODE_OF_THE_TEST": anvil.rpc_url,
        }
        yield _follow(_commands("deploy.md"), checkout, environ)
        assert scheduler.calls == [name]


def _bring(source: Path, target: Path) -> None:
    if source.name == ".venv":
        target.symlink_to(Path(sys.executable).parent.parent)
    elif source.is_dir():
        unwanted = shutil.ignore_patterns(
            "node_modules", "__pycache__", ".terraform*", "*.tfstate*", "my.tfvars"
        )
        shutil.copytree(source, target, ignore=unwanted)
    else:
        shutil.copyfile(source, target)


def _follow(commands: list[str], folder: Path, environ: dict[str, str]) -> list[Ran]:
    """Run the commands one after the other in one shell, as a person does."""
    script = ["exec 2>&1"]
    for at, command in enumerate(commands):
        # The page's node is an example: the test's stands in for it.
        typed = re.sub(r"export RPC_URL=\S+", 'export RPC_URL="$NODE_OF_THE_TEST"', command)
        script += [f"echo '@@begin {at}'", typed, f'echo "@@end {at} $?"']
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], stdin=subprocess.DEVNULL, cwd=folder, env=environ,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = re.findall(r"@@begin (\d+)\n(.*?)@@end \1 (\d+)$", done.stdout, re.MULTILINE | re.DOTALL)
    assert len(found) == len(commands), done.stdout[-3000:]
    return [Ran(commands[int(at)], int(code), said) for at, said, code in found]


def test_every_command_ends_as_it_should(ran: list[Ran]) -> None:
    """Well, or as one must without the cloud."""
    for each in ran:
        name = each.command.removeprefix(".venv/bin/")
        wanted, why = _ENDS_WITH.get(name, (0, ""))
        assert each.code == wanted, (each.command, why, each.said[-2000:])
        assert "Traceback" not in each.said, each


def test_the_plan_of_the_page_makes_what_is_promised(ran: list[Ran]) -> None:
    """Following the page from an empty project everything is made, and nothing is changed or destroyed."""
    [planned] = [each.said for each in ran if " plan " in each.command]
    made = re.search(r"Plan: (\d+) to add, 0 to change, 0 to destroy", planned)
    assert made, planned[-2000:]
    assert int(made[1]) > 100


def test_what_is_asked_of_the_cloud_is_answered(ran: list[Ran]) -> None:
    """The command line reads the store, the dead letters and the schedule of the project."""
    said = {each.command.removeprefix(".venv/bin/"): each.said for each in ran}
    assert "reconcile" in said["plumbline schedules list"]
    assert "ENABLED" in said["plumbline schedules run reconcile"]
    assert "no listener" in said["plumbline status"].lower() or "11155111" in said["plumbline status"]


def _gcloud_tree() -> dict[str, Any]:
    gcloud = shutil.which("gcloud")
    roots = [Path(gcloud).resolve().parent.parent] if gcloud else []
    for root in [*roots, Path("/usr/lib/google-cloud-sdk")]:
        file = root / "data" / "cli" / "gcloud_completions.py"
        if file.exists():
            scope: dict[str, Any] = {}
            exec(file.read_text("utf-8"), scope)  # noqa: S102 - gcloud's own table of its commands
            tree: dict[str, Any] = scope["STATIC_COMPLETION_CLI_TREE"]
            return tree
    pytest.skip("gcloud is missing: https://cloud.google.com/sdk/docs/install")


def _listener_build() -> list[str]:
    text = (TERRAFORM / "listener.tf").read_text("utf-8")
    [script] = re.findall(r"command = <<-EOT\n(.*?)\n\s*EOT", text, re.DOTALL)
    return [part.strip() for part in " ".join(script.replace("\\\n", " ").split()).split("||")]


def test_every_word_to_gcloud_is_one_that_it_knows() -> None:
    """Commands and options of the pages, and of the listener's build, are in gcloud's own table."""
    tree = _gcloud_tree()
    commands = [command for page in _PAGES for command in _commands(page)] + _listener_build()
    asked = [shlex.split(command[command.index("gcloud ") :]) for command in commands if "gcloud " in command]
    assert len(asked) > 8
    for words in asked:
        node, known = tree, set(tree["flags"])
        rest = iter(words[1:])
        for word in rest:
            if word in node.get("commands", {}):
                node = node["commands"][word]
                known |= set(node.get("flags", {}))
            elif word.startswith("--"):
                assert word.partition("=")[0] in known, (words, word)
            elif word == "|" or word.startswith(">"):
                break
        assert not node.get("commands"), f"{' '.join(words)} is only the beginning of a command"


def test_every_plumbline_command_of_the_pages_is_one() -> None:
    """What the pages tell to type, in blocks and in tables, the command line knows."""
    told = set()
    for page in (*_PAGES, "security.md", "scale.md"):
        text = (ROOT / "docs" / page).read_text("utf-8")
        told |= set(re.findall(r"(?:`|bin/)plumbline ([a-z]+(?: [a-z]+)?)", text))
    listed = subprocess.run(
        [sys.executable, "-m", "shared", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    groups = {
        "deadletters": ("list", "replay"),
        "schedules": ("list", "pause", "resume", "run"),
        "contracts": ("check",),
    }
    for command in told:
        first, _, second = command.partition(" ")
        assert first in listed, command
        assert first not in groups or second in groups[first], command


def test_every_alert_of_our_own_is_explained() -> None:
    """What the code opens an alert by is in the table of docs/operate.md."""
    told = set(re.findall(r"^\| `([a-z_]+)", (ROOT / "docs" / "operate.md").read_text("utf-8"), re.MULTILINE))
    keys = {RECONCILIATION, UNMINTED, LISTENER}
    for file in (ROOT / "shared" / "app").glob("*.py"):
        text = file.read_text("utf-8")
        keys |= set(re.findall(r'\bAlert\("([a-z_]+)', text))
        if "Alert(key" in text:
            keys |= set(re.findall(r'\bkey = f"([a-z_]+)', text))
    assert {"dead_letters", "event_conflict"} <= keys
    assert keys <= told
