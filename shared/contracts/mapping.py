"""The heart of a contract file: which ABI event, with which arguments, means which lifecycle step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.domain.abi import compile_event, signature
from shared.domain.contract import LogRule
from shared.domain.lifecycle import STEPS
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.contracts.table import Table
    from shared.domain.abi import EventDecoder

Path = tuple[str, ...]


def compile_rules(
    table: Table, abi: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, LogRule], frozenset[str]]:
    """Return the rule of each mapped event by its first topic, and the topics of all other events.

    ConfigError names the ``[[logs]]`` entry and the key: an event that the ABI lacks, an argument that it
    does not have, a step or field that the lifecycle lacks or that is not mapped.
    """
    events = [entry for entry in abi if entry.get("type") == "event"]
    rules: dict[str, LogRule] = {}
    for entry in table.tables("logs"):
        rule = _rule(entry, events)
        if rule.decoder.topic0 in rules:
            raise entry.error("event", f"{rule.decoder.signature} is mapped twice")
        rules[rule.decoder.topic0] = rule
    if not rules:
        raise table.error("logs", "no [[logs]] entry: no log would mean anything")
    missing = set(STEPS) - {step for rule in rules.values() for step in rule.targets}
    if missing:
        raise table.error("logs", f"no event is mapped to {', '.join(sorted(missing))}")
    others = {compile_event(e).topic0 for e in events if not e.get("anonymous") and _is_named(e)} - set(rules)
    return rules, frozenset(others)


def _is_named(entry: Mapping[str, Any]) -> bool:
    return all(argument.get("name") for argument in entry.get("inputs", ()))


def _rule(entry: Table, events: Sequence[Mapping[str, Any]]) -> LogRule:
    name = entry.text("event")
    found = [event for event in events if name in (event["name"], signature(event))]
    if len(found) != 1:
        trouble = "is no event of the ABI" if not found else "is overloaded: give its whole signature"
        raise entry.error("event", f"{name!r} {trouble}", name, [str(event["name"]) for event in events])
    try:
        decoder = compile_event(found[0])
    except ConfigError as error:
        raise entry.error("event", str(error)) from error
    paths = _paths(found[0].get("inputs", ()))
    transfer = _argument(entry, "transfer", decoder)
    step, by, steps = _steps(entry, decoder)
    given = _flat(entry.table("arguments"))
    fields = {}
    for target in {step} if step else set(steps.values()):
        fields[target] = _fields(entry, target, given, paths)
    spare = set(given) - {field for target in fields for field in STEPS[target].fields}
    if spare:
        field = min(spare)
        known = sorted({name for target in fields for name in STEPS[target].fields})
        raise entry.error(f"arguments.{field}", "is no field of the step", field, known)
    entry.nothing_else()
    return LogRule(decoder, transfer, step, by, steps, fields)


def _steps(entry: Table, decoder: EventDecoder) -> tuple[str | None, str | None, dict[str, str]]:
    if entry.has("step") == entry.has("step_by"):
        raise entry.error("step", "give either step, or step_by = { argument = …, value = step, … }")
    if entry.has("step"):
        return _known_step(entry, "step"), None, {}
    table = entry.table("step_by")
    by = _argument(table, "argument", decoder)
    steps = {key: _known_step(table, key) for key in table.keys() if key != "argument"}  # noqa: SIM118
    return None, by, steps


def _known_step(table: Table, key: str) -> str:
    step = table.text(key)
    if step not in STEPS:
        raise table.error(key, f"{step!r} is no lifecycle step", step, STEPS)
    return step


def _argument(table: Table, key: str, decoder: EventDecoder) -> str:
    name = table.text(key)
    if name not in decoder.arguments:
        raise table.error(key, f"{decoder.name} has no argument {name!r}", name, decoder.arguments)
    return name


def _fields(entry: Table, step: str, given: Mapping[str, str], paths: set[str]) -> list[tuple[Path, Path]]:
    fields = []
    for field in STEPS[step].fields:
        source = given.get(field)
        if source is None:
            raise entry.error(f"arguments.{field}", f"is missing: step {step} needs it", field, given)
        if source not in paths:
            raise entry.error(f"arguments.{field}", f"the event has no argument {source!r}", source, paths)
        fields.append((tuple(field.split(".")), tuple(source.split("."))))
    return fields


def _flat(table: Table, prefix: str = "") -> dict[str, str]:
    """Return ``{"fundSources.gross": "…"}`` from nested tables."""
    flat: dict[str, str] = {}
    for key in table.keys():  # noqa: SIM118 - a Table is no dict
        value = table.raw(key)
        if isinstance(value, dict):
            flat.update(_flat(table.table(key), f"{prefix}{key}."))
        else:
            flat[prefix + key] = table.text(key)
    return flat


def _paths(inputs: Sequence[Mapping[str, Any]], prefix: str = "") -> set[str]:
    paths = set()
    for argument in inputs:
        name = prefix + str(argument.get("name", ""))
        paths.add(name)
        if argument["type"] == "tuple" and not argument.get("indexed"):
            paths |= _paths(argument["components"], name + ".")
    return paths
