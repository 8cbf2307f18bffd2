"""The HTTP side of gas quotes: answers that caches may keep until the next block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.adapters.http_problem import Answer as HttpAnswer
    from shared.app.quote_gas import Answer


def quote_answer(quote: Answer, if_none_match: str | None) -> HttpAnswer:
    """Return a quote as Flask takes it: 304 without a body where the caller has this very one (RFC 9110).

    ``max-age`` counts whole seconds for which the quote surely holds, rounded down; 0: ask again each time.
    Private: a quote may be behind a login, and names a transfer.
    """
    tag = f'"{quote.tag}"'
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={int(quote.fresh_s)}, must-revalidate"}
    if if_none_match is not None and _has(if_none_match, tag):
        return b"", 304, headers
    return quote.body, 200, {**headers, "Content-Type": "application/json"}


def _has(if_none_match: str, tag: str) -> bool:
    listed = [entry.strip().removeprefix("W/") for entry in if_none_match.split(",")]
    return tag in listed or listed == ["*"]
