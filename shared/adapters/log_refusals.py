"""Why an endpoint refuses a log query over several blocks, by its wording.

The wordings are those of tests/unit/test_refusals.py, which names their sources.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Cause = Literal["range", "results", "elsewhere", "unknown"]

# Texts, which `re` compiles when they are first looked for: most processes never meet a refusal.
# It has not got the blocks, or does not serve us: fewer blocks would not help.
_ELSEWHERE: Final = (
    r"(?i)extends? beyond|is beyond|(?:not|cannot be) found|unknown block|pruned|archive"
    r"|not (?:yet )?available|missing trie|syncing|unauthori[sz]ed|authenticat|api.?key|invalid block range"
)
_RESULTS: Final = (
    r"(?i)\bresults?\b|logs (?:matched|requested|in the response)|too many logs|max logs|response size"
    r"|size exceeded|response too large|bytes|time.?out|timed out"
)
_RANGE: Final = (
    r"(?i)\branges?\b|too many blocks|blocks distance|requested blocks|[\d,]+k? blocks|smaller than size"
)
_SUGGESTED: Final = r"(?i)\[(0x[0-9a-f]+|\d+), ?(0x[0-9a-f]+|\d+)\]|with the range (\d+)-(\d+)"
_NUMBER: Final = r"(\d[\d,_]*) ?([km]\b)?"
_TOLD: Final = (
    (
        r"(?i)(?:limit|max|up to|at most|over|exceed|than|allowed|only|filter:|set to|distance:|>)"
        rf"[^\d\[]{{0,40}}?{_NUMBER}"
    ),
    rf"(?i){_NUMBER} blocks?\b",
)
_TIMES: Final = {"": 1, "k": 1000, "m": 1_000_000}


def cause_of(text: str) -> Cause:
    """Return what the refusal is for: the number of blocks, or the size of the result.

    ``results``: too many logs or bytes, or too much time; ``elsewhere``: something that fewer blocks would
    not change; ``unknown``: a wording never met.
    """
    if re.search(_ELSEWHERE, text):
        return "elsewhere"
    if re.search(_RESULTS, text):
        return "results"
    return "range" if re.search(_RANGE, text) else "unknown"


def suggested_blocks(text: str, asked: int) -> int | None:
    """Return how many blocks the range has that the endpoint suggests, if it is fewer than ``asked``."""
    sizes = []
    for found in re.finditer(_SUGGESTED, text):
        first, last = (int(number, 0) for number in found.groups() if number is not None)
        sizes.append(last - first + 1)
    return max((size for size in sizes if 1 <= size < asked), default=None)


def limit_told(text: str, asked: int) -> int | None:
    """Return the most blocks that the endpoint says it takes, if it is fewer than ``asked``."""
    told = {
        int(re.sub("[,_]", "", number)) * _TIMES[times.lower()]
        for pattern in _TOLD
        for number, times in re.findall(pattern, text)
    }
    fewer = sorted(number for number in told if 1 <= number < asked)
    if len(fewer) > 1 and fewer[-1] == asked - 1:
        fewer.pop()  # our own range, told as the difference of its ends
    return fewer[-1] if fewer else None
