"""Random lives of a chain whose log index lies: reorgs, returns, kills, receipts that come and go."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from shared.errors import PlumblineError
from tests.support.lies import LIES
from tests.support.listener import Fuse, Killed, Scene, log
from tests.support.world import Alerts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.follow_chain import FollowChain
    from shared.ports import Message, RawLog
    from tests.support.fake_chain import FakeBlock

_WEIGHTS = {
    "grow": 2, "step": 3, "reorg": 1, "back": 1, "receipts": 1, "kill": 1, "time": 1, "deliver": 3,
}  # fmt: skip


class _Life:
    """One life; what is delivered comes in any order, and some of it twice, days apart."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.window = self.chance.choice((4, 8, 16))
        self.scene = Scene(
            window=self.window,
            max_range=self.chance.choice((5, 30)),
            publish_batch=self.chance.choice((2, 1_000)),
        )
        self.scene.alerts = Alerts()
        self.scene.chain.index_says = self._says
        self.scene.chain.provable = self.chance.random() < 0.5
        self._lies: dict[int, str] = {}
        self._lying = self.chance.choice((0.3, 0.5, 1.0))
        self._forks: list[list[FakeBlock]] = []
        self._follow: FollowChain = self.scene.listener()
        self._pending: list[Message] = []
        self._sent = 0
        self._names = 0

    def _says(self, raw: RawLog) -> Sequence[RawLog]:
        number = int(raw["blockNumber"], 16)
        lies = number in self._lies and self.chance.random() < self._lying
        return LIES[self._lies[number]](raw) if lies else [raw]

    def live(self, happenings: int) -> None:
        """Let things happen."""
        self.grow(self.chance.randint(1, 60))
        for number in range(1, len(self.scene.chain.blocks) + 40):
            if self.chance.random() < 0.2:
                self._lies[number] = self.chance.choice(sorted(LIES))
        for kind in self.chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=happenings):
            getattr(self, kind)()

    def end(self) -> None:
        """Let receipts come for good, all that is due be read again, and all that is left arrive."""
        self.scene.chain.provable = True
        for _ in range(2):
            self.grow(self.window + 2)
            for _ in range(80):
                self.time(20)
                self.step(200)
        self._pending += self.scene.messages()[self._sent :]
        self.chance.shuffle(self._pending)
        self.scene.handle(self._pending)

    def end_without_a_block(self, seconds: float) -> None:
        """Let receipts come for good and the index be honest, and all that is left arrive that late."""
        self.scene.chain.provable = True
        self.scene.chain.index_says = lambda raw: [raw]
        for _ in range(int(2 * seconds)):
            self.time(0.5)
            self.step(200)
        self.scene.handle([*self._pending, *self.scene.messages()[self._sent :]])

    def grow(self, blocks: int | None = None) -> None:
        """Mine blocks, not all with logs."""
        for _ in range(blocks or self.chance.randint(1, 3)):
            self._names += 10
            self.scene.chain.mine([log(self._names + i) for i in range(self.chance.choice((0, 1, 1, 2)))])

    def step(self, steps: int | None = None) -> None:
        """Let the listener do something; one that dies has a successor."""
        for _ in range(steps or self.chance.choice((1, 3, 50))):
            try:
                if not self._follow.step().more:
                    return
            except Killed:
                self._restart(Fuse())
            except PlumblineError as error:
                assert error.retryable  # noqa: PT017 - any other ends the listener
                self.time(1)

    def kill(self) -> None:
        """Let the listener die at a write that is to come."""
        self._restart(Fuse(self.chance.randint(1, 12), self.chance.random() < 0.5))
        self.step(6)

    def _restart(self, fuse: Fuse) -> None:
        self.time(self.scene.settings.lease_s + 1)
        self._follow = self.scene.listener(fuse)

    def reorg(self) -> None:
        """Replace some blocks."""
        chain, depth = self.scene.chain, self.chance.randint(1, 3)
        if len(chain.blocks) > depth + 2:
            self._forks.append(list(chain.blocks))
            self._names += 100
            chain.reorg(depth, {i: [log(self._names + i)] for i in range(depth)})

    def back(self) -> None:
        """Let the last blocks that were replaced return, where nothing that is final forbids it."""
        if not self._forks:
            return
        chain, fork = self.scene.chain, self._forks[-1]
        pairs = zip(chain.blocks, fork, strict=False)
        shared = sum(ours.header == theirs.header for ours, theirs in pairs)
        if len(chain.blocks) - shared < self.window - 2:
            self._forks[-1], chain.blocks = chain.blocks, list(fork)

    def receipts(self) -> None:
        """Let receipts be refused, or served."""
        self.scene.chain.provable = not self.scene.chain.provable

    def time(self, seconds: float | None = None) -> None:
        """Let time pass."""
        self.scene.clock.advance(seconds or self.chance.choice((1, 6, 30, 61)))

    def deliver(self) -> None:
        """Deliver some of what was published."""
        self._pending += self.scene.messages()[self._sent :]
        self._sent = len(self.scene.messages())
        self.chance.shuffle(self._pending)
        now = self._pending[: self.chance.randint(0, len(self._pending))]
        self.scene.handle(now + self.chance.sample(now, min(len(now), 3)))
        again = [message for message in now if self.chance.random() < 0.1]
        self._pending = self._pending[len(now) :] + again


@pytest.mark.parametrize("seed", [*range(40), 244, 398])
def test_whatever_the_index_says_and_whenever_events_end_as_the_blocks_are(seed: int) -> None:
    """Nothing made up or altered counts in the end, and every log of the chain does."""
    life = _Life(seed)
    life.live(60)
    life.end()
    life.scene.assert_outcome()


@pytest.mark.parametrize("seed", range(1_000, 1_030))
def test_events_are_as_the_blocks_are_soon_after_the_node_is_honest(seed: int) -> None:
    """Within 45 s of listening, without a new block, whatever was told before."""
    life = _Life(seed)
    life.live(60)
    life.end_without_a_block(45)
    life.scene.assert_outcome()
