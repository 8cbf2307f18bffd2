from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.insistence import insist
from shared.adapters.json_rpc_failures import CallRefused, NoAnswer, NotThere, PartlyLimited
from shared.errors import ChainUnavailable, RateLimited
from tests.support.clock import FakeClock


class Asked:
    """Fails with these errors, one after the other, and then answers; ``times`` it was asked so far."""

    def __init__(self, *failures: Exception) -> None:
        self.clock = FakeClock()
        self.limited = 0
        self.wait_s = 0.0
        self.times = 0
        self._failures = list(failures)

    def read(self) -> str:
        """Fail, or answer."""
        self.times += 1
        if self._failures:
            raise self._failures.pop(0)
        return "answer"

    def insist(self) -> str:
        """Ask until there is an answer."""

        def limited(_: RateLimited) -> float:
            self.limited += 1
            return self.wait_s

        return insist(
            self.read,
            monotonic=self.clock.monotonic_s,
            random=lambda: 0.5,
            sleep=self.clock.sleep,
            limited=limited,
        )


def _part(*, gained: bool) -> PartlyLimited:
    error = PartlyLimited("slow down", None, [])
    error.gained = gained
    return error


@pytest.mark.parametrize(
    ("failure", "times"),
    [
        (RateLimited("slow down"), 4),
        (ChainUnavailable("HTTP 500"), 4),
        (CallRefused("internal error", -32603), 3),
        (_part(gained=False), 4),
        (CallRefused("no such method", -32601), 1),
        (NoAnswer("timed out"), 4),
        (RateLimited("slow down", 5.0), 1),
    ],
)
def test_what_may_pass_is_asked_again_a_few_times(failure: Exception, times: int) -> None:
    """So often it is asked where it never answers, and it is an answer where the last time gives one."""
    never = Asked(*[failure] * 20)
    with pytest.raises(type(failure)):
        never.insist()
    assert never.times == times
    assert Asked(*[failure] * (times - 1)).insist() == "answer"
    assert never.clock.monotonic_s() < 2


def test_a_batch_that_is_answered_bit_by_bit_is_asked_for_to_the_end() -> None:
    """What brings a part of it begins the tries anew; each refusal is told, and there is an end to it."""
    few = [_part(gained=False), RateLimited("slow down"), _part(gained=False), _part(gained=True)]
    asked = Asked(*few * 4)
    assert asked.insist() == "answer"
    assert (asked.times, asked.limited) == (17, 16)
    without_end = Asked(*[_part(gained=True)] * 1000)
    with pytest.raises(PartlyLimited):
        without_end.insist()
    assert 5 < without_end.clock.monotonic_s() < 7


def test_a_limited_endpoint_is_asked_again_at_its_pace() -> None:
    """Whoever is told of a refusal says how long to wait for the next try."""
    asked = Asked(*[RateLimited("slow down")] * 3)
    asked.wait_s = 2.0
    assert asked.insist() == "answer"
    assert asked.clock.monotonic_s() == pytest.approx(6.0)


_FAILURES = st.builds(
    lambda make: make(),
    st.sampled_from(
        (
            lambda: RateLimited("slow down"),
            lambda: ChainUnavailable("HTTP 500"),
            lambda: CallRefused("internal error", -32603),
            lambda: NotThere("no such block"),
            lambda: NoAnswer("timed out"),
            lambda: _part(gained=True),
            lambda: _part(gained=False),
        )
    ),
)


@given(failures=st.lists(_FAILURES, max_size=30))
def test_failures_of_several_kinds_end_in_an_answer_or_in_the_last_of_them(
    failures: list[ChainUnavailable],
) -> None:
    """Whatever follows upon whatever, it ends soon, and with an error that the endpoint gave."""
    asked, told = Asked(*failures), None
    try:
        asked.insist()
    except ChainUnavailable as error:
        told = error
    assert told is (failures[asked.times - 1] if asked.times <= len(failures) else None)
    assert asked.times <= len(failures) + 1
