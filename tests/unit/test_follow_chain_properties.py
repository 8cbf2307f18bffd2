from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.completeness import SINGLE
from shared.domain.log_coordinates import id_of_log
from shared.errors import PlumblineError
from tests.support.listener import Fuse, Killed, Scene, log

if TYPE_CHECKING:
    import random

    from shared.app.follow_chain import FollowChain
    from tests.support.fake_chain import FakeBlock

_WINDOW = 8
_FINAL_BEFORE_HANDLED = 0.5

_HAPPENINGS = st.one_of(
    st.tuples(st.just("mine"), st.integers(1, 5), st.integers(0, 2)),
    st.tuples(st.just("reorg"), st.integers(1, _WINDOW), st.integers(0, 2)),
    st.tuples(st.just("return"), st.integers(0, 5)),
    st.tuples(st.just("step"), st.integers(1, 3)),
    st.tuples(st.just("reorg amid a step"), st.integers(1, 6), st.integers(1, _WINDOW), st.integers(0, 2)),
    st.tuples(st.just("return amid a step"), st.integers(1, 6), st.integers(0, 5)),
    st.tuples(st.sampled_from(("kill", "pause past the lease")), st.integers(1, 8), st.booleans()),
    st.tuples(st.just("lag"), st.integers(0, 6)),
    st.tuples(st.just("reachable"), st.booleans()),
    st.tuples(st.just("handle some")),
    st.tuples(st.just("hide a log"), st.integers(0, 30)),
    st.tuples(st.just("provable"), st.booleans()),
    st.tuples(st.just("let time pass")),
    st.tuples(st.just("deny what was published"), st.integers(0, 30)),
)


def _steps(follow: FollowChain, steps: int) -> None:
    for _ in range(steps):
        try:
            follow.step()
        except PlumblineError as error:
            if not error.retryable:
                raise


