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
        """Return an error about a key; with ``given``, it says what of ``known`` was probably meant."""
        hint = ""
        if given:
            close = _closest(given, known)
            hint = f"; did you mean {close!r}?" if close else f"; known are {', '.join(sorted(known))}"
        return ConfigError(f"{self.where}: {key}: {trouble}{hint}")

    def missing(self, key: str, trouble: str, name: str, unknown: Iterable[str]) -> ConfigError:
        """Return an error about a key that is not given; one of ``unknown`` may be its misspelling."""
        close = _closest(name, unknown)
        return ConfigError(f"{self.where}: {key}: {trouble}{f'; is {close!r} it?' if close else ''}")

    def has(self, key: str) -> bool:
        """Say whether the key is given."""
        self._asked.add(key)
        return key in self._values

    def keys(self) -> list[str]:
        """Return the keys given."""
        return list(self._values)

    def is_table(self, key: str) -> bool:
        """Say whether a table is given."""
        return isinstance(self._values.get(key), dict)

    def value(self, key: str) -> Any:
        """Return a value of any type."""
        return self._value(key, None)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string that is not empty; ``default`` where it is not given."""
        value = self._value(key, default)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be a text, not {value!r}")
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of strings, empty where it is not given."""
        value = self._value(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self.error(key, f"must be a list of texts, not {value!r}")
        return value

    def number(self, key: str, least: int = 0, most: int = 2**63 - 1) -> int:
        """Return an integer from ``least`` to ``most``."""
        value = self._value(key, None)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(key, f"must be a whole number, not {value!r}")
        if not least <= value <= most:
            raise self.error(key, f"must be from {least} to {most}, not {value}")
        return value

    def number_keys(self) -> dict[int, str]:
        """Return the table as texts by number."""
        for key in self._values:
            if not (key.isascii() and key.isdigit()):
                raise self.error(key, "must be a number")
        return {int(key): self.text(key) for key in self._values}

    def table(self, key: str) -> Table:
        """Return a table within this one, empty where it is not given."""
        value = self._value(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"must be a table, not {value!r}")
        return Table(f"{self.where}: {key}", value)

    def tables(self, key: str) -> list[Table]:
        """Return the tables of an array ``[[key]]``, counted from 1 in messages."""
        value = self._value(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.error(key, f"must be an array of tables [[{key}]]")
        return [Table(f"{self.where}: {key}[{i}]", entry) for i, entry in enumerate(value, 1)]

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
            raise self.missing(
                key, "is missing", key, [name for name in self._values if name not in self._asked]
            )
        return default


def _closest(name: str, known: Iterable[str]) -> str | None:
    # Only needed to explain a mistake, and slow to import.
    from difflib import get_close_matches  # noqa: PLC0415

    return next(iter(get_close_matches(name, list(known), n=1)), None)
