"""What is kept of fees, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_record import (
    CHUNK_BLOCKS,
    GAS_SAMPLES_KEPT,
    TIP_SAMPLES_KEPT,
    FeeRow,
    GasSample,
    TipSample,
    chunk_document,
    chunk_rows,
    gas_document,
    gas_samples,
    gas_use,
    tip_document,
    tip_samples,
)
from shared.domain.tips import TipObservation
from shared.errors import CorruptEvent, InvalidInput

_WEI = st.integers(0, 2**80)
_HASHES = st.integers(0, 2**256 - 1).map(lambda n: f"0x{n:064x}")


@st.composite
def _rows(draw: st.DrawFn) -> list[FeeRow]:
    numbers = draw(st.lists(st.integers(300, 300 + CHUNK_BLOCKS - 1), unique=True, max_size=8))
    rows = []
    for number in numbers:
        limit = draw(st.integers(1, 2**40))
        tips = draw(st.dictionaries(st.sampled_from([10, 20, 50, 99.5]), _WEI))
        fees = BlockFees(
            number, draw(st.integers(0, 2**40)), draw(_WEI), draw(st.integers(0, limit)), limit, tips
        )
        rows.append(FeeRow(fees, draw(_HASHES)))
    return rows


@given(_rows())
def test_rows_survive_their_document(rows: list[FeeRow]) -> None:
    """A chunk gives back the rows that it was made of, to the wei, by height."""
    document = chunk_document(1, 3, rows)
    assert chunk_rows(document) == sorted(rows, key=lambda row: row.fees.number)
    assert chunk_document(1, 3, chunk_rows(document)) == document


def test_a_block_replaced_counts_as_it_came_last() -> None:
    """Of two rows of one height the later one is kept, and a row of another chunk is refused."""
    old, new = (FeeRow(BlockFees(300, 1, fee, 0, 10), f"0x{fee}") for fee in (5, 6))
    assert chunk_rows(chunk_document(1, 3, [old, new])) == [new]
    with pytest.raises(InvalidInput, match="chunk 4"):
        chunk_document(1, 4, [old])


@given(st.lists(st.builds(GasSample, _HASHES, st.integers(0, 10**9), st.integers(0, 10**8)), max_size=120))
def test_gas_samples_are_the_latest_and_counted_once(samples: list[GasSample]) -> None:
    """At most 50 are kept, and feeding any of them again changes nothing."""
    document = gas_document(samples)
    kept = gas_samples(document)
    assert len(kept) == min(len({each.transaction_hash for each in samples}), GAS_SAMPLES_KEPT)
    assert gas_document([*kept, *kept]) == document
    use = gas_use(kept)
    if use is None:
        assert document == {"samples": ""}
    else:
        assert use.least <= use.mean <= use.most
        assert use.least <= use.p95 <= use.most
        assert sum(each.gas_used <= use.p95 for each in kept) * 100 >= 95 * len(kept)


@given(
    st.lists(
        st.builds(
            TipSample,
            _HASHES,
            st.integers(0, 10**9),
            st.builds(TipObservation, _WEI, _WEI, st.integers(1, 99)),
        ),
        max_size=20,
    )
)
def test_tip_samples_survive_their_document(samples: list[TipSample]) -> None:
    """Tips and waits come back to the wei, each transaction once."""
    kept = tip_samples(tip_document(samples))
    assert {each.transaction_hash for each in kept} == {each.transaction_hash for each in samples}
    assert set(kept) <= set(samples)
    assert tip_samples(tip_document(kept)) == kept


def test_tip_samples_are_bounded() -> None:
    """The latest are kept, however many there were."""
    seen = TipObservation(1, 1, 1)
    many = [TipSample(f"0x{number:064x}", number, seen) for number in range(TIP_SAMPLES_KEPT + 10)]
    assert tip_samples(tip_document(many)) == many[10:]


@pytest.mark.parametrize(
    "rows",
    [
        None, 7, "300 0xab 1 2", "300 0xab 1 x 0 10", "300 0xab 1 2 11 10", "300 0xab 1 2 0 10 p10:1:2",
        f"{2**53} 0xab 1 2 0 10", f"300 0xab 1 {2**256} 0 10", f"300 0xab 1 {'9' * 5000} 0 10",
    ],
)  # fmt: skip
def test_a_damaged_chunk_is_told(rows: object) -> None:
    """What is no chunk is an error, not fewer blocks."""
    with pytest.raises(CorruptEvent):
        chunk_rows({"rows": rows})


@pytest.mark.parametrize(
    "samples",
    ["1 0xab", "1 0xab -5", "1 0xab 5 6", f"1 0xab {2**63}", f"{2**53} 0xab 5", f"1 0xab {'9' * 5000}"],
)
def test_damaged_samples_are_told(samples: str) -> None:
    """What is no sample is an error."""
    with pytest.raises(CorruptEvent):
        gas_samples({"samples": samples})
    with pytest.raises(CorruptEvent):
        tip_samples({"samples": "1 0xab 5 6 0"})
    with pytest.raises(CorruptEvent):
        tip_samples({"samples": f"1 0xab 5 6 {2**60}"})
