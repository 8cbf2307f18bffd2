"""What a rollover's screen says, from what has been proved to have happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

CLOSED: Final = frozenset({"completed", "failed", "cancelled"})
"""The statuses in which nothing more is expected."""

APPROVED: Final = "approved:"
"""Prefix of the milestone that a custodian, named behind it, has approved all documents."""

BOTH: Final = frozenset({"agree_send", "agree_receive"})

_RULES: Final[tuple[tuple[Callable[[Collection[str]], bool], str], ...]] = (
    (lambda done: "completed" in done, "completed"),
    (lambda done: "cancelled" in done, "cancelled"),
    (lambda done: "failed" in done, "failed"),
    (lambda done: "burned" in done, "completed"),
    (lambda done: "minted" in done, "funds_in_transit"),
    (lambda done: "funds_received" in done, "completed"),
    (lambda done: "funds_sent" in done, "funds_in_transit"),
    (lambda done: "executed" in done, "awaiting_funds"),
    (lambda done: set(done) >= BOTH and "financial" in done, "ready_to_record"),
    (lambda done: set(done) >= BOTH, "awaiting_financial_verification"),
    (lambda done: "agree_send" in done, "awaiting_receiver"),
    (lambda done: "agree_receive" in done, "awaiting_sender"),
)
"""First match wins; what no rule matches is in the document phase."""


def displayed_status(done: Collection[str], custodians: Collection[str]) -> str:
    """Return the displayed status for the milestones that are proved and not superseded.

    ``custodians``: the ids of the transfer's custodians; with two, both must have approved the
    documents. ``settled`` (the contract's completion) never decides: for a level-2 pair money still
    moves off chain.
    """
    for matches, status in _RULES:
        if matches(done):
            return status
    approvals = {name.removeprefix(APPROVED) for name in done if name.startswith(APPROVED)}
    if approvals and approvals >= set(custodians):
        return "in_progress"
    if approvals or "documents_submitted" in done:
        return "awaiting_approval"
    return "acknowledged" if "acknowledged" in done else "started"
