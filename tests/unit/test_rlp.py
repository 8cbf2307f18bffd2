from __future__ import annotations

import rlp as library
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from shared.domain.rlp import encode, ordered_root, shortest

_ITEMS = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=20), max_leaves=40)


@settings(max_examples=500)
@given(item=_ITEMS)
def test_whatever_is_encoded_is_what_the_library_encodes(item: object) -> None:
    """Bytes and nested lists, short and long, come out as in the library that the field uses."""
    assert encode(item) == library.encode(item)


@settings(max_examples=200)
@given(values=st.lists(st.binary(min_size=1, max_size=60), max_size=300))
def test_the_root_is_that_of_the_library_s_trie(values: list[bytes]) -> None:
    """Any number of values, nodes short enough to stand in their parents among them, gives the same root."""
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[library.encode(index)] = value
    assert ordered_root(values) == bytes(trie.root_hash)


@given(number=st.integers(0, 2**256))
def test_numbers_have_no_leading_zeros(number: int) -> None:
    """A quantity is its shortest bytes, and 0 has none."""
    assert int.from_bytes(shortest(number)) == number
    assert not shortest(number).startswith(b"\\0")
