"""The heart of a contract file: which ABI event, with which arguments, means which lifecycle step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.domain.abi_types import Elementary, Tuple
from shared.domain.contract import LogRule
from shared.domain.lifecycle import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.contracts.abi_file import AbiFile
    from shared.contracts.table import Table
    from shared.domain.abi import EventDecoder

Path = tuple[str, ...]


def compile_rules(table: Table, abi: AbiFile) -> tuple[dict[str, LogRule], frozenset[str]]:
    """Return the rule of each mapped event by its first topic, and the topics of all other events.

    ConfigError names the ``[[logs]]`` entry and the key: an event that the ABI lacks, an argument that it
    does not have, a step or field that the lifecycle lacks or that is not mapped. Every step must be
    mapped, or be listed in ``without``.
    """
    rules: dict[str, LogRule] = {}
    for entry in table.tables("logs"):
        rule = _rule(entry, abi)
        if rule.decoder.topic0 in rules:
            raise entry.error("event", f"{rule.decoder.signature} is mapped twice")
        rules[rule.decoder.topic0] = rule
    mapped = {step for rule in rules.values() for step in rule.targets}
    without = table.texts("without")
    for step in without:
        if step not in STEPS:
            raise table.error("without", f"{step!r} is no lifecycle step", step, STEPS)
        if step in mapped:
            raise table.error("without", f"step {step} is mapped to an event")
    missing = [step for step in STEPS if step not in mapped and step not in without]
    if missing or not rules:
        trouble = f"no [[logs]] entry means {', '.join(missing or STEPS)}"
        raise table.error("logs", f'{trouble}: add one, or say without = ["{(missing or [""])[0]}"]')
    others = {abi.compiled(entry).topic0 for entry in abi.events} - set(rules)
    return rules, frozenset(others)


def _rule(entry: Table, abi: AbiFile) -> LogRule:
    decoder = abi.event(entry, "event")
    transfer = _argument(entry, "transfer", decoder)
    if not _is_hash(decoder, transfer):
        raise entry.error("transfer", f"argument {transfer} of {decoder.name} is not bytes32")
    step, by, steps = _steps(entry, decoder)
    given = _flat(entry.table("arguments"))
    sources = dict(_sources(decoder))
    targets = [step] if step else list(dict.fromkeys(steps.values()))
    fields = {target: _fields(entry, target, given, sources) for target in targets}
    known = {name for target in targets for name in STEPS[target].fields}
    for field in given:
        if field not in known:
            raise entry.error(f"arguments.{field}", "is no field of the step", field, known)
    entry.nothing_else()
    flat = {name: {to[0]: of[0] for to, of in each if _are_names(to, of)} for name, each in fields.items()}
    parts = {name: [(to, of) for to, of in each if not _are_names(to, of)] for name, each in fields.items()}
    return LogRule(decoder, transfer, step, by, steps, flat, parts)


def _are_names(target: Path, source: Path) -> bool:
    return len(target) == len(source) == 1


def _is_hash(decoder: EventDecoder, name: str) -> bool:
    kind = next(part.type for part in decoder.arguments.parts if part.name == name)
    # The topic of an indexed string is its keccak, which is what the hash of a transfer id is.
    return kind.spelling == "bytes32" or (kind.spelling == "string" and name in decoder.indexed)


def _steps(entry: Table, decoder: EventDecoder) -> tuple[str | None, str | None, dict[str, str]]:
    if entry.has("step") == entry.has("step_by"):
        raise entry.error("step", "give either step, or step_by = { argument = …, value = step, … }")
    if entry.has("step"):
        return _known_step(entry, "step"), None, {}
    table = entry.table("step_by")
    by = _argument(table, "argument", decoder)
    steps = {key: _known_step(table, key) for key in table.keys() if key != "argument"}  # noqa: SIM118
    if not steps:
        raise table.error("argument", f"no value of {by} means a step")
    kind = next(part.type for part in decoder.arguments.parts if part.name == by)
    wrong = [key for key in steps if key not in ("true", "false")] if kind.spelling == "bool" else []
    if wrong:
        raise table.error(wrong[0], f"{by} is a bool, true or false", wrong[0], ("true", "false"))
    return None, by, steps


def _known_step(table: Table, key: str) -> str:
    step = table.text(key)
    if step not in STEPS:
        raise table.error(key, f"{step!r} is no lifecycle step", step, STEPS)
    return step


def _argument(table: Table, key: str, decoder: EventDecoder) -> str:
    name = table.text(key)
    known = [part.name for part in decoder.arguments.parts]
    if name not in known:
        raise table.error(key, f"{decoder.signature} has no argument {name!r}", name, known)
    return name


def _fields(
    entry: Table, step: str, given: Mapping[str, str], sources: Mapping[str, str | None]
) -> list[tuple[Path, Path]]:
    fields = []
    for field in STEPS[step].fields:
        source, key = given.get(field), f"arguments.{field}"
        if source is None:
            unknown = [name for name in given if name not in STEPS[step].fields]
            raise entry.missing(key, f"is missing: step {step} needs it", field, unknown)
        if source not in sources:
            raise entry.error(key, f"the event has no argument {source!r}", source, sources)
        if trouble := sources[source]:
            raise entry.error(key, f"argument {source!r} {trouble}")
        fields.append((tuple(field.split(".")), tuple(source.split("."))))
    return fields


def _sources(decoder: EventDecoder) -> Iterator[tuple[str, str | None]]:
    """Yield the path of every argument and part, with the reason why it cannot be a field, if any."""
    for part in decoder.arguments.parts:
        if part.name in decoder.indexed:
            whole = isinstance(part.type, Elementary) and not part.type.dynamic
            yield part.name, None if whole else "is indexed: the log keeps its hash only"
        else:
            yield from _parts(part.type, part.name)


def _parts(kind: object, path: str) -> Iterator[tuple[str, str | None]]:
    yield path, None if isinstance(kind, Elementary) else "has parts: name one of them"
    if isinstance(kind, Tuple):
        for part in kind.parts:
            yield from _parts(part.type, f"{path}.{part.name}")


def _flat(table: Table, prefix: str = "") -> dict[str, str]:
    """Return ``{"fundSources.gross": "…"}`` from nested tables."""
    flat: dict[str, str] = {}
    for key in table.keys():  # noqa: SIM118 - a Table is no dict
        if table.is_table(key):
            flat.update(_flat(table.table(key), f"{prefix}{key}."))
        else:
            flat[prefix + key] = table.text(key)
    return flat
