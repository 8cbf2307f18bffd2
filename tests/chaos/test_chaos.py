from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.judge import checksum
from tests.chaos.scenario import Chaos, Local
from tests.support.fault_answers import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fault_proxy import FaultProxy

_SECONDS = 12.0


@pytest.mark.parametrize("seed", [3, 7])
def test_events_are_the_chain_and_states_the_contract_after_chaos(tmp_path: Path, seed: int) -> None:
    """Faults, reorgs and kills by a seed: in the end the store holds the canonical chain, exactly."""
    chaos = Chaos(tmp_path, seed)
    print(f"seed {seed}: python -m tests.chaos --seed {seed} --seconds {_SECONDS:g}")  # noqa: T201 - to repeat it
    assert chaos.run(_SECONDS) == []


def test_two_runs_over_one_chain_end_the_same(tmp_path: Path) -> None:
    """Events and states are the chain's alone, not those of a run: their checksum is the same."""
    sums = []

    def follow_again(chaos: Chaos, proxy: FaultProxy, local: Local) -> None:
        sums.append(checksum(chaos.store))
        local.end()
        proxy.set(Fault("partial logs"), Fault("rpc error", 0.1))
        chaos.store.rename(chaos.home / "first.sqlite")
        for rest in chaos.home.glob("store.sqlite-*"):
            rest.unlink()
        local.start()
        chaos.map(chaos.store)

    chaos = Chaos(tmp_path, 5, again=follow_again)
    assert chaos.run(2.0, back_fill=200) == []
    sums.append(checksum(chaos.store))
    assert sums[0] == sums[1]
