"""What a contract says when it reverts, in words: its own errors, and Solidity's two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.domain.abi import compile_function
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.abi import FunctionCodec

_BUILT_IN: Final = (
    {"name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
    {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)
"""Solidity, "Error handling": what `require` and `assert` revert with."""


class Revert(NamedTuple):
    """A revert: the ``error`` by name, with its ``arguments``; None where its data is of no known one."""

    error: str | None
    arguments: Mapping[str, Any]
    data: bytes


def errors_of(abi: Sequence[Mapping[str, Any]]) -> list[FunctionCodec]:
    """Return the errors of an ABI, and Solidity's own; one of a type that nobody knows is left out."""
    found = []
    for entry in (*(entry for entry in abi if entry.get("type") == "error"), *_BUILT_IN):
        try:
            found.append(compile_function({**entry, "outputs": ()}))
        except InvalidInput:
            continue  # its data is shown as it is
    return found


def read_revert(data: bytes, errors: Sequence[FunctionCodec]) -> Revert:
    """Return what revert data says."""
    for error in errors:
        arguments = error.decode_call(data)
        if arguments is not None:
            return Revert(error.name, arguments, data)
    return Revert(None, {}, data)
