"""What a reconciliation keeps for itself: how far it came, and what it has seen, sealed against hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.domain.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ports import Document, Documents

CURSORS: Final = "reconciliation_cursors"
_SEAL: Final = "seal"


def read_notes(documents: Documents, collection: str, keys: Iterable[str]) -> dict[str, Document]:
    """Return those of the notes that exist, by key; what somebody edited counts as none.

    To begin anew costs a look at what was seen before. To go on from an edited place could leave transfers
    out for good, or raise in every run.
    """
    found = documents.get_many(collection, keys)
    opened = {key: {k: v for k, v in each.items() if k != _SEAL} for key, each in found.items()}
    return {key: notes for key, notes in opened.items() if found[key].get(_SEAL) == digest(notes)}


def read_note(documents: Documents, collection: str, key: str) -> Document:
    """Return one of the notes, empty where there is none."""
    return read_notes(documents, collection, [key]).get(key, {})


def keep_note(documents: Documents, collection: str, key: str, note: Document) -> None:
    """Store a note in place of what was there."""
    documents.put(collection, key, {**note, _SEAL: digest(note)})
