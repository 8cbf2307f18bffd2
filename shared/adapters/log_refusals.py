"""Why an endpoint refuses a log query over several blocks, by its wording.

The wordings are those of tests/unit/test_refusals.py, which names their sources.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Cause = Literal["range", "results", "elsewhere", "unknown"]

# It has not got the blocks, or does not serve us: fewer blocks would not help.
_ELSEWHERE: Final = re.compile(
    r"extends? beyond|is beyond|(?:not|cannot be) found|unknown block|pruned|archive|not (?:yet )?available"
    r"|missing trie|syncing|unauthori[sz]ed|authenticat|api.?key|invalid block range",
    re.IGNORECASE,
)
_RESULTS: Final = re.compile(
    r"\bresults?\b|logs (?:matched|requested|in the response)|too many logs|max logs|response size"
    r"|size exceeded|response too large|bytes|time.?out|timed out",
    re.IGNORECASE,
)
_RANGE: Final = re.compile(
    r"\branges?\b|too many blocks|blocks distance|requested blocks|[\d,]+k? blocks|smaller than size",
    re.IGNORECASE,
)
_SUGGESTED: Final = re.compile(
    r"\[(0x[0-9a-f]+|\d+), ?(0x[0-9a-f]+|\d+)\]|with the range (\d+)-(\d+)", re.IGNORECASE
)
_NUMBER: Final = r"(\d[\d,_]*) ?([km]\b)?"
_TOLD: Final = (
    re.compile(
        r"(?:limit|max|up to|at most|over|exceed|than|allowed|only|filter:|set to|distance:|>)"
        rf"[^\d\[]{{0,40}}?{_NUMBER}",
        re.IGNORECASE,
    ),
    re.compile(rf"{_NUMBER} blocks?\b", re.IGNORECASE),
)
_TIMES: Final = {"": 1, "k": 1000, "m": 1_000_000}


def cause_of(text: str) -> Cause:
    """Return what the refusal is for: the number of blocks, or the size of the result.

    ``results``: too many logs or bytes, or too much time; ``elsewhere``: something that fewer blocks would
    not change; ``unknown``: a wording never met.
    """
    if _ELSEWHERE.search(text):
        return "elsewhere"
    if _RESULTS.search(text):
        return "results"
    return "range" if _RANGE.search(text) else "unknown"


def suggested_blocks(text: str, asked: int) -> int | None:
    """Return how many blocks the range has that the endpoint suggests, if it is fewer than ``asked``."""
    sizes = []
    for found in _SUGGESTED.finditer(text):
        first, last = (int(number, 0) for number in found.groups() if number is not None)
        sizes.append(last - first + 1)
    return max((size for size in sizes if 1 <= size < asked), default=None)


def limit_told(text: str, asked: int) -> int | None:
    """Return the most blocks that the endpoint says it takes, if it is fewer than ``asked``."""
    told = {
        int(re.sub("[,_]", "", number)) * _TIMES[times.lower()]
        for pattern in _TOLD
        for number, times in pattern.findall(text)
    }
    fewer = sorted(number for number in told if 1 <= number < asked)
    if len(fewer) > 1 and fewer[-1] == asked - 1:
        fewer.pop()  # our own range, told as the difference of its ends
    return fewer[-1] if fewer else None
