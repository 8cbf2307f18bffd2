"""Bundles and plans of the examples, made once a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.local.bundle import write_bundle
from tests.deploy.offline.terraform import Terraform, initialised
from tests.deploy.offline.wheel_schema import TERRAFORM
from tests.deploy.plan import Plan
from tests.support import parts

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES: Final = ("sepolia", "arbitrum")


@dataclass(frozen=True)
class Example:
    """A file of ``terraform/examples``, and a bundle of the contracts that it names."""

    name: str
    folder: Path
    manifest: dict[str, Any]

    @property
    def arguments(self) -> tuple[str, str]:
        """What Terraform is told to plan it."""
        return f"-var-file=examples/{self.name}.tfvars", f"-var=bundle={self.folder}"


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Example]:
    """Bundle the contracts of each example."""
    made = {}
    for name in EXAMPLES:
        home = tmp_path_factory.mktemp(name)
        text = (TERRAFORM / "examples" / f"{name}.tfvars").read_text("utf-8")
        for chain_id, address in re.findall(r'chain_id = (\d+), address = "(0x\w+)"', text):
            write_contract_file(home / "contracts", int(chain_id), address, 1, Finality(tag="finalized"))
        made[name] = Example(name, home / "bundle", write_bundle(home / "contracts", home / "bundle"))
    return made


@pytest.fixture(scope="session")
def terraform_binary() -> str:
    """Return where Terraform is, or skip the test."""
    found = parts.require("terraform").found
    assert found
    return found


@pytest.fixture(scope="session")
def offline(terraform_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Return Terraform with the provider that makes up what Google would compute."""
    return initialised(terraform_binary, tmp_path_factory.mktemp("offline"), registry=False)


@pytest.fixture(scope="session")
def plans(offline: Terraform, examples: dict[str, Example]) -> dict[str, Plan]:
    """Plan each example."""
    return {name: Plan(offline.plan(*example.arguments)) for name, example in examples.items()}


@pytest.fixture(scope="session", params=EXAMPLES)
def plan(request: pytest.FixtureRequest, plans: dict[str, Plan]) -> Plan:
    """Return the plan of one example after the other."""
    found: Plan = plans[request.param]
    return found
