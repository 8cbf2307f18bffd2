"""The examples of ``terraform/examples``, each with a bundle of the contracts that it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.local.bundle import write_bundle
from tests.deploy.offline.wheel_schema import TERRAFORM

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES: Final = ("sepolia", "arbitrum")


@dataclass(frozen=True)
class Example:
    """A file of ``terraform/examples``, and the folder of its bundle."""

    name: str
    folder: Path
    manifest: dict[str, Any]

    @property
    def arguments(self) -> tuple[str, str]:
        """What Terraform is told to plan it."""
        return f"-var-file=examples/{self.name}.tfvars", f"-var=bundle={self.folder}"


def bundled(name: str, home: Path) -> Example:
    """Bundle the contracts of an example."""
    text = (TERRAFORM / "examples" / f"{name}.tfvars").read_text("utf-8")
    for chain_id, address in re.findall(r'chain_id = (\d+), address = "(0x\w+)"', text):
        write_contract_file(home / "contracts", int(chain_id), address, 1, Finality(tag="finalized"))
    return Example(name, home / "bundle", write_bundle(home / "contracts", home / "bundle"))
