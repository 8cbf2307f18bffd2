"""Where numbers and times end that every store, every JSON reader and ISO 8601 take."""

from __future__ import annotations

from typing import Final

SAFE_INTEGER: Final = 2**53
"""Integers below it are the same in every JSON reader, and fit a document of either store."""
TIME_LIMIT: Final = 253_402_300_800
"""Seconds since 1970 at which the year 10000 begins, which ISO 8601 cannot spell."""
