"""Reading recorded fees for a back-test: headers of consecutive blocks, or transactions that waited.

Columns are known by their names, however they are spelled: letters and digits count, their case does not.
Everything that is wrong is InvalidInput, and names file, row (the header is row 1) and column.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Final

from shared.domain.fee_blocks import BlockFees
from shared.domain.limits import TIME_LIMIT
from shared.domain.tips import TipObservation
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOCK_S: Final = 12
"""Seconds between blocks (Ethereum since September 2022): turns seconds waited into blocks waited."""
"""Past it a time is in milliseconds, or none."""
_HEADERS: Final = {
    "number": {"number", "block", "blocknumber", "height"},
    "timestamp": {"timestamp", "time", "timestamps", "blocktimestamp", "blocktime"},
    "base_fee": {"basefee", "basefeepergas", "basefeewei", "basefeepergaswei"},
    "gas_used": {"gasused"},
    "gas_limit": {"gaslimit"},
}
_WAITS: Final = {
    "received": {"receiveds", "received", "seens", "firstseens", "receivedtime", "receivedat"},
    "waited": {"waiteds", "waited", "waits", "waitings", "waitingtime", "waitingtimes"},
    "block": _HEADERS["number"],
    "base_fee": _HEADERS["base_fee"],
    "tip": {"tip", "tipwei", "effectivetip", "effectivetipwei", "priorityfeewei", "effectivepriorityfeewei"},
    "gas_used": {"gasused"},
}
_TIP_AT: Final = re.compile(r"^(?:tip|reward)p(\d{1,3})(?:wei)?$")
_ALL: Final = 100
_LEAST_LIMIT: Final = 2
_WHOLE: Final = re.compile(r"[0-9]{1,78}|0x[0-9a-f]{1,64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wait:
    """A transaction seen at ``received_s`` (since 1970) and mined ``waited_s`` later, in ``block``."""

    received_s: float
    waited_s: float
    block: int
    gas_used: int
    observation: TipObservation

    @property
    def mined_s(self) -> float:
        """When its block was made."""
        return self.received_s + self.waited_s


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds: one of the two is empty."""

    blocks: tuple[BlockFees, ...] = ()
    waits: tuple[Wait, ...] = ()


def read_recording(lines: Iterable[str], name: str) -> Recording:
    """Read a CSV (commas, semicolons or tabs) of headers or of waiting times; ``name`` is for errors."""
    try:
        return _read(list(lines), name)
    except csv.Error as error:
        raise InvalidInput(f"{name}: this is no CSV: {error}") from error


def _read(text: list[str], name: str) -> Recording:
    if not text or not text[0].strip():
        raise InvalidInput(f"{name}: row 1 should name the columns")
    separator = max(",;\t", key=text[0].count)
    titles = next(csv.reader(text[:1], delimiter=separator))
    plain = [re.sub(r"[^a-z0-9]", "", title.lower()) for title in titles]
    waits = bool(_WAITS["waited"] & set(plain))
    columns = _columns(_WAITS if waits else _HEADERS, plain, name)
    rows = _Rows(name, titles, columns)
    if waits:
        found = [rows.wait(at, row) for at, row in rows.read(text, separator)]
        return Recording(waits=tuple(sorted(found, key=lambda wait: (wait.received_s, wait.mined_s))))
    tips = _tip_columns(plain, titles, name)
    blocks: list[BlockFees] = []
    for at, row in rows.read(text, separator):
        block = rows.block(at, row, tips)
        if blocks and block.number <= blocks[-1].number:
            raise InvalidInput(
                f"{name}: row {at}: block {block.number} does not come after {blocks[-1].number}"
            )
        blocks.append(block)
    return Recording(blocks=tuple(blocks))


def _tip_columns(plain: list[str], titles: list[str], name: str) -> dict[int, int]:
    """Say by percentile at which place its tip stands."""
    places: dict[int, int] = {}
    for at, title in enumerate(plain):
        match = _TIP_AT.match(title)
        if match is None:
            continue
        percentile = int(match[1])
        if percentile > _ALL or "." in titles[at] or percentile in places:
            wrong = "stands there already" if percentile in places else "is no whole percentile"
            raise InvalidInput(f"{name}: row 1, column {titles[at].strip()}: {wrong}")
        places[percentile] = at
    return places


def _columns(wanted: Mapping[str, set[str]], plain: list[str], name: str) -> dict[str, int]:
    """Say at which place each column stands."""
    columns = {}
    for field, names in wanted.items():
        places = [at for at, title in enumerate(plain) if title in names]
        if len(places) != 1:
            amount = "no column" if not places else "more than one column"
            raise InvalidInput(
                f"{name}: row 1 has {amount} for {field} (known as {', '.join(sorted(names))})"
            )
        columns[field] = places[0]
    return columns


@dataclass(frozen=True, slots=True)
class _Rows:
    """Makes blocks and waits of rows, and names what is wrong with one."""

    name: str
    titles: list[str]
    columns: dict[str, int]

    def read(self, text: list[str], separator: str) -> Iterable[tuple[int, list[str]]]:
        """Yield the rows that are not empty, with their numbers."""
        reader = csv.reader(text, delimiter=separator)
        next(reader)
        found = False
        for row in reader:
            if not row:
                continue
            if len(row) != len(self.titles):
                raise InvalidInput(
                    f"{self.name}: row {reader.line_num} has {len(row)} columns, not {len(self.titles)}"
                )
            found = True
            yield reader.line_num, row
        if not found:
            raise InvalidInput(f"{self.name}: there are no rows")

    def block(self, at: int, row: list[str], tips: Mapping[int, int]) -> BlockFees:
        """Make a block of a row; a tip that is left empty is not known."""
        number, timestamp, base_fee, used, limit = (self._whole(at, row, self.columns[f]) for f in _HEADERS)
        if limit < _LEAST_LIMIT:
            raise self._wrong(at, self.columns["gas_limit"], "is no limit that a block can aim at half of")
        known: dict[float, int] = {
            p: self._whole(at, row, place) for p, place in tips.items() if row[place].strip()
        }
        try:
            return BlockFees(number, timestamp, base_fee, used, limit, known)
        except InvalidInput as error:
            raise InvalidInput(f"{self.name}: row {at}: {error}") from error

    def wait(self, at: int, row: list[str]) -> Wait:
        """Make a wait of a row."""
        received, waited = (self._seconds(at, row, self.columns[f]) for f in ("received", "waited"))
        block, base_fee, tip, gas = (
            self._whole(at, row, self.columns[f]) for f in ("block", "base_fee", "tip", "gas_used")
        )
        waited_blocks = max(1, -int(-waited // BLOCK_S))
        return Wait(received, waited, block, gas, TipObservation(tip, base_fee, waited_blocks))

    def _whole(self, at: int, row: list[str], place: int) -> int:
        text = row[place].strip()
        if not _WHOLE.fullmatch(text):
            raise self._wrong(at, place, "is no whole number of 0 or more")
        return int(text, 16 if text[:2].lower() == "0x" else 10)

    def _seconds(self, at: int, row: list[str], place: int) -> float:
        try:
            seconds = float(row[place])
        except ValueError:
            raise self._wrong(at, place, "is no number of seconds") from None
        if not isfinite(seconds) or not 0 <= seconds < TIME_LIMIT:
            raise self._wrong(at, place, "is no number of seconds (since 1970) of 0 or more")
        return seconds

    def _wrong(self, at: int, place: int, what: str) -> InvalidInput:
        return InvalidInput(f"{self.name}: row {at}, column {self.titles[place].strip()}: {what}")
