"""Whatever a node says, and in whatever order it is handled: in the end the events are the chain's."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.lies import LIES, lie_at, wait
from tests.support.listener import Scene, log
from tests.support.world import Alerts

_WINDOW = 8
_ACTIONS = st.one_of(
    st.tuples(st.just("grows"), st.integers(1, 6)),
    st.tuples(st.just("reorg"), st.integers(1, 6)),
    st.tuples(st.just("returns"), st.integers(1, 3)),
    st.tuples(st.just("receipts"), st.sampled_from(["served", "refused"])),
    st.tuples(
        st.just("lies"), st.dictionaries(st.integers(1, 80), st.sampled_from(sorted(LIES)), max_size=8)
    ),
    st.tuples(st.just("waits"), st.integers(1, 3)),
    st.tuples(st.just("restarts"), st.none()),
    st.tuples(st.just("handles"), st.none()),
)


class _Life:
    """One chain, its listener and its handler, to which things happen."""

    def __init__(self, first: int) -> None:
        self.scene = Scene(window=_WINDOW, max_range=30)
        self.scene.alerts = Alerts()
        self.scene.grow(first)
        self._left: list[Any] = []
        self._fork = 0

    def happens(self, what: str, how: Any) -> None:
        """Do one thing; the listener reads on after it."""
        getattr(self, f"_{what}")(how)
        self.scene.settle()

    def _grows(self, blocks: int) -> None:
        self.scene.grow(blocks)

    def _reorg(self, depth: int) -> None:
        self._left = list(self.scene.chain.blocks)
        self._fork += 1
        depth = min(depth, len(self._left) - 1)
        self.scene.chain.reorg(depth, {i: [log(1_000 * self._fork + i)] for i in range(depth)})
        self.scene.grow(1)

    def _returns(self, blocks: int) -> None:
        if self._left and self._depth() < _WINDOW:
            self.scene.chain.blocks, self._left = self._left, []
            behind = self.scene.cursor()["readThrough"] - (len(self.scene.chain.blocks) - 1)
            self.scene.grow(max(0, behind) + blocks)

    def _depth(self) -> int:
        ours = {block.header.hash for block in self._left}
        return sum(block.header.hash not in ours for block in self.scene.chain.blocks)

    def _receipts(self, how: str) -> None:
        self.scene.chain.provable = how == "served"

    def _lies(self, lies: dict[int, str]) -> None:
        lie_at(self.scene, lies)

    def _waits(self, times: int) -> None:
        wait(self.scene, times)

    def _restarts(self, _: None) -> None:
        self.scene.clock.advance(self.scene.settings.lease_s + 1)
        self.scene.follow = self.scene.listener()

    def _handles(self, _: None) -> None:
        self.scene.handle(self.scene.messages())


@given(
    first=st.integers(1, 60),
    happenings=st.lists(_ACTIONS, max_size=12),
    order=st.randoms(use_true_random=False),
)
@example(
    # A certificate that two readings had witnessed, and a third one, unproved, disputed.
    first=9,
    happenings=[
        ("receipts", "refused"), ("waits", 1), ("lies", {1: "altered and one made up"}), ("restarts", None),
        ("waits", 1),
    ],
    order=Random(1),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_an_index_says_the_events_are_the_chains(
    first: int, happenings: list[tuple[str, Any]], order: Random
) -> None:
    """Any lies, with reorgs, returns and restarts, handled doubled and shuffled, end in what blocks hold."""
    life = _Life(first)
    for what, how in happenings:
        life.happens(what, how)
    life.happens("receipts", "served")
    life.happens("grows", 1)
    wait(life.scene, 60)
    messages = life.scene.messages() * 2
    order.shuffle(messages)
    life.scene.handle(messages)
    life.scene.assert_outcome()
