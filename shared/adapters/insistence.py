"""Asking an endpoint again within one read, where no other would answer in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from shared.adapters.json_rpc_failures import METHOD_NOT_FOUND, CallRefused, NoAnswer, NotThere, PartlyLimited
from shared.errors import ChainUnavailable, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PAUSES_S: Final = (0.1, 0.3, 0.6)
LONGEST_PAUSE_S: Final = 1.5
"""A longer pause that an endpoint asks for is for the caller, who may have something else to do."""
_SOON_S: Final = 1.0
_MOST_SLOW: Final = 1
_ANSWERED_NO: Final = 2
_GAINING_S: Final = 5.0
"""How long it goes on while each few tries bring a part of a batch; a step must not outlast the lease."""
_PASSING: Final = (ChainUnavailable, NoAnswer)
_NOT_PASSING: Final = (METHOD_NOT_FOUND, -32602, 3)  # EIP-1474: parameters not taken; geth: reverted


def insist(
    read: Callable[[], T],
    *,
    monotonic: Callable[[], float],
    random: Callable[[], float],
    sleep: Callable[[float], None],
    limited: Callable[[RateLimited], float],
) -> T:
    """Return what ``read`` gives, tried up to four times within about a second.

    A node behind a balancer fails now and then: of the dozen reads of a step one would always fail, and the
    work of all of them be lost. What may pass is tried again: an error of the server, a connection hung up,
    a block that one of its nodes has not got, a rate limit, of which ``limited`` is told, and says how many
    seconds to wait. What took long is tried again once, what is a clear no is not. A batch answered in part
    goes on with the rest.
    """
    at, begun, slow = 0, monotonic(), 0
    while True:
        started = monotonic()
        asked_s = wait_s = 0.0
        last = at == len(_PAUSES_S)
        try:
            return read()
        except RateLimited as error:
            wait_s = limited(error)
            asked_s = error.retry_after_s or 0.0
            gained = isinstance(error, PartlyLimited) and error.gained and monotonic() - begun < _GAINING_S
            if asked_s > LONGEST_PAUSE_S or (last and not gained):
                raise
            if gained:
                at = -1
        except (CallRefused, NotThere) as error:
            # It is an answer: some more times, in case that it was one of several nodes'.
            if at >= _ANSWERED_NO or (isinstance(error, CallRefused) and error.number in _NOT_PASSING):
                raise
        except ChainUnavailable as error:
            slow += monotonic() - started > _SOON_S
            if last or type(error) not in _PASSING or slow > _MOST_SLOW:
                raise
        at += 1
        sleep(max(asked_s, wait_s, _PAUSES_S[max(at - 1, 0)] * (0.5 + random() / 2)))
