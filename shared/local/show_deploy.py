"""What the deploying commands print: tables for people, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.local.show import CONSOLE, new_table, print_json

if TYPE_CHECKING:
    from pathlib import Path


def bundle(manifest: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print what was bundled."""
    if as_json:
        print_json(manifest)
        return
    rows = new_table("function", "called by", "sha256")
    for name, function in manifest["functions"].items():
        rows.add_row(name, function["signature"], function["sha256"])
    CONSOLE.print(rows)
    for contract in manifest["contracts"]:
        name, version = contract["name"], contract["version"]
        CONSOLE.print(f"{name} {version} on chain {contract['chainId']} at {contract['address']}")
    CONSOLE.print(f"in {out}")
