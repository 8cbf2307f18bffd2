"""A TOML table that is read strictly: what is missing, misspelt or of another type is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Table:
    """One table; remembers which of its keys were asked for."""

    def __init__(self, where: str, values: dict[str, Any]) -> None:
        """Wrap the values; ``where`` (file and path) heads every message."""
        self.where = where
        self._values = values
        self._asked: set[str] = set()

    def error(self, key: str, trouble: str, given: str = "", known: Iterable[str] = ()) -> ConfigError:
        """Return an error about a key, with the nearest known name if there is one."""
        hint = ""
        if given:
            # Only needed to explain a mistake, and slow to import.
            from difflib import get_close_matches  # noqa: PLC0415

            close = get_close_matches(given, list(known), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"
        return ConfigError(f"{self.where}: {key}: {trouble}{hint}")

    def has(self, key: str) -> bool:
        """Say whether the key is given."""
        self._asked.add(key)
        return key in self._values

    def keys(self) -> list[str]:
        """Return the keys given."""
        return list(self._values)

    def raw(self, key: str) -> Any:
        """Return a value of whatever type."""
        return self._value(key, None)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string; ``default`` where it is not given."""
        value = self._value(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.error(key, f"must be a text, not {value!r}")
        return value

    def number(self, key: str, least: int = 0, default: int | None = None) -> int:
        """Return an integer of at least ``least``; ``default`` where it is not given."""
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(key, f"must be a whole number, not {value!r}")
        if value < least and (default is None or value != default):
            raise self.error(key, f"must be at least {least}, not {value}")
        return value

    def as_number(self, key: str) -> int:
        """Return a key that is itself a number."""
        if not key.isdigit():
            raise self.error(key, "must be a number")
        return int(key)

    def table(self, key: str) -> Table:
        """Return a table within this one, empty where it is not given."""
        value = self._value(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"must be a table, not {value!r}")
        return Table(f"{self.where}: {key}", value)

    def tables(self, key: str) -> list[Table]:
        """Return the tables of an array ``[[key]]``."""
        value = self._value(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.error(key, f"must be an array of tables [[{key}]]")
        return [Table(f"{self.where}: {key}[{i}]", entry) for i, entry in enumerate(value)]

    def nothing_else(self) -> None:
        """Raise ConfigError for a key that nothing asked for: most likely a typing mistake."""
        for key in self._values:
            if key not in self._asked:
                raise self.error(key, "is not a known key", key, self._asked)

    def _value(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            close = [name for name in self._values if name not in self._asked]
            raise self.error(key, "is missing", key, close) if close else self.error(key, "is missing")
        return default
