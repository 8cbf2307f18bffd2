"""One exchange over HTTP: however an answer comes, it is there in time as a whole, or it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.adapters.http_post import HttpPost
from shared.adapters.json_rpc_failures import NoAnswer
from tests.support.trickle import BODY, HEAD, each_byte, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, Event]]:
    """Lend a server that sends the pieces of the case."""
    with serving(request.param) as lent:
        yield lent


_SLOW_HEAD = [*each_byte(HEAD), BODY]
_SLOW_BODY = [HEAD, *each_byte(BODY)]


@pytest.mark.parametrize("served", [_SLOW_HEAD, _SLOW_BODY], ids=["its head", "its body"], indirect=True)
def test_an_answer_that_trickles_is_none(served: tuple[str, Event]) -> None:
    """Each byte is in time and the answer is not: it is given up while more of it comes."""
    url, through = served
    with pytest.raises(NoAnswer, match=r"did not answer this within 0.5 s"):
        HttpPost(url, "the server", 0.5).send(b"{}", "this", lambda: None)
    assert not through.is_set()


@pytest.mark.parametrize("served", [[HEAD + BODY], [HEAD[:50], HEAD[50:], BODY]], indirect=True)
def test_an_answer_in_time_is_whole(served: tuple[str, Event]) -> None:
    """In one piece or in several."""
    status, headers, body = HttpPost(served[0], "the server", 10).send(b"{}", "this", lambda: None)
    assert (status, headers["X-Long"], body) == (200, "x" * 100, BODY)


def test_a_head_that_does_not_come_is_waited_for_less_than_five_seconds() -> None:
    """However long a node was mute: what asks next finds out within that time that it speaks again."""
    patience = HttpPost("http://127.0.0.1:1", "the server", 30)._patience_for("eth_getBlockByNumber")
    for _ in range(20):
        patience.timed_out()
    assert patience.wait_s < 5
