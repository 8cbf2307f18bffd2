"""Terraform under the eyes of a tool that knows the usual mistakes."""

from __future__ import annotations

import json
import re
import subprocess

from tests.deploy.offline.wheel_schema import TERRAFORM
from tests.support import parts

_LEAST_REASON = 30


def test_no_check_fails_and_no_skip_is_without_a_reason() -> None:
    """Checkov finds nothing, but for what is skipped with words that say why."""
    checkov = parts.require("checkov").found
    assert checkov
    options = ["--framework", "terraform", "--skip-download", "--compact", "--output", "json"]
    done = subprocess.run(
        [checkov, "-d", str(TERRAFORM), *options], capture_output=True, text=True, timeout=300, check=False
    )
    found = json.loads(done.stdout)["results"]
    assert [f"{each['check_id']} {each['resource']}" for each in found["failed_checks"]] == []
    assert found["parsing_errors"] == []
    said = [
        match
        for file in TERRAFORM.glob("*.tf")
        for match in re.findall(r"checkov:skip=(\w+):?(.*)", file.read_text("utf-8"))
    ]
    assert all(len(reason) >= _LEAST_REASON for _, reason in said)
    assert {check for check, _ in said} == {each["check_id"] for each in found["skipped_checks"]}
