"""New documents of a Firestore collection by reading it again and again: for the laptop."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from itertools import chain as chain_together
from itertools import count, islice
from threading import Lock
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import orjson

from shared.errors import InvalidInput
from shared.ports import Change, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ports import Document, Documents

STORED_AT: Final = "audit.storedAt"
OVERLAP: Final = timedelta(seconds=10)
_PAGE: Final = 500
_MOST_CHAINS: Final = 16
_FIRST_KEY: Final = "!"


@dataclass(frozen=True, slots=True)
class Reader:
    """A collection, read in the order in which its documents say they were stored."""

    documents: Documents
    collection: str
    with_bodies: bool = True

    def keys_from(self, stored_at: str | None) -> Iterator[tuple[str, str]]:
        """Yield (audit.storedAt, key) from a time on."""
        after = None if stored_at is None else (stored_at, _FIRST_KEY)
        while True:
            query = Query(order_by=STORED_AT, limit=_PAGE, after=after, fields=("audit",))
            page = self.documents.query(self.collection, query)
            for key, document in page:
                after = (document["audit"]["storedAt"], key)
                if isinstance(after[0], str):
                    yield after
            if len(page) < _PAGE:
                return

    def bodies(self, keys: list[str]) -> dict[str, Document]:
        """Return the documents of these keys, empty ones where no bodies are wanted."""
        if not self.with_bodies:
            return {key: {} for key in keys}
        return self.documents.get_many(self.collection, keys)


class Window:
    """What was delivered of one collection within the overlap before each reader's last position.

    ``audit.storedAt`` comes from the writers' clocks, and a write takes its time: a document may appear
    below one that was read already. So each reading starts ``OVERLAP`` before the position, and leaves out
    what the same chain of positions has had by then; after a restart the overlap is delivered again. A
    writer whose clock is further behind, and documents without the field as a string, are not seen.
    """

    def __init__(self) -> None:
        self._chains: dict[str, dict[str, tuple[str, int]]] = {}
        self._serial = count(1)
        self._lock = Lock()

    def read(self, reader: Reader, after: str | None, limit: int) -> list[Change]:
        """Return up to ``limit`` documents that this chain of positions has not had."""
        position = _Position.decode(after) if after else None
        start = _earlier(position.stored_at) if position else None
        with self._lock:
            chain, had = self._chain(position)
            had_until = position.serial if position and position.chain == chain else 0
            # A position read from again (its changes were not all handled) gives them again, in their
            # first order; only then comes what was not known.
            known = [(serial, at, key) for key, (at, serial) in had.items() if serial > had_until]
            unknown = ((next(self._serial), at, key) for at, key in reader.keys_from(start) if key not in had)
            found = list(islice(chain_together(sorted(known), unknown), limit))
            had.update({key: (at, serial) for serial, at, key in found})
        bodies = reader.bodies([key for _, _, key in found])
        changes = []
        highest = position.stored_at if position else ""
        for serial, at, key in found:
            highest = max(highest, at)
            if key in bodies:
                changes.append(Change(_Position(highest, chain, serial).encode(), key, bodies[key]))
        return changes

    def _chain(self, position: _Position | None) -> tuple[str, dict[str, tuple[str, int]]]:
        """Return the chain that the position belongs to, or a new one, without what lies too far back."""
        name = position.chain if position and position.chain in self._chains else uuid4().hex
        had = self._chains.pop(name, {})
        if position:
            start = _earlier(position.stored_at)
            had = {key: entry for key, entry in had.items() if entry[0] >= start}
        self._chains[name] = had
        while len(self._chains) > _MOST_CHAINS:
            del self._chains[next(iter(self._chains))]
        return name, had


@dataclass(frozen=True, slots=True)
class _Position:
    stored_at: str
    chain: str
    serial: int

    def encode(self) -> str:
        return orjson.dumps(astuple(self)).decode()

    @classmethod
    def decode(cls, text: str) -> _Position:
        try:
            return cls(*orjson.loads(text))
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"position {text!r} is not one that watch gave out") from error


def _earlier(stored_at: str) -> str:
    try:
        return (datetime.fromisoformat(stored_at) - OVERLAP).isoformat()
    except ValueError:
        return stored_at  # not a time: some application's own spelling, taken as it stands
