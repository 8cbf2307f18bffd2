"""The headers at many heights, in one batch, of which some nodes fail single entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.adapters.ethereum_shapes import read_header
from shared.adapters.json_rpc_failures import CallRefused, PartlyLimited
from shared.errors import DoubtfulAnswer, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.domain.blocks import Header

_ASKED_IN_VAIN: Final = 2
"""Times that a batch may bring none of those still lacking."""


def ask_headers(
    endpoint: JsonRpcEndpoint,
    numbers: Sequence[int],
    found: dict[int, Header | None],
    check: Callable[[Header], None],
) -> list[Header | None]:
    """Return the canonical headers at these heights, None where the node has none.

    ``found`` holds what it gave before, and is added to, whatever is raised: whoever asks again need not ask
    for all. ``check`` raises where a header is not to be believed.
    """
    left = [number for number in numbers if found.get(number) is None]
    in_vain = 0
    # Entries that failed, or came to nothing, are asked for again alone.
    while left and in_vain < _ASKED_IN_VAIN:
        refused = _ask(endpoint, left, found, check)
        if len(refused) == len(left):
            raise refused[0]
        again = [number for number in left if found.get(number) is None]
        in_vain = in_vain + 1 if len(again) == len(left) else 0
        left = again
        if in_vain == _ASKED_IN_VAIN and refused:
            raise refused[0]
    return [found.get(number) for number in numbers]


def _ask(
    endpoint: JsonRpcEndpoint,
    numbers: Sequence[int],
    found: dict[int, Header | None],
    check: Callable[[Header], None],
) -> list[CallRefused]:
    """Add to ``found`` what one batch gives, even where it is stopped midway; return what was refused."""
    limited: PartlyLimited | None = None
    try:
        answers = endpoint.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
    except PartlyLimited as error:
        answers, limited = list(error.answers), error
    for number, answer in zip(numbers, answers, strict=False):
        if not isinstance(answer, CallRefused | RateLimited):
            header = _header(answer, number)
            if header is not None:
                check(header)
            found[number] = header
    if limited is not None:
        limited.gained = any(found.get(number) is not None for number in numbers)
        raise limited
    return [answer for answer in answers if isinstance(answer, CallRefused)]


def _header(answer: Any, number: int) -> Header | None:
    header = read_header(answer)
    if header is not None and header.number != number:
        raise DoubtfulAnswer(f"asked for block {number}, was given {header.number}")
    return header
