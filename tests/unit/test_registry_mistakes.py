"""Mistakes in a contract file: each is named, with what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.contracts.registry import load_registry
from shared.errors import ConfigError
from tests.support.contracts import OTHER_ABI, OTHER_FILE, ROLLOVERS, write_other

if TYPE_CHECKING:
    from pathlib import Path


def _changed(old: str, new: str) -> str:
    assert old in OTHER_FILE, old
    return OTHER_FILE.replace(old, new, 1)


LOWER = 'address = "' + ROLLOVERS
BAD_FILES = [
    ("chain_id = 421614", "chain_id = ", r"rollovers\.toml is not TOML: .*line 4"),
    ("chain_id = 421614", 'chain_id = "1"', r"rollovers\.toml: chain_id: must be a whole number, not '1'"),
    ("chain_id = 421614", "chain_id = 0", "chain_id: must be from 1 to"),
    ("chain_id = 421614", "chainid = 421614", "chain_id: is missing; is 'chainid' it"),
    ("deployment_block = 70", "", "deployment_block: is missing$"),
    ("deployment_block = 70", "deployment_block = -1", "deployment_block: must be from 0"),
    ('name = "Rollovers"', 'name = ""', "name: must be a text"),
    ('without = ["burned"]', 'witout = ["burned"]', "logs: no .* means burned: .* without"),
    ('without = ["burned"]', 'without = ["burned"]\nowner = "me"', "owner: is not a known key"),
    ('without = ["burned"]', 'without = ["burnd"]', "without: 'burnd' .* did you mean 'burned'"),
    ('without = ["burned"]', 'without = ["burned", "minted"]', "without: step minted is mapped"),
    ('abi = "rollovers.json"', 'abi = "missing.json"', r"abi: .*missing\.json cannot be read: No such file"),
    ('abi = "rollovers.json"', 'abi = "rollovers.toml"', r"abi: .*rollovers\.toml is not JSON"),
    (LOWER, 'address = "0x12', "address: .* is not 0x and 40 hex digits"),
    (LOWER, 'address = "' + "0x" + "bE" * 20, "address: .*wrong checksum: 0x[bBeE]{40} would be right"),
    ("depth = 20", 'depth = 20\ntag = "safe"', "finality: tag: give either a tag .* or a depth"),
    ("depth = 20", "", "finality: tag: give either"),
    ("depth = 20", 'tag = "finalised"', "finality: tag: .* did you mean 'finalized'"),
    ("depth = 20", "depht = 20", "finality: tag: give either"),
    ('collection = "firms"', 'colection = "firms"', "levels: colection: .* did you mean 'collection'"),
    ('1 = "basic"', 'one = "basic"', "levels: names: one: must be a number"),
    ('state = "stage"', "", "reads: state: is missing"),
    ('state = "stage"', 'state = "stge"', "reads: state: 'stge' is no function .* did you mean 'stage'"),
    ('state = "stage"', 'state = "consent"', r"reads: state: consent\(string,bytes32\) → \(\) is not a func"),
    ('state = "stage"', 'state = "stage"\nlevels = "stage"', "reads: levels: .* did you mean 'level'"),
    ('argument = "note"', 'argument = "key"', r"reference\[1\]: argument: key .* is bytes32, not string"),
    ('argument = "note"', 'argument = "nota"', r"reference\[1\]: argument: .* did you mean 'note'"),
    ('argument = "note"', 'argument = "note"\nsince = 1', r"reference\[1\]: since: is not a known key"),
    ('event = "Consent"', 'event = "Consents"', r"logs\[1\]: event: .* did you mean 'Consent'"),
    ('event = "Coined(bytes32,uint256,uint40)"', 'event = "Coined"', r"logs\[4\]: event: .* overloaded: "),
    ('event = "Closed"', 'event = "Done"', r"logs\[5\]: transfer: .*has no argument 'key'"),
    ('transfer = "key"', 'transfer = "by"', r"logs\[1\]: transfer: argument by of Consent is not bytes32"),
    ('transfer = "key"', 'transfer = "kez"', r"logs\[1\]: transfer: .* did you mean 'key'"),
    ('step = "executed"', 'step = "executed"\nnote = "x"', r"logs\[3\]: note: is not a known key"),
    ('step = "financial"', 'step = "finance"', r"logs\[2\]: step: .* did you mean 'financial'"),
    ('step = "financial"', "", r"logs\[2\]: step: give either step, or step_by"),
    ('1 = "agree_send"', '1 = "agree"', r"logs\[1\]: step_by: 1: 'agree' is no lifecycle step"),
    ('argument = "party"', 'argument = "prty"', r"step_by: argument: .* did you mean 'party'"),
    ('timestamp = "when" }', 'timestamp = "then" }', r"arguments\.timestamp: .* did you mean 'when'"),
    ('timestamp = "when" }', 'timstamp = "when" }', r"arguments\.timestamp: is missing.* is 'timstamp' it"),
    ('federalTax = "money.fed"', "", r"logs\[2\]: arguments\.federalTax: is missing: step financial needs"),
    ('"money.fed"', '"money"', r"arguments\.federalTax: argument 'money' has parts"),
    ('"money.fed"', '"money.fedTax"', r"arguments\.federalTax: the event has no argument 'money\.fedTax'"),
    ('"fundSources.roth"', '"fundSources.rot"', r"arguments\.fundSources\.roth: is missing"),
    ('grossAmount = "sum"', 'grossAmount = "rolloverName"', "is indexed: the log keeps its hash only"),
    ('timestamp = "when" }', 'timestamp = "when", gas = "when" }', r"arguments\.gas: is no field of the"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BAD_FILES)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """A typing mistake or a wrong value stops the start, naming file, key and what would be right."""
    with pytest.raises(ConfigError, match=message) as caught:
        load_registry(write_other(tmp_path, _changed(old, new)))
    assert "rollovers.toml" in str(caught.value)


def test_an_event_mapped_twice_is_refused(tmp_path: Path) -> None:
    """Two entries for one event contradict each other."""
    again = (
        '\n[[logs]]\nevent = "Closed"\ntransfer = "key"\nstep = "settled"\narguments = {timestamp = "when"}'
    )
    with pytest.raises(ConfigError, match=r"logs\[6\]: event: Closed\(bytes32,uint40\) is mapped twice"):
        load_registry(write_other(tmp_path, OTHER_FILE + again))


@pytest.mark.parametrize(
    ("abi", "message"),
    [
        ({"bytecode": "0x"}, "neither a list of ABI entries nor an artefact"),
        ([5], "neither a list of ABI entries"),
        ([{"type": "event", "inputs": 5}], "neither a list of ABI entries"),
        ([*OTHER_ABI, {"type": "event", "name": "X", "inputs": [{"type": "uint7"}]}], "unknown type 'uint7'"),
        (
            [
                *OTHER_ABI,
                {**OTHER_ABI[5], "inputs": [{**i, "indexed": False} for i in OTHER_ABI[5]["inputs"]]},
            ],
            r"event Closed\(bytes32,uint40\) twice, and differently",
        ),
    ],
)
def test_a_broken_abi_is_named(tmp_path: Path, abi: object, message: str) -> None:
    """An ABI file that is none, or that contradicts itself, is a ConfigError naming it."""
    with pytest.raises(ConfigError, match=f"abi: .*rollovers.json.*{message}"):
        load_registry(write_other(tmp_path, abi=abi))


def test_an_artefact_and_repeated_entries_are_accepted(tmp_path: Path) -> None:
    """The ABI may stand in a compiler's artefact, and an entry may be repeated word by word."""
    spec = load_registry(write_other(tmp_path, abi={"abi": [*OTHER_ABI, OTHER_ABI[0]]})).contracts[0]
    assert len(spec.abi) == len(OTHER_ABI)


def test_one_address_stands_in_one_file(tmp_path: Path) -> None:
    """Two files with the same chain id and address are refused, the same address on two chains is not."""
    write_other(tmp_path)
    (tmp_path / "second.toml").write_text(OTHER_FILE.replace("421614", "1"), "utf-8")
    assert load_registry(tmp_path).chains == [1, 421614]
    (tmp_path / "third.toml").write_text(OTHER_FILE, "utf-8")
    with pytest.raises(ConfigError, match=r"third\.toml: address: .* stands in .*rollovers\.toml already"):
        load_registry(tmp_path)


def test_a_registry_without_files_is_refused(tmp_path: Path) -> None:
    """An empty directory and a path to nothing are configuration errors."""
    with pytest.raises(ConfigError, match="no contract file"):
        load_registry(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_registry(tmp_path / "none.toml")
