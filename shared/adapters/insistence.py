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
    for pause_s in _PAUSES_S:
        started = monotonic()
        try:
            return read()
        except RateLimited as error:
            limited(error)
            asked_s = error.retry_after_s or 0.0
            if asked_s > LONGEST_PAUSE_S:
                raise
            wait_s = max(asked_s, pause_s * (0.5 + random() / 2))
        except ChainUnavailable as error:
            if not _passes(error) or monotonic() - started > _SOON_S:
                raise
            wait_s = pause_s * (0.5 + random() / 2)
        sleep(wait_s)
    try:
        return read()
    except RateLimited as error:
        limited(error)
        raise


def _passes(error: ChainUnavailable) -> bool:
    if isinstance(error, CallRefused):
        return error.number not in _NOT_PASSING
    return type(error) in (ChainUnavailable, NoAnswer, NotThere)
