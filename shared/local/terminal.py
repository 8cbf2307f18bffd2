"""A terminal to print to: what somebody else has written moves no cursor and changes no colour there."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table

# C0 and C1 but for the line feed, and what turns the direction of writing (Unicode TR 9): a transfer's id may
# come from an outside wallet's calldata.
_MOVING: Final = (*range(10), *range(11, 32), *range(127, 160), 0x200E, 0x200F, *range(0x2028, 0x202F))
_SPELLED: Final = {code: ascii(chr(code))[1:-1] for code in (*_MOVING, *range(0x2066, 0x206A))}


def visible(text: str) -> str:
    """Return the text with control characters spelled out, as Python spells them."""
    return text.translate(_SPELLED)


class Terminal(Console):
    """Prints text as it is, without markup, wrapping or colours guessed from it."""

    def __init__(self) -> None:
        super().__init__(soft_wrap=True, highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, control characters made visible."""
        super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **options)


class PlainTable(Table):
    """A table without lines whose cells are made visible."""

    def __init__(self, *, show_header: bool = True) -> None:
        super().__init__(box=None, pad_edge=False, header_style="bold", show_header=show_header)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row, control characters made visible."""
        super().add_row(*(visible(cell) if isinstance(cell, str) else cell for cell in cells), **options)
