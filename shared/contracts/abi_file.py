"""The ABI beside a contract file: read once, its events and functions found by name or signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from shared.domain.abi import compile_event, compile_function, signature
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shared.contracts.table import Table
    from shared.domain.abi import EventDecoder, FunctionCodec


class AbiFile:
    """A contract's ABI; ``entries`` is what the compiler wrote, an entry repeated word by word left out."""

    def __init__(self, directory: Path, table: Table) -> None:
        """Read the file that the table's key ``abi`` names; ConfigError says what is wrong with it."""
        self._table = table
        self._path = directory / table.text("abi")
        self.entries = self._load()
        self._events = self._by_signature("event")
        self._functions = self._by_signature("function")

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """The entries of all events whose logs can be told by their first topic."""
        return [entry for entry in self._events.values() if not entry.get("anonymous")]

    def event(self, table: Table, key: str) -> EventDecoder:
        """Compile the event that a key names; ConfigError where there is not exactly one."""
        return self.compiled(self._one(table, key, self._events, "event"))

    def function(self, table: Table, key: str) -> FunctionCodec:
        """Compile the function that a key names; ConfigError where there is not exactly one."""
        return compile_function(self._one(table, key, self._functions, "function"))

    def compiled(self, entry: Mapping[str, Any]) -> EventDecoder:
        """Compile an event's entry; ConfigError where its logs cannot be decoded."""
        try:
            return compile_event(entry)
        except InvalidInput as error:
            raise self._table.error("abi", f"{self._path}: {error}") from error

    def _load(self) -> Sequence[Mapping[str, Any]]:
        try:
            content = orjson.loads(self._path.read_bytes())
        except OSError as error:
            raise self._table.error("abi", f"{self._path} cannot be read: {error.strerror}") from error
        except orjson.JSONDecodeError as error:
            raise self._table.error("abi", f"{self._path} is not JSON: {error}") from error
        entries = content.get("abi") if isinstance(content, dict) else content
        if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
            raise self._table.error(
                "abi", f"{self._path} is neither a list of ABI entries nor an artefact with one under 'abi'"
            )
        return [entry for place, entry in enumerate(entries) if entry not in entries[:place]]

    def _by_signature(self, kind: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for entry in self.entries:
            if entry.get("type") != kind:
                continue
            try:
                spelled = signature(entry)
            except InvalidInput as error:
                raise self._table.error(
                    "abi", f"{self._path}: {kind} {entry.get('name')}: {error}"
                ) from error
            if spelled in found:
                raise self._table.error("abi", f"{self._path} has {kind} {spelled} twice, and differently")
            found[spelled] = entry
        return found

    def _one(
        self, table: Table, key: str, known: Mapping[str, Mapping[str, Any]], kind: str
    ) -> Mapping[str, Any]:
        name = table.text(key)
        found = [entry for spelled, entry in known.items() if name in (spelled, entry.get("name"))]
        if len(found) == 1:
            return found[0]
        if found:
            ways = " or ".join(spelled for spelled, entry in known.items() if entry in found)
            raise table.error(key, f"{kind} {name!r} is overloaded: say {ways}")
        names = {str(entry.get("name")) for entry in known.values()}
        raise table.error(key, f"{name!r} is no {kind} of {self._path}", name, names)


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(part) or [], list) and all(isinstance(a, dict) for a in entry.get(part) or [])
        for part in ("inputs", "outputs")
    )
