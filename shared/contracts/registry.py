"""Reading the registry: a TOML file per contract version, strictly, with errors that say how to mend them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.contracts.mapping import compile_rules
from shared.contracts.table import Table
from shared.domain.abi import compile_function, signature
from shared.domain.contract import ContractSpec, Finality, Levels, Reads, Registry
from shared.domain.hashing import keccak_256
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.abi import Function

_ADDRESS: Final = re.compile(r"^0x[0-9a-fA-F]{40}$")
_TAGS: Final = ("finalized", "safe", "latest")


def load_registry(path: str | Path) -> Registry:
    """Load one file, or every ``*.toml`` of a directory; ConfigError names the file and the key."""
    place = Path(path)
    files = sorted(place.glob("*.toml")) if place.is_dir() else [place]
    if not files:
        raise ConfigError(f"no contract file (*.toml) in {place}")
    contracts = [_contract(file) for file in files]
    seen: dict[str, Path] = {}
    for spec, file in zip(contracts, files, strict=True):
        if spec.key in seen:
            raise ConfigError(f"{file}: {spec.key} stands in {seen[spec.key]} already")
        seen[spec.key] = file
    return Registry(contracts)


def _contract(file: Path) -> ContractSpec:
    try:
        table = Table(str(file), tomllib.loads(file.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(f"contract file {file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    abi = _abi(file, table)
    rules, unmapped = compile_rules(table, abi)
    levels = table.table("levels")
    spec = ContractSpec(
        name=table.text("name"),
        version=table.text("version"),
        chain_id=table.number("chain_id", 1),
        address=_address(table),
        deployment_block=table.number("deployment_block"),
        finality=_finality(table.table("finality")),
        token_decimals=table.number("token_decimals"),
        levels=Levels(
            _level_names(levels.table("names")),
            levels.text("collection", "custodians"),
            levels.text("address_field", "walletAddress"),
            levels.text("level_field", "level"),
        ),
        rules=rules,
        unmapped=unmapped,
        reads=_reads(table.table("reads"), abi),
        references=[
            (_function(entry, "function", abi), entry.text("argument")) for entry in table.tables("reference")
        ],
        abi=abi,
    )
    table.nothing_else()
    return spec


def _abi(file: Path, table: Table) -> Sequence[Mapping[str, Any]]:
    path = file.parent / table.text("abi")
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise table.error("abi", f"{path} cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise table.error("abi", f"{path} is not JSON: {error}") from error
    abi = content.get("abi") if isinstance(content, dict) else content
    if not isinstance(abi, list) or not all(isinstance(entry, dict) for entry in abi):
        raise table.error("abi", f"{path} is neither a list of ABI entries nor an artefact with one")
    return abi


def checksummed(address: str) -> str:
    """Return the address in the mixed case of EIP-55."""
    plain = address[2:].lower()
    digest = keccak_256(plain.encode()).hex()
    return "0x" + "".join(
        c.upper() if int(d, 16) > 7 else c  # noqa: PLR2004 - EIP-55: a digest digit of 8 or more
        for c, d in zip(plain, digest, strict=False)
    )


def _address(table: Table) -> str:
    address = table.text("address")
    if not _ADDRESS.match(address):
        raise table.error("address", f"{address!r} is not 0x and 40 hex digits")
    if address not in (address.lower(), checksummed(address)):
        raise table.error("address", f"{address} has a wrong checksum: {checksummed(address)} would be right")
    return address.lower()


def _finality(table: Table) -> Finality:
    tag, depth = table.text("tag", ""), table.number("depth", 0, default=-1)
    table.nothing_else()
    if bool(tag) == (depth >= 0):
        raise table.error("tag", "give either a tag (finalized, safe, latest) or a depth in blocks")
    if tag and tag not in _TAGS:
        raise table.error("tag", f"{tag!r} is none of {', '.join(_TAGS)}")
    return Finality(tag=tag) if tag else Finality(depth=depth)


def _level_names(table: Table) -> dict[int, str]:
    return {table.as_number(key): table.text(key) for key in table.keys()}  # noqa: SIM118 - a Table is no dict


def _reads(table: Table, abi: Sequence[Mapping[str, Any]]) -> Reads:
    optional = {name: _function(table, name, abi) for name in ("tokenised", "level") if table.has(name)}
    reads = Reads(_function(table, "state", abi), **optional)
    table.nothing_else()
    return reads


def _function(table: Table, key: str, abi: Sequence[Mapping[str, Any]]) -> Function:
    name = table.text(key)
    named = [
        e for e in abi if e.get("type") == "function" and name in (e["name"], compile_function(e).signature)
    ]
    if len(named) != 1:
        known = [str(entry["name"]) for entry in abi if entry.get("type") == "function"]
        trouble = "is no function of the ABI" if not named else "is overloaded: give its whole signature"
        raise table.error(key, f"{name!r} {trouble}", name, known)
    return compile_function(named[0])
