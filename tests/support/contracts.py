"""Contract files for tests: the escrow's, and one whose events and arguments are all named otherwise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality

if TYPE_CHECKING:
    from pathlib import Path

    from shared.domain.contract import ContractSpec

ESCROW = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ROLLOVERS = "0x" + "be" * 20


def escrow_spec(directory: Path, chain_id: int = 31337, deployment_block: int = 1) -> ContractSpec:
    """Return the escrow as ``plumbline local`` would register it."""
    file = write_contract_file(directory, chain_id, ESCROW, deployment_block, Finality(tag="finalized"))
    return load_registry(file).contracts[0]


def _arguments(spelled: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": kind, "indexed": bool(flags)}
        for kind, *flags, name in (argument.split() for argument in spelled.split(","))
    ]


def _entry(kind: str, name: str, inputs: str, outputs: str = "") -> dict[str, Any]:
    made = {"type": kind, "name": name, "inputs": _arguments(inputs)}
    return {**made, "outputs": [{"name": "", "type": outputs}]} if outputs else made


MONEY = _arguments(
    "uint64 preTax,uint64 match_,uint64 rothPart,uint64 after,uint64 all_,uint32 year,uint64 fed,uint64 state"
)
OTHER_ABI: list[dict[str, Any]] = [
    _entry("event", "Consent", "uint8 party,bytes32 indexed key,address by,uint40 when"),
    {
        "type": "event",
        "name": "Statement",
        "inputs": [
            {"name": "money", "type": "tuple", "components": MONEY},
            {"name": "key", "type": "bytes32"},
        ],
    },
    _entry("event", "Done", "string indexed rolloverName,uint128 sum,uint40 when"),
    _entry("event", "Coined", "bytes32 indexed key,uint256 coins,uint40 when"),
    _entry("event", "Coined", "bytes32 indexed key,uint256 coins"),
    _entry("event", "Closed", "bytes32 indexed key,uint40 when"),
    _entry("event", "OwnerChanged", "address indexed owner"),
    _entry("function", "stage", "bytes32 key", "uint256"),
    _entry("function", "consent", "string note,bytes32 key"),
]
"""Another contract's ABI: own names, another order, narrower numbers, an overloaded event, no burn."""

OTHER_FILE = f"""
name = "Rollovers"
version = "1"
chain_id = 421614
address = "{ROLLOVERS}"
abi = "rollovers.json"
deployment_block = 70
token_decimals = 6
without = ["burned"]

[finality]
depth = 20

[levels]
collection = "firms"
names = {{ 1 = "basic", 3 = "full" }}

[reads]
state = "stage"

[[reference]]
function = "consent"
argument = "note"

[[logs]]
event = "Consent"
transfer = "key"
step_by = {{ argument = "party", 1 = "agree_send", 2 = "agree_receive" }}
arguments = {{ custodian = "by", timestamp = "when" }}

[[logs]]
event = "Statement"
transfer = "key"
step = "financial"
[logs.arguments]
grossAmount = "money.all_"
"fundSources.employeePreTax" = "money.preTax"
"fundSources.employerMatch" = "money.match_"
"fundSources.roth" = "money.rothPart"
"fundSources.afterTax" = "money.after"
fundSources.gross = "money.all_"
fundSources.taxYear = "money.year"
federalTax = "money.fed"
stateTax = "money.state"

[[logs]]
event = "Done"
transfer = "rolloverName"
step = "executed"
arguments = {{ grossAmount = "sum", timestamp = "when" }}

[[logs]]
event = "Coined(bytes32,uint256,uint40)"
transfer = "key"
step = "minted"
arguments = {{ amount = "coins", timestamp = "when" }}

[[logs]]
event = "Closed"
transfer = "key"
step = "settled"
arguments = {{ timestamp = "when" }}
"""


def write_other(directory: Path, text: str = OTHER_FILE, abi: object = OTHER_ABI) -> Path:
    """Write the other contract's file and ABI; return the file."""
    (directory / "rollovers.json").write_text(json.dumps(abi), "utf-8")
    file = directory / "rollovers.toml"
    file.write_text(text, "utf-8")
    return file
