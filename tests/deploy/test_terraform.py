"""Terraform's own checks: form, references, types, and that each validation refuses what it is there for."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deploy.offline.terraform import Terraform, initialised, registry_is_reachable
from tests.deploy.offline.wheel_schema import ROOT, SCHEMA, TERRAFORM

if TYPE_CHECKING:
    from tests.deploy.examples import Example


def _text(pattern: str) -> str:
    return "".join(file.read_text("utf-8") for file in sorted(TERRAFORM.glob(pattern)))


@pytest.fixture(scope="module")
def checked(terraform_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Return Terraform with Google's own provider where the registry can be reached, else with ours."""
    home = tmp_path_factory.mktemp("checked")
    return initialised(terraform_binary, home, registry=registry_is_reachable())


def test_the_files_have_terraforms_own_form(checked: Terraform) -> None:
    """`terraform fmt` would change nothing."""
    done = checked.run("fmt", "-check", "-recursive", "-diff", check=False)
    assert done.returncode == 0, done.stdout


def test_the_configuration_is_valid(checked: Terraform) -> None:
    """Every argument, type and reference is one that the provider knows."""
    checked.run("validate", "-no-color")


def test_every_validation_refuses_what_it_is_there_for(
    checked: Terraform, examples: dict[str, Example]
) -> None:
    """The runs of `terraform test` pass: good values are planned, each bad one is refused by its variable."""
    done = checked.run("test", "-no-color", f"-var=bundle={examples['sepolia'].folder}", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_validation_has_a_case() -> None:
    """A variable has at least as many cases of refusal as it has validations."""
    text = _text("variables*.tf")
    validations = {
        name: body.count("\n  validation {")
        for name, body in re.findall(r'^variable "(\w+)" \{(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    }
    cases = re.findall(r"expect_failures = \[var\.(\w+)\]", _text("tests/*.tftest.hcl"))
    assert {
        name: cases.count(name) for name, wanted in validations.items() if cases.count(name) < wanted
    } == {}
    unchecked = {name for name, wanted in validations.items() if not wanted}
    assert unchecked == {"uptime_checks"}, "a yes or no is all that needs no validation"


def test_a_schedule_is_one_that_cloud_scheduler_takes(
    offline: Terraform, examples: dict[str, Example]
) -> None:
    """Each field has its own numbers, ranges, steps and lists; nothing is between, before or after them."""
    taken = ["*/5 * * * *", "1-59/2 0,12 * * 1-5", "05 00 1,15 */3 0", "0 23 31 12 6", "0-59 * * * *"]
    refused = [
        "", "*", "*/5", "* * * *", "* * * * * *", " * * * * *", "* * * * * ", "*  * * * *", "60 * * * *",
        "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *", "* * * 13 *", "* * * * 7", "-1 * * * *",
        "*/0 * * * *", "1,, * * * *", ",1 * * * *", "1- * * * *", "? * * * *", "@daily", "every 5 minutes",
        "* * * * MON", "1.5 * * * *", "* * * * *\\n",
    ]  # fmt: skip
    asked = ", ".join(f'"{cron}"' for cron in (*taken, *refused))
    done = offline.run(
        "console",
        *examples["sepolia"].arguments,
        asking=f"jsonencode([for cron in [{asked}] : can(regex(local.cron, cron))])\n",
    )
    answers = json.loads(json.loads(done.stdout))
    assert answers == [True] * len(taken) + [False] * len(refused)


def test_a_message_says_how_to_mend_it(offline: Terraform, examples: dict[str, Example]) -> None:
    """A wrong checksum is refused at plan, and the message gives the right one."""
    wrong = '[{ chain_id = 11155111, address = "0x5fbDB2315678afecb367f032d93F642f64180aa3" }]'
    done = offline.run(
        "plan",
        "-input=false",
        "-no-color",
        *examples["sepolia"].arguments,
        f"-var=contracts={wrong}",
        check=False,
    )
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode == 1
    assert "wrong checksum (EIP-55)" in said
    assert "0x5FbDB2315678afecb367f032d93F642f64180aa3" in said


def test_a_lock_file_that_is_kept_is_the_registrys() -> None:
    """Whoever deploys commits theirs; ours would hold the hash of a provider that is only a schema.

    The registry tells a hash of every platform's archive (``zh:``), a mirror of its one program (``h1:``).
    """
    kept = subprocess.run(
        ["git", "ls-files", "*.terraform.lock.hcl"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in kept.stdout.split():
        assert '"zh:' in (ROOT / name).read_text("utf-8"), f"{name} was written by the offline provider"
    assert SCHEMA.exists()
