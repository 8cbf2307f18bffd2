"""What can be the key of a document: Firestore's rules, kept everywhere."""

from __future__ import annotations

from typing import Final, TypeGuard

_MAX_KEY_BYTES: Final = 1500


def can_be_key(key: object) -> TypeGuard[str]:
    """Say whether a document can have this key: a text, and one that both stores take."""
    if (
        not isinstance(key, str)
        or not key
        or "/" in key
        or key in (".", "..")
        or (key.startswith("__") and key.endswith("__"))
    ):
        return False
    return len(key) * 4 <= _MAX_KEY_BYTES or len(key.encode()) <= _MAX_KEY_BYTES
