"""The part of ``requirements.txt`` that a function needs, with its pins and hashes."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_VIA: Final = re.compile(r"^    #(?: via)? {1,3}([A-Za-z0-9._-]+)$", re.MULTILINE)
_SUFFIXES: Final = (".py", "/__init__.py", ".abi3.so", "")


class Pins:
    """A lock file as uv writes it: each pin with its hashes, and on whose behalf it is there."""

    def __init__(self, text: str) -> None:
        self._blocks: dict[str, str] = {}
        starts = [match.start() for match in _PINNED.finditer(text)]
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            block = text[start:end].rstrip() + "\n"
            self._blocks[normal(block.partition("==")[0])] = block
        self._via = {
            name: {normal(other) for other in _VIA.findall(block)} for name, block in self._blocks.items()
        }

    def __contains__(self, name: str) -> bool:
        return normal(name) in self._blocks

    def closure(self, names: Iterable[str]) -> str:
        """Return the pins of these and of all that they require, in the file's order."""
        wanted = {normal(name) for name in names}
        while grown := {name for name, via in self._via.items() if via & wanted} - wanted:
            wanted |= grown
        return "".join(block for name, block in self._blocks.items() if name in wanted)


def distributions_of(modules: Iterable[str], pins: Pins) -> set[str]:
    """Return the pinned distributions that hold these foreign modules; what Python brings along is left out.

    A module may be named with something taken from it (``google.cloud.firestore.Client``). LookupError
    for one that no pinned distribution holds.
    """
    holders = _holders(pins)
    found = set()
    for module in modules:
        if module.partition(".")[0] in sys.stdlib_module_names:
            continue
        holder = _holder(module, holders)
        if holder is None:
            raise LookupError(f"{module} is imported, and nothing pinned in requirements.txt holds it")
        found.add(holder)
    return found


def _holder(module: str, holders: Mapping[str, str]) -> str | None:
    path = module.replace(".", "/")
    while path:
        for suffix in _SUFFIXES:
            if path + suffix in holders:
                return holders[path + suffix]
        path = path.rpartition("/")[0]
    return None


def _holders(pins: Pins) -> dict[str, str]:
    """Return the distribution of every file, and of every folder that is one distribution's alone."""
    holders: dict[str, str] = {}
    folders: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        name = normal(distribution.name)
        if name not in pins:
            continue
        for file in distribution.files or []:
            holders[file.as_posix()] = name
            folders.setdefault(file.parent.as_posix(), set()).add(name)
    return holders | {folder: min(names) for folder, names in folders.items() if len(names) == 1}


def normal(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
