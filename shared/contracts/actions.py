"""Which function of the contract carries out which action, and where its arguments come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from shared.domain.actions import ACTIONS, ActionRule, Source
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from shared.contracts.abi_file import AbiFile
    from shared.contracts.table import Table

_SOURCES: Final = tuple(str(source) for source in Source)
_LIKE_A_SOURCE: Final = re.compile(r"(transfer|sender|receiver)\.")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


def compile_actions(table: Table, abi: AbiFile) -> dict[str, ActionRule]:
    """Return the rule of each action of ``[[actions]]``; ConfigError names the entry and the key."""
    rules: dict[str, ActionRule] = {}
    for entry in table.tables("actions"):
        action = entry.text("action")
        if action not in ACTIONS:
            raise entry.error("action", f"{action!r} is no action", action, ACTIONS)
        if action in rules:
            raise entry.error("action", f"{action} is described twice")
        rules[action] = _rule(entry, abi)
        entry.nothing_else()
    return rules


def _rule(entry: Table, abi: AbiFile) -> ActionRule:
    function = abi.function(entry, "function")
    given = entry.table("arguments")
    names = [part.name for part in function.inputs.parts]
    for key in given.keys():  # noqa: SIM118 - a Table is no mapping
        if key not in names:
            raise given.error(key, f"{function.signature} has no such argument", key, names)
    arguments = {name: _argument(given, name) for name in names}
    rule = ActionRule(function, arguments, _sender(entry) if entry.has("sender") else None)
    try:
        rule.call({})
    except InvalidInput as error:
        raise entry.error("arguments", str(error)) from error
    return rule


def _argument(given: Table, name: str) -> Any:
    value = given.value(name)
    if not isinstance(value, str):
        return value
    if value in _SOURCES:
        return Source(value)
    if _LIKE_A_SOURCE.match(value):
        raise given.error(name, f"{value!r} is no source", value, _SOURCES)
    return value


def _sender(entry: Table) -> str:
    value = entry.text("sender")
    if value in (Source.SENDER, Source.RECEIVER):
        return Source(value)
    if not _ADDRESS.fullmatch(value):
        raise entry.error("sender", f"{value!r} is no address", value, (Source.SENDER, Source.RECEIVER))
    return value.lower()
