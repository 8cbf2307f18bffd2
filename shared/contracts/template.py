"""Making a contract file from the template that ships with Plumbline."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.contracts.registry import checksummed

if TYPE_CHECKING:
    from shared.domain.contract import Finality

_HERE: Final = Path(__file__).parent
TEMPLATE: Final = _HERE / "rollover_escrow_v6.toml.template"
ABI: Final = _HERE / "RolloverEscrow.abi.json"


def write_contract_file(
    directory: Path, chain_id: int, address: str, deployment_block: int, finality: Finality
) -> Path:
    """Write the registry file of a RolloverEscrow, and its ABI beside it; return the file's path."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ABI, directory / ABI.name)
    text = TEMPLATE.read_text("utf-8")
    rule = f'tag = "{finality.tag}"' if finality.tag else f"depth = {finality.depth}"
    for blank, value in (
        ("chain_id = 0", f"chain_id = {chain_id}"),
        ('address = ""', f'address = "{checksummed(address)}"'),
        ("deployment_block = 0", f"deployment_block = {deployment_block}"),
        ('tag = "finalized"\n', f"{rule}\n"),
    ):
        text = text.replace(blank, value, 1)
    path = directory / f"rollover_escrow_v6_{chain_id}_{address[2:10].lower()}.toml"
    path.write_text(text, "utf-8")
    return path
