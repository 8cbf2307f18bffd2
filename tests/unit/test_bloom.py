"""The logs bloom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.bloom import BLOOM_BYTES, bloom_of, may_hold
from tests.support.blocks import recorded

USDT = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
NOBODY = "0x" + "c0" * 20
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda data: "0x" + data.hex())
TOPICS = st.binary(min_size=32, max_size=32).map(lambda data: "0x" + data.hex())
LOGS = st.lists(
    st.fixed_dictionaries({"address": ADDRESSES, "topics": st.lists(TOPICS, max_size=4)}), max_size=8
)


def test_the_bloom_is_the_one_that_nodes_compute() -> None:
    """From a receipt's logs comes the bloom that geth and anvil put into receipt and block."""
    known = recorded("geth")["bloom"]
    assert "0x" + bloom_of(known["logs"]).hex() == known["logsBloom"]
    for name in ("block_0", "block_40", "types"):
        block = recorded(name)
        assert "0x" + bloom_of(block["logs"]).hex() == block["block"]["logsBloom"]


def test_a_bloom_of_mainnet() -> None:
    """A crowded block of mainnet may hold logs of its busiest token, however that is spelled."""
    bloom = bytes.fromhex(recorded("mainnet")[1]["logsBloom"][2:])
    assert may_hold(bloom, USDT)
    assert may_hold(bloom, USDT.lower())


def test_an_empty_bloom_holds_nothing() -> None:
    """Without a bit there is no log, and no logs set no bit."""
    assert bloom_of([]) == bytes(BLOOM_BYTES)
    assert not may_hold(bytes(BLOOM_BYTES), NOBODY)


@given(LOGS)
def test_there_are_no_false_negatives(logs: list[dict[str, object]]) -> None:
    """Every address among the logs is one that their bloom may hold."""
    bloom = bloom_of(logs)
    assert all(may_hold(bloom, str(log["address"])) for log in logs)
