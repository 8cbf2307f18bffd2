"""How many blocks an endpoint takes in one log query, learned from what it refuses and what it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.adapters.log_refusals import cause_of, limit_told, suggested_blocks
from shared.adapters.request_rate import RequestRate

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ports import Document

_WIDEN_AFTER: Final = 8
_WIDEN_SOON: Final = 2  # after what was perhaps no limit at all, but a passing failure
_LEAST_SOON: Final = 16
_FAILED: Final = 3  # in a row
_PASSING: Final = 2  # in a row: what whoever insists makes good within a second
_TRY_AGAIN_S: Final = 600.0
_FORGET_S: Final = 3600.0
_NO_LIMIT: Final = 1_000_000


class RangeLimit:
    """The most blocks of one log query: ``blocks``, None where no limit was met.

    A refusal narrows it, whatever the wording: to what the endpoint names, else to what it served before,
    else to half of what was asked. Eight queries served at the limit widen it twofold, but not to a number
    of blocks refused in the last ten minutes. Too many results are so for now: these blocks are full.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.blocks: int | None = None
        self._served = 0
        self._refused: int | None = None
        self._refused_at = 0.0
        self._good = 0
        self._needed = _WIDEN_AFTER
        self._failed = 0
        self._puzzled = 0
        self._puzzles = 0
        self._puzzling = 0

    def served(self, asked: int) -> None:
        """Take note that a query of so many blocks was answered."""
        self._puzzled = 0
        self._failed = 0
        self._served = max(self._served, asked)
        if asked >= 4 * self._puzzling:
            self._puzzles = 0
        if self._refused is not None and asked >= self._refused:
            self._refused = None
        if self.blocks is None or 2 * asked <= self.blocks:
            return
        self._good += 1
        if self._good >= self._needed:
            self._good = 0
            self._widen(self.blocks)

    def refused(self, asked: int, text: str) -> bool:
        """Take note of a refusal of several blocks and its wording; False where fewer would not help.

        A wording never met, for a size that was served before, is taken for a passing failure twice in a row;
        one that speaks of something else, until it comes again and again.
        """
        cause = cause_of(text)
        if cause == "elsewhere":
            return self.failed(asked)
        if cause == "unknown" and asked <= self._served and self._puzzled < _PASSING:
            self._puzzled += 1
            return False
        told = suggested_blocks(text, asked)
        if cause == "range":
            limit = limit_told(text, asked)
            self._refused = min(asked if limit is None else limit + 1, self._refused or asked)
            self._refused_at = self._monotonic()
            told = told or limit or (self._served if self._served < asked else 0)
        narrower = told or asked // 2
        if cause == "unknown":
            self._puzzle(narrower)
        else:
            self._narrow(narrower, _WIDEN_AFTER)
        if cause != "results":
            self._served = min(self._served, narrower)
        return True

    def unanswered(self, asked: int) -> None:
        """Take note that a query of so many blocks got no answer: it may have been too much.

        Where that comes again wider ones are tried ever more seldom, for each of them costs a time-out.
        """
        if asked > 1:
            self._puzzle(asked // 2)

    def failed(self, asked: int) -> bool:
        """Take note that a query of so many blocks failed for another reason than its size, or without one.

        True where it goes on: narrower now, for it may be the size all the same.
        """
        self._failed += 1
        if self._failed < _FAILED or asked == 1:
            return False
        self._failed = 0
        self._puzzle(asked // 2)
        return True

    def learned(self) -> Document:
        """Return it as a document."""
        return {"rangeBlocks": self.blocks, "refusedBlocks": self._refused}

    def learn(self, document: Any) -> None:
        """Take it up from a document; what is no number of blocks is left out."""
        blocks, refused = (_count(document.get(name)) for name in ("rangeBlocks", "refusedBlocks"))
        if blocks is not None and self.blocks is None:
            self.blocks = blocks
            self._refused = refused
            self._refused_at = self._monotonic()

    def _puzzle(self, blocks: int) -> None:
        # A limit in odd words is met again and again: it is tried ever more seldom.
        self._narrow(blocks, min(_WIDEN_SOON << self._puzzles, _LEAST_SOON))
        self._puzzles += 1
        self._puzzling = blocks

    def _narrow(self, blocks: int, needed: int) -> None:
        blocks = max(1, blocks)
        self.blocks = blocks if self.blocks is None else min(blocks, self.blocks)
        self._good = 0
        self._needed = needed

    def _widen(self, blocks: int) -> None:
        wider = 2 * blocks
        refused = self._refused
        if refused is not None and wider >= refused:
            ago = self._monotonic() - self._refused_at
            if ago >= _FORGET_S:
                self._refused = None
            elif ago >= _TRY_AGAIN_S:
                wider = refused
            elif refused - blocks <= 1 + blocks // 10:
                return  # just under what it refuses
            else:
                wider = (blocks + refused) // 2
        self.blocks = wider if wider <= _NO_LIMIT else None


class EndpointLimits:
    """What one endpoint allows: ``blocks`` in a log query, and ``rate`` of requests."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.range = RangeLimit(monotonic)
        self.rate = RequestRate(monotonic)

    def learned(self) -> Document:
        """Return what was learned as a document; empty where no limit was met."""
        rate = self.rate.per_s
        if self.range.blocks is None and rate is None:
            return {}
        return {**self.range.learned(), "requestsPerS": None if rate is None else round(rate, 2)}

    def learn(self, document: Any) -> None:
        """Take up what was learned before; whatever is not of that form is left out."""
        if isinstance(document, dict):
            self.range.learn(document)
            self.rate.learn(document.get("requestsPerS"))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else None
