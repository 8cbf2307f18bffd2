"""How long SQLite's write-ahead log is, told from the file: Python's sqlite3 does not tell."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# By the format of the file as sqlite.org describes it: of its header the page size and the two salts, of that
# of a frame (its page follows) the salts. All numbers are big-endian.
_HEADER: Final = struct.Struct(">8xI4x8s8x")
_FRAME: Final = struct.Struct(">8x8s8x")


def has_frames(log: Path, count: int) -> bool:
    """Say whether the log has so many frames by now, each a page; False where there is no log.

    A log that was written back is begun anew at its start, under other salts, and its size stays what it
    was: what lies beyond its end carries the salts of before. Raises OSError where it cannot be read.
    """
    try:
        file = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        header = os.pread(file, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return False
        page_size, salts = _HEADER.unpack(header)
        at = _HEADER.size + (count - 1) * (_FRAME.size + page_size)
        frame = os.pread(file, _FRAME.size, at)
    finally:
        os.close(file)
    return len(frame) == _FRAME.size and _FRAME.unpack(frame)[0] == salts
