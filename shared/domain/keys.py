"""What can be the key of a document: Firestore's rules, kept everywhere."""

from __future__ import annotations

from typing import Final

_MAX_KEY_BYTES: Final = 1500


def can_be_key(key: str) -> bool:
    """Say whether a document can have this key."""
    if not key or "/" in key or key in (".", "..") or (key.startswith("__") and key.endswith("__")):
        return False
    return len(key) * 4 <= _MAX_KEY_BYTES or len(key.encode()) <= _MAX_KEY_BYTES