class _Life:
    """A chain that lives through happenings while listeners follow it."""

    def __init__(self, chance: random.Random, window: int = _WINDOW, finalized_depth: int = _WINDOW) -> None:
        self.scene = Scene(window=window, max_range=12, publish_batch=2, finalized_depth=finalized_depth)
        self._window = window
        self._chance = chance
        self._forks: list[list[FakeBlock]] = []
        self._highest = 0
        self._names = 0
        self._fuse = Fuse()
        self._follow = self.scene.listener(self._fuse)

    def let(self, kind: str, *how: Any) -> None:
        """Let something happen."""
        getattr(self, "_" + kind.replace(" ", "_"))(*how)

    def _mine(self, blocks: int, logs: int) -> None:
        self.scene.grow(blocks, logs)
        self._highest = max(self._highest, len(self.scene.chain.blocks) - 1)

    def _shared_enough(self, ancestor: int) -> bool:
        """Say whether a chain may part from this one after a block: not below what was ever final."""
        return ancestor >= max(self._highest - self._window, 0)

    def _reorg(self, depth: int, logs: int) -> None:
        chain = self.scene.chain
        if self._shared_enough(len(chain.blocks) - 1 - depth):
            self._forks.append(list(chain.blocks))
            chain.reorg(depth, {i: [log(j) for j in range(logs)] for i in range(depth)})

    def _return(self, which: int) -> None:
        """Bring back a chain that was left, as long as no final block parts the two."""
        chain = self.scene.chain
        if which >= len(self._forks):
            return
        old = self._forks[which]
        both = zip(chain.blocks, old, strict=False)
        ancestor = sum(mine.header.hash == theirs.header.hash for mine, theirs in both) - 1
        if self._shared_enough(ancestor):
            self._forks.append(list(chain.blocks))
            chain.blocks = list(old)

    def _step(self, steps: int) -> None:
        try:
            _steps(self._follow, steps)
        except Killed:
            self._restart()

    def _reorg_amid_a_step(self, request: int, depth: int, logs: int) -> None:
        self.scene.chain.before_request(request, lambda: self._reorg(depth, logs))
        self._step(1)

    def _return_amid_a_step(self, request: int, which: int) -> None:
        self.scene.chain.before_request(request, lambda: self._return(which))
        self._step(1)

    def _kill(self, write: int, made: bool) -> None:  # noqa: FBT001 - drawn
        self._fuse.at, self._fuse.made = self._fuse.writes + write, made
        self._step(1)

    def _pause_past_the_lease(self, write: int, made: bool) -> None:  # noqa: FBT001 - drawn
        """Let another listener take over at a write, and the first one wake up after."""

        def meanwhile() -> None:
            self.scene.chain.find_logs_again()
            self.scene.clock.advance(self.scene.settings.lease_s + 1)
            other = self.scene.listener(owner="other")
            _steps(other, 3)
            self._reorg(2, 1)
            _steps(other, 3)
            self.scene.clock.advance(self.scene.settings.lease_s + 1)

        self._fuse.at, self._fuse.made = self._fuse.writes + write, made
        self._fuse.happens = meanwhile
        self._step(1)
        self._restart()

    def _lag(self, blocks: int) -> None:
        self.scene.chain.lag = blocks

    def _reachable(self, reachable: bool) -> None:  # noqa: FBT001 - drawn
        self.scene.chain.reachable = reachable

    def _handle_some(self) -> None:
        messages = self.scene.messages()
        self.scene.handle(self._chance.choices(messages, k=len(messages) // 2) if messages else ())

    def _hide_a_log(self, which: int) -> None:
        """Let the node's index lack a log until the second reading: behind for longer, nothing could tell."""
        logs = [raw for block in self.scene.chain.blocks for raw in block.logs]
        if which < len(logs):
            self.scene.chain.lose_log(logs[-1 - which])

    def _provable(self, provable: bool) -> None:  # noqa: FBT001 - drawn
        self.scene.chain.provable = provable

    def _let_time_pass(self) -> None:
        self.scene.chain.find_logs_again()
        self.scene.clock.advance(self.scene.settings.second_reading_s + 1)
        self._step(2)

    def _deny_what_was_published(self, which: int) -> None:
        """Let the second reading lack a log that the first had."""
        told = set(self.scene.logs())
        logs = [raw for block in self.scene.chain.blocks for raw in block.logs if id_of_log(1, raw) in told]
        if which < len(logs):
            self.scene.chain.lose_log(logs[-1 - which])
            self.scene.clock.advance(self.scene.settings.second_reading_s + 1)
            self._step(2)
            self.scene.chain.find_logs_again()

    def _restart(self) -> None:
        self._names += 1
        self._fuse = Fuse()
        self._follow = self.scene.listener(self._fuse, owner="one")

    def settle(self) -> None:
        """Let the troubles end, the chain outgrow all that was seen, and everything be handled."""
        chain, scene = self.scene.chain, self.scene
        chain.lag, chain.reachable, chain._happens = 0, True, None
        chain.find_logs_again()
        scene.clock.advance(scene.settings.lease_s + 1)
        self._restart()
        self._mine(max(self._highest - len(chain.blocks) + 2, 1), 1)
        scene.settle(self._follow)
        if self._chance.random() < _FINAL_BEFORE_HANDLED:
            self._mine(2 * self._window, 1)
            for _ in range(2):
                scene.clock.advance(scene.settings.poll_s)
                scene.settle(self._follow)
        while self._read_once():
            scene.clock.advance(scene.settings.second_reading_s + 1)
            scene.settle(self._follow)
        messages = scene.messages() * 2
        self._chance.shuffle(messages)
        scene.handle(messages)

    def _read_once(self) -> bool:
        """Say whether anything was read once only, and not proved."""
        certificates = self.scene.store.count("completeness_certificates", (("grade", SINGLE),))
        return bool(certificates) or any(s.get("grade") == SINGLE for s in self.scene.cursor()["window"])


@settings(max_examples=300)
@given(happenings=st.lists(_HAPPENINGS, min_size=10, max_size=40), chance=st.randoms(use_true_random=False))
def test_whatever_happens_events_end_as_the_chain_is(
    happenings: list[tuple[Any, ...]], chance: random.Random
) -> None:
    """Mined, reorganised, returned, hidden, killed, outrun, lagging, cut off: canonical logs alone count."""
    life = _Life(chance)
    life._mine(3, 1)
    for happening in happenings:
        life.let(*happening)
    life.settle()
    outcome = life.scene.outcome()
    assert outcome.live == set(life.scene.canonical())
    assert life.scene.cursor()["pending"] is None


@settings(max_examples=60)
@given(
    happenings=st.lists(_HAPPENINGS, min_size=10, max_size=30),
    chance=st.randoms(use_true_random=False),
    behind=st.integers(33, 80),
    logs=st.integers(0, 2),
)
def test_catching_up_with_blocks_called_final_ends_as_the_chain_is(
    happenings: list[tuple[Any, ...]], chance: random.Random, behind: int, logs: int
) -> None:
    """The same, far behind on a chain that calls its head final and takes blocks back all the same."""
    life = _Life(chance, window=48, finalized_depth=0)
    life._mine(behind, logs)
    for happening in happenings:
        life.let(*happening)
    life.settle()
    assert life.scene.outcome().live == set(life.scene.canonical())
    assert life.scene.cursor()["pending"] is None
