from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.insistence import insist
from shared.adapters.json_rpc_failures import CallRefused, NoAnswer, NotThere, PartlyLimited
from shared.errors import ChainUnavailable, RateLimited
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


class Asked:
    """Fails with these errors, one after the other, and then answers; ``times`` it was asked so far."""

    def __init__(self, *failures: Exception) -> None:
        self.clock = FakeClock()
        self.limited = 0
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
        limited: Callable[[RateLimited], None] = lambda _: setattr(self, "limited", self.limited + 1)  # noqa: E731
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
    """What brings a part of it costs none of the tries; each refusal is told, and there is an end to it."""
    asked = Asked(*[_part(gained=True)] * 12, *[_part(gained=False)] * 3)
    assert asked.insist() == "answer"
    assert (asked.times, asked.limited) == (16, 15)
    without_end = Asked(*[_part(gained=True)] * 100)
    with pytest.raises(PartlyLimited):
        without_end.insist()
    assert without_end.times == 16


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
    assert asked.times <= 4 + 12
