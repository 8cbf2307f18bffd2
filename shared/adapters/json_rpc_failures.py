"""What JSON-RPC endpoints say when they refuse, sorted by what a caller can do about it."""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from shared.errors import ChainUnavailable, RateLimited

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METHOD_NOT_FOUND: Final = -32601
TOO_MANY_REQUESTS: Final = 429
_REQUEST_FAULTS: Final = (400, 405, 413, 414)
_GATEWAY_TIMEOUTS: Final = (408, 504, 522, 524)
_LIMIT_EXCEEDED: Final = -32005  # EIP-1474: a limit, of rate or of size
_RATE_CODES: Final = (TOO_MANY_REQUESTS, _LIMIT_EXCEEDED, -32007, -32012)

# Texts, which `re` compiles when they are first looked for: most processes never meet a refusal.
# Asked before the rate: Infura gives -32005 for both too many requests and too many results.
_SIZE_TEXT: Final = (
    r"(?i)\branges?\b|returned more than|response (?:size|too large)|max results"
    r"|too many (?:logs|results|blocks)|exceeds limit of|query timeout|timed? ?out|\bblocks\b"
)
_RATE_TEXT: Final = (
    r"(?i)rate.?limit|request rate|too many requests|(?:requests?|units) per second|requests? limit"
    r"|request count|limited to [\d,]+ ?/ ?s|quota|\brps\b|throttl|capacity"
)
_PAUSE_TEXT: Final = r"(?i)(?:retry|try again|reset) (?:in|after) (\d+(?:\.\d+)?) ?(ms|s)"
_HALTED_TEXT: Final = (
    r"(?i)revert|invalid ?\w*opcode|out ?of ?gas|stack ?(?:under|over)flow|invalid ?jump|vm execution error"
)


class CallRefused(ChainUnavailable):
    """The endpoint is there and refuses this request; ``number`` is its code, ``data`` what came with it.

    ``said`` is its wording in full, which may be long: for reading, not for showing.
    """

    def __init__(self, message: str, number: int, data: Any = None, said: str = "") -> None:
        super().__init__(message)
        self.number = number
        self.data = data
        self.said = said


class NoAnswer(ChainUnavailable):
    """The endpoint took the request and gave no answer: it hung up, or its time was over."""


class NotThere(ChainUnavailable):
    """The endpoint has not got what was asked for; another one may."""


class WrongChain(ChainUnavailable):
    """The endpoint serves another chain, ``remote``."""

    def __init__(self, name: str, remote: int, expected: int) -> None:
        super().__init__(f"{name} serves chain {remote}, not {expected}")
        self.remote = remote


class LimitMet(RateLimited):
    """The endpoint says that a limit was met, and not whether it is one of rate or of size."""


class PartlyLimited(RateLimited):
    """A batch of which some entries met the rate limit; ``answers`` are what each gave, from the first.

    Each is a result, a CallRefused or a RateLimited; those not asked for any more are left out. ``gained``:
    whoever asked keeps results, and has some now that it lacked before.
    """

    def __init__(self, message: str, retry_after_s: float | None, answers: Sequence[Any]) -> None:
        super().__init__(message, retry_after_s)
        self.answers = answers
        self.gained = False

    @property
    def served(self) -> int:
        """How many entries were answered."""
        return sum(not isinstance(answer, RateLimited) for answer in self.answers)


def refusal(
    who: str, fields: Mapping[str, Any], pause_s: float | None = None, longest_pause_s: float = math.inf
) -> CallRefused | RateLimited:
    """Return the error for a JSON-RPC error object; ``who`` says which endpoint refused what.

    ``pause_s`` is what came beside it; else it is what the object says, at most ``longest_pause_s``.
    """
    code = fields.get("code")
    number = code if isinstance(code, int) else 0
    data = fields.get("data")
    text = f"{fields.get('message')} {data if isinstance(data, dict) else ''}"
    message = f"{who}: error {number}: {str(fields.get('message'))[:200]}"
    of_size, of_rate = re.search(_SIZE_TEXT, text), re.search(_RATE_TEXT, text)
    if of_size or not (of_rate or number in _RATE_CODES):
        return CallRefused(message, number, data, text)
    if pause_s is None and (told_s := _pause_in(text, data)) is not None:
        pause_s = min(told_s, longest_pause_s)
    if of_rate or number != _LIMIT_EXCEEDED:
        return RateLimited(message, pause_s)
    return LimitMet(message, pause_s)


def http_failure(who: str, status: int, pause_s: float | None) -> ChainUnavailable:
    """Return the error for an HTTP status that came without a JSON-RPC answer."""
    if status == TOO_MANY_REQUESTS:
        return RateLimited(f"{who}: HTTP 429, too many requests", pause_s)
    if status in _REQUEST_FAULTS:
        return CallRefused(f"{who}: HTTP {status}", status)
    if status in _GATEWAY_TIMEOUTS:
        return NoAnswer(f"{who}: HTTP {status}, a time-out behind it")
    return ChainUnavailable(f"{who}: HTTP {status}")


def retry_after_s(headers: Mapping[str, str], longest_s: float) -> float | None:
    """Return the pause of a Retry-After header in seconds, at most the longest.

    A date counts from the answer's own Date.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", value):
        return min(float(value), longest_s)
    try:
        pause = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return min(max(0.0, pause.total_seconds()), longest_s)


def revert_data(refused: CallRefused) -> bytes | None:
    """Return the revert data if the refusal says that the contract's code failed, else None.

    Nodes put it at ``data``, at ``data.data``, or after the word "Reverted"; where code halts without
    a reason it is empty.
    """
    data = refused.data.get("data") if isinstance(refused.data, dict) else refused.data
    found = re.search(r"0x((?:[0-9a-fA-F]{2})*)\Z", data) if isinstance(data, str) else None
    if found and (found[1] or refused.number == 3):  # noqa: PLR2004 - geth's code for a revert
        return bytes.fromhex(found[1])
    return b"" if re.search(_HALTED_TEXT, str(refused)) else None


def _pause_in(text: str, data: Any) -> float | None:
    rate = data.get("rate") if isinstance(data, dict) else None
    backoff = rate.get("backoff_seconds") if isinstance(rate, dict) else None
    if isinstance(backoff, int | float):
        return float(backoff)
    found = re.search(_PAUSE_TEXT, text)
    if found is None:
        return None
    return float(found[1]) / (1000 if found[2].lower() == "ms" else 1)
