"""Bundles and plans of the examples, made once a run."""

from __future__ import annotations

import pytest

from tests.deploy.examples import EXAMPLES, Example, bundled
from tests.deploy.offline.terraform import Terraform, initialised
from tests.deploy.plan import Plan
from tests.support import parts


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Example]:
    """Bundle the contracts of each example."""
    return {name: bundled(name, tmp_path_factory.mktemp(name)) for name in EXAMPLES}


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
