"""Wrong fields of a quote are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.app.quote_request import FIELDS, parse_query, read_request
from shared.domain.contract import Registry
from shared.errors import InvalidInput
from tests.support.world import registry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def known(tmp_path: Path) -> Registry:
    """Give one contract on chain 1."""
    return registry(tmp_path)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "action"),
        ("action=", "action"),
        ("action=agreeSend", "action"),
        ("action=agree_send&chain=5", "chain"),
        ("action=agree_send&chain=mainnet", "chain"),
        ("action=agree_send&chain=", "chain"),
        ("action=agree_send&chain=0x1", "chain"),
        ("action=agree_send&chain=9999999999999999999999999999", "chain"),
        ("action=agree_send&within_blocks=0", "within_blocks"),
        ("action=agree_send&within_blocks=1000000000", "within_blocks"),
        ("action=agree_send&within_blocks=-1", "within_blocks"),
        ("action=agree_send&within_blocks=1.5", "within_blocks"),
        ("action=agree_send&within_blocks=", "within_blocks"),
        ("action=agree_send&within_blocks=%D9%A3", "within_blocks"),
        ("action=agree_send&confidence=1.5", "confidence"),
        ("action=agree_send&confidence=0", "confidence"),
        ("action=agree_send&confidence=1", "confidence"),
        ("action=agree_send&confidence=nan", "confidence"),
        ("action=agree_send&confidence=1e-3", "confidence"),
        ("action=agree_send&confidence=-0.5", "confidence"),
        ("action=agree_send&transfer=", "transfer"),
        ("action=agree_send&transfer=a/b", "transfer"),
        ("action=agree_send&transfer=__x__", "transfer"),
        ("action=agree_send&contract=0x12", "contract"),
        ("action=agree_send&contract=0x" + "99" * 20, "contract"),
        ("action=agree_send&from=me", "from"),
        ("action=agree_send&data=0x12", "data"),
        ("action=agree_send&data=0x123456789", "data"),
        ("action=agree_send&data=5aaa4670", "data"),
        ("action=agree_send&within=3", "within"),
        ("action=agree_send&action=mint_tokens", "action"),
        ("action=agree_send&transfer=%ff", "query"),
        ("action", "query"),
        ("&".join(["action=agree_send"] * 2000), "action"),
    ],
)
def test_what_is_wrong_is_named(known: Registry, query: str, field: str) -> None:
    """Each wrong field is refused with its name, and nothing is asked of a node."""
    with pytest.raises(InvalidInput, match=field):
        read_request(parse_query(query), known)


def test_half_a_surrogate_pair_is_no_transfer(known: Registry) -> None:
    """What a command line makes of bytes that are no text is refused by name."""
    with pytest.raises(InvalidInput, match="transfer"):
        read_request({"action": "agree_send", "transfer": "\udcff"}, known)


def test_what_is_left_out_has_its_default(known: Registry) -> None:
    """One chain and one contract need not be named; the deadline is 5 blocks, the wanted chance 0.98."""
    asked = read_request(parse_query("action=mint_tokens"), known)
    assert (asked.spec.chain_id, asked.within_blocks, asked.confidence) == (1, 5, 0.98)
    assert asked.transfer is asked.sender is asked.data is None


def test_everything_can_be_said(known: Registry) -> None:
    """Every field is taken; hex is read in whatever case."""
    address = known.contracts[0].address.upper().replace("0X", "0x")
    text = (
        f"chain=1&contract={address}&action=agree_send&transfer=a%20b&within_blocks=1000&confidence=0.5"
        f"&from=0x{'AB' * 20}&data=0x5AAA4670"
    )
    asked = read_request(parse_query(text), known)
    assert asked.transfer == "a b"
    assert asked.sender == "0x" + "ab" * 20
    assert asked.data == bytes.fromhex("5aaa4670")


def test_which_contract_must_be_said_where_there_are_several(tmp_path: Path) -> None:
    """With two contracts on a chain, or two chains, nothing is guessed."""
    one, other = registry(tmp_path / "a"), registry(tmp_path / "b", 1, "0x" + "12" * 20)
    third = registry(tmp_path / "c", 10)
    both = Registry([*one.contracts, *other.contracts])
    with pytest.raises(InvalidInput, match="contract must be given"):
        read_request({"action": "agree_send"}, both)
    assert (
        read_request({"action": "agree_send", "contract": "0x" + "12" * 20}, both).spec is other.contracts[0]
    )
    with pytest.raises(InvalidInput, match="chain must be given"):
        read_request({"action": "agree_send"}, Registry([*one.contracts, *third.contracts]))


@given(st.dictionaries(st.sampled_from([*FIELDS, "x"]), st.text(max_size=20), max_size=5))
def test_any_text_is_taken_or_refused_by_name(given_fields: dict[str, str]) -> None:
    """Whatever stands in the fields, the answer is a request or an InvalidInput."""
    empty = Registry([])
    with pytest.raises(InvalidInput):
        read_request(given_fields, empty)
