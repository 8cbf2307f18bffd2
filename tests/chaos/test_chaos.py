from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.local import chain_control
from tests.chaos.judge import checksum
from tests.chaos.plan import FAULTS, Happening, Plan, Reorg, plan
from tests.chaos.scenario import Chaos
from tests.chaos.stage import Stage, staged
from tests.support.fault_answers import Fault

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 12.0
HARD = (
    Happening("lag", (0.1,) * 6, (Fault("lag", 1.0, 8), Fault("no receipts"))),
    Happening("the same transactions in other blocks", (0.1,) * 3, (), (Reorg(7, 1.0),)),
    Happening("an index that lies", (0.1,) * 4, (Fault("no receipts"), Fault("last log missing"))),
    Happening("logs made up", (0.1,) * 4, (Fault("no receipts"), Fault("made-up logs"))),
    Happening("logs altered", (0.1,) * 4, (Fault("no receipts"), Fault("altered logs"))),
    Happening("the same lie told twice", (1.0,) * 8, (Fault("no receipts"), Fault("empty logs"))),
    Happening(
        "a lie, and receipts one by one", (0.2,) * 5, (Fault("no block receipts"), Fault("empty logs"))
    ),
    Happening("60 blocks gone while it is down", (0.1,) * 3, (), (Reorg(60, 0.5),), kill="all at once"),
    Happening(
        "half receipts, and hashes unknown", (0.1,) * 4, (Fault("partial receipts"), Fault("hash gone", 0.3))
    ),
    Happening("mute", (0.1,) * 4, (Fault("stall"),), (Reorg(1, 0.0),)),
    Happening(
        "three in a row", (0.1,) * 6, (), (Reorg(7, 0.5), Reorg(1, 1.0), Reorg(7, 0.0)), kill="listener"
    ),
)


@pytest.mark.parametrize("seed", [3])
def test_events_are_the_chain_and_states_the_contract_after_chaos(tmp_path: Path, seed: int) -> None:
    """Faults, reorgs and kills by a seed: in the end the store holds the canonical chain, exactly."""
    print(f"to repeat it: python -m tests.chaos --seed {seed} --seconds {SECONDS:g}")  # noqa: T201
    assert Chaos(tmp_path, seed).run(SECONDS) == []


def test_hard_faults_in_a_row_leave_nothing_behind(tmp_path: Path) -> None:
    """What comparable systems fail at, one thing after the other, a slow and narrow back-fill first."""
    what = Plan((Fault("range cap", 1.0, 7), Fault("slow", 1.0, 0.05)), Reorg(7, 0.5), HARD)
    assert Chaos(tmp_path, 11).live(what) == []


def test_what_a_back_fill_was_told_wrongly_is_taken_back(tmp_path: Path) -> None:
    """An index that makes logs up and alters others, the whole time: its blocks are proved, and put right."""
    lies = (Fault("made-up logs"), Fault("altered logs"))
    what = Plan(lies, Reorg(7, 0.5), (Happening("the same lies", (0.5,) * 20, lies),))
    assert Chaos(tmp_path, 13).live(what, back_fill=200) == []


def test_two_runs_over_one_chain_end_the_same(tmp_path: Path) -> None:
    """Events and states are the chain's alone, not those of a run: their checksum is the same."""
    sums = []

    def follow_again(stage: Stage) -> None:
        sums.append(checksum(stage.store))
        stage.local.end()
        stage.proxy.set(Fault("partial logs"))
        for file in stage.store.parent.glob("store.sqlite*"):
            file.unlink()
        stage.load.map_some(stage.store)
        stage.local.start()

    calm = Plan((), None, ())
    assert Chaos(tmp_path, 5, again=follow_again).live(calm, back_fill=200) == []
    sums.append(checksum(tmp_path / "store.sqlite"))
    assert sums[0] == sums[1]


def test_empty_blocks_and_a_start_before_the_contract_are_ordinary(tmp_path: Path) -> None:
    """500 blocks before there is a contract, 500 without a log after it: read from block 0 on."""
    with staged(tmp_path, empty_blocks=500, options=("--start-block", "0")) as stage:
        stage.local.start()
        for _ in range(10):
            stage.load.block()
        chain_control.mine(stage.escrow.rpc, 500)
        stage.load.block()
        assert stage.settled() == []


def test_a_plan_is_the_seeds_alone() -> None:
    """The same seed plans the same, another something else; together they plan every fault."""
    assert plan(7, 60.0) == plan(7, 60.0) != plan(8, 60.0)
    met = {fault for seed in range(30) for what in plan(seed, 40.0).happenings for fault in what.faults or ()}
    assert met >= set(FAULTS)
