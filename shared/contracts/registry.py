"""Reading the registry: a TOML file per contract version, strictly, with errors that say how to mend them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.contracts.abi_file import AbiFile
from shared.contracts.actions import compile_actions
from shared.contracts.mapping import compile_rules
from shared.contracts.table import Table
from shared.domain.contract import ContractSpec, Finality, Levels, Reads, Registry
from shared.domain.hashing import keccak_256
from shared.errors import ConfigError

if TYPE_CHECKING:
    from shared.domain.abi import FunctionCodec

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_TAGS: Final = ("finalized", "safe", "latest")
_MOST_DECIMALS: Final = 255


def load_registry(path: str | Path) -> Registry:
    """Load one file, or every ``*.toml`` of a directory; ConfigError names the file and the key."""
    place = Path(path)
    files = sorted(place.glob("*.toml")) if place.is_dir() else [place]
    if not files:
        raise ConfigError(f"no contract file (*.toml) in {place}")
    contracts = [load_contract(file) for file in files]
    seen: dict[str, Path] = {}
    for spec, file in zip(contracts, files, strict=True):
        if spec.key in seen:
            raise ConfigError(
                f"{file}: address: {spec.address} on chain {spec.chain_id} stands in {seen[spec.key]} already"
            )
        seen[spec.key] = file
    return Registry(contracts)


def load_contract(file: Path) -> ContractSpec:
    """Load one contract file; ConfigError names the file and the key, or the line that is not TOML."""
    try:
        table = Table(str(file), tomllib.loads(file.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(f"contract file {file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    table.has("logs")  # so that a misspelt key finds it among the known ones
    name, version = table.text("name"), table.text("version")
    abi = AbiFile(file.parent, table)
    chain_id, address = table.number("chain_id", 1), _address(table)
    deployment_block = table.number("deployment_block")
    decimals = table.number("token_decimals", 0, _MOST_DECIMALS)
    finality, levels = _finality(table), _levels(table.table("levels"))
    reads, references = _reads(table.table("reads"), abi), _references(table, abi)
    rules, unmapped = compile_rules(table, abi)
    actions = compile_actions(table, abi)
    table.nothing_else()
    return ContractSpec(
        name=name,
        version=version,
        chain_id=chain_id,
        address=address,
        deployment_block=deployment_block,
        finality=finality,
        token_decimals=decimals,
        levels=levels,
        rules=rules,
        unmapped=unmapped,
        reads=reads,
        references=references,
        abi=abi.entries,
        actions=actions,
    )


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
    if not _ADDRESS.fullmatch(address):
        raise table.error("address", f"{address!r} is not 0x and 40 hex digits")
    if address not in (address.lower(), checksummed(address)):
        raise table.error("address", f"{address} has a wrong checksum: {checksummed(address)} would be right")
    return address.lower()


def _finality(whole: Table) -> Finality:
    table = whole.table("finality")
    if table.has("tag") == table.has("depth"):
        raise table.error("tag", f"give either a tag ({', '.join(_TAGS)}) or a depth in blocks")
    if table.has("depth"):
        table.nothing_else()
        return Finality(depth=table.number("depth"))
    tag = table.text("tag")
    table.nothing_else()
    if tag not in _TAGS:
        raise table.error("tag", f"{tag!r} is no tag", tag, _TAGS)
    return Finality(tag=tag)


def _levels(table: Table) -> Levels:
    levels = Levels(
        table.table("names").number_keys(),
        table.text("collection", "custodians"),
        table.text("address_field", "walletAddress"),
        table.text("level_field", "level"),
    )
    table.nothing_else()
    return levels


def _reads(table: Table, abi: AbiFile) -> Reads:
    reads = Reads(
        _read(table, "state", abi, "bytes32", ("uint", "int")),
        _read(table, "tokenised", abi, "bytes32", ("bool",)) if table.has("tokenised") else None,
        _read(table, "level", abi, "address", ("uint", "int")) if table.has("level") else None,
    )
    table.nothing_else()
    return reads


def _read(table: Table, key: str, abi: AbiFile, takes: str, gives: tuple[str, ...]) -> FunctionCodec:
    function = abi.function(table, key)
    result = function.outputs.parts[0].type.spelling.rstrip("0123456789") if function.outputs.parts else ""
    if function.inputs.spelling != f"({takes})" or result not in gives:
        shape = f"{function.signature} → {function.outputs.spelling}"
        raise table.error(key, f"{shape} is not a function ({takes}) → ({' or '.join(gives)})")
    return function


def _references(table: Table, abi: AbiFile) -> list[tuple[FunctionCodec, str]]:
    references = []
    for entry in table.tables("reference"):
        function, name = abi.function(entry, "function"), entry.text("argument")
        kinds = {part.name: part.type.spelling for part in function.inputs.parts}
        if name not in kinds:
            raise entry.error("argument", f"{function.signature} has no argument {name!r}", name, kinds)
        if kinds[name] != "string":
            raise entry.error("argument", f"{name} of {function.signature} is {kinds[name]}, not string")
        entry.nothing_else()
        references.append((function, name))
    return references
