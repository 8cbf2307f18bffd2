"""Asking an endpoint again within one read, where no other would answer in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from shared.adapters.json_rpc_failures import METHOD_NOT_FOUND, CallRefused, NoAnswer, NotThere
from shared.errors import ChainUnavailable, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PAUSES_S: Final = (0.1, 0.3, 0.6)
LONGEST_PAUSE_S: Final = 1.5
"""A longer pause that an endpoint asks for is for the caller, who may have something else to do."""
_SOON_S: Final = 1.0
_PASSING: Final = (ChainUnavailable, NoAnswer)
_NOT_PASSING: Final = (METHOD_NOT_FOUND, -32602, 3)  # EIP-1474: parameters not taken; geth: reverted


def insist(
    read: Callable[[], T],
    *,
    monotonic: Callable[[], float],
    random: Callable[[], float],
    sleep: Callable[[float], None],
    limited: Callable[[RateLimited], None],
) -> T:
    """Return what ``read`` gives, tried up to four times within about a second.

    A node behind a balancer fails now and then: of the dozen reads of a step one would always fail, and the
    work of all of them be lost. What may pass is tried again: an error of the server, a connection hung up,
    a block that one of its nodes has not got, a rate limit, of which ``limited`` is told. What took long
    already, and what is a clear no, is not.
    """
    for at, pause_s in enumerate(_PAUSES_S):
        started = monotonic()
        asked_s = 0.0
        try:
            return read()
        except RateLimited as error:
            limited(error)
            asked_s = error.retry_after_s or 0.0
            if asked_s > LONGEST_PAUSE_S:
                raise
        except (CallRefused, NotThere) as error:
            # It is an answer: once more, in case that it was one of several nodes'.
            if at > 0 or (isinstance(error, CallRefused) and error.number in _NOT_PASSING):
                raise
        except ChainUnavailable as error:
            if type(error) not in _PASSING or monotonic() - started > _SOON_S:
                raise
        sleep(max(asked_s, pause_s * (0.5 + random() / 2)))
    try:
        return read()
    except RateLimited as error:
        limited(error)
        raise
