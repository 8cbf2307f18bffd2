"""What the command line prints: tables for people, JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.local.terminal import PlainTable, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shared.app.check_contracts import Finding
    from shared.app.deadletters import DeadLetter, Replayed
    from shared.domain.contract import Registry
    from shared.ports import Document

_PLACE: Final = frozenset(
    (
        "chainId", "contract", "blockNumber", "blockHash", "transactionHash", "logIndex", "transferHash",
        "step", "joins", "correctedEventType",
    )
)  # fmt: skip
CONSOLE: Final = Terminal()


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    print(orjson.dumps(value, default=str).decode())  # noqa: T201 - the command's answer


def new_table(*columns: str) -> PlainTable:
    """Return an empty table with these headings."""
    table = PlainTable()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def short(value: object) -> str:
    """Return the beginning of a hash or id, a dash for nothing."""
    text = "-" if value is None else str(value)
    return text if len(text) <= 14 else f"{text[:12]}…"  # noqa: PLR2004 - as wide as a column may be


def events(found: Iterable[Document], *, as_json: bool) -> None:
    """Print events; as JSON one a line."""
    if as_json:
        for event in found:
            print_json(event)
        return
    for event in found:
        if "unreadable" in event:
            CONSOLE.print(f"{event['eventId']}  DOES NOT COUNT: {event['unreadable']}")
            continue
        data = event.get("data", {})
        kind = str(data.get("correctedEventType", event["eventType"]))
        place = ""
        if "logIndex" in data:
            place = f"block {data.get('blockNumber')} {short(data.get('blockHash'))} log {data['logIndex']}"
        notes = ["joined" if kind != event["eventType"] else "", "SUPERSEDED" if event["superseded"] else ""]
        line = [event["timestamp"], kind, short(event["rolloverId"]), place, event["finality"] or "", *notes]
        CONSOLE.print("  ".join(part for part in line if part))
        arguments = [f"{name}={value}" for name, value in _flat(data) if name.split(".")[0] not in _PLACE]
        if arguments:
            CONSOLE.print(f"    {' '.join(arguments)}", style="dim")


def _flat(data: Document, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arguments with dotted names."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def state(found: Document, *, as_json: bool) -> None:
    """Print a state."""
    if as_json:
        print_json(found)
        return
    for name in ("rolloverId", "status", "contractState", "contractKey", "transferHash", "lastEventAt"):
        CONSOLE.print(f"{name:<14} {found[name]}")
    table = new_table("milestone", "proved by", "at", "block", "finality", "transaction")
    for name, milestone in found["milestones"].items():
        table.add_row(
            name, milestone["proof"], milestone["at"], short(milestone["blockNumber"]),
            short(milestone["finality"]), short(milestone["transactionHash"]),
        )  # fmt: skip
    CONSOLE.print(table)


def timeline(found: Sequence[Document], *, as_json: bool) -> None:
    """Print a timeline."""
    if as_json:
        print_json(found)
        return
    table = new_table("when", "what", "finality", "", "transaction")
    for entry in found:
        table.add_row(
            entry["timestamp"], str(entry["correctedEventType"] or entry["eventType"]),
            short(entry["finality"]), "superseded" if entry["superseded"] else "",
            short(entry["transactionHash"]),
        )  # fmt: skip
    CONSOLE.print(table)


def report(found: Document, *, as_json: bool) -> None:
    """Print the report of a reconciliation."""
    if as_json:
        print_json(found)
        return
    for key, pin in found["pins"].items():
        CONSOLE.print(f"contract {key} at block {pin['number']} ({short(pin['hash'])})")
    for key, coverage in found["coverage"].items():
        shown = ", ".join(f"{name} {value}" for name, value in coverage.items())
        CONSOLE.print(f"coverage {key}: {shown}")
    dry = ", dry run: nothing was written" if found["dryRun"] else ""
    CONSOLE.print(
        f"checked {found['checked']}, mismatches {found['mismatchCount']}, events created "
        f"{found['createdCount']} ({found['createdByContractState']} by contract state alone), superseded "
        f"{found['supersededCount']}, projected again {found['projectedAgain']}, "
        f"errors {found['errorCount']}, {found['durationS']:.2f} s{dry}"
    )
    if found["mismatches"]:
        table = new_table("transfer", "cause", "explanation", "repaired")
        for entry in found["mismatches"]:
            repaired = "yes" if entry["repaired"] else "no"
            table.add_row(short(entry["rolloverId"]), entry["cause"], entry["explanation"], repaired)
        CONSOLE.print(table)
    for name in (
        "late",
        "joined",
        "unmapped",
        "orphans",
        "conflicts",
        "levels",
        "misfits",
        "unminted",
        "errors",
        "notDeployed",
    ):
        for entry in found[name]:
            CONSOLE.print(f"{name}: {entry if isinstance(entry, str) else orjson.dumps(entry).decode()}")


def rebuilt(checked: int, different: Sequence[str], *, check: bool, as_json: bool) -> None:
    """Print the outcome of a rebuild."""
    if as_json:
        print_json({"checked": checked, "different": different, "checkOnly": check})
        return
    CONSOLE.print(f"{checked} transfers, {len(different)} {'differ' if check else 'written anew'}")
    for rollover_id in different:
        CONSOLE.print(f"  {rollover_id}")


def status(found: Document, *, as_json: bool) -> None:
    """Print how all stands."""
    if as_json:
        print_json(found)
        return
    CONSOLE.print("healthy" if found["healthy"] else "NOT healthy: " + "; ".join(found["problems"]))
    for chain_id, chain in found["chains"].items():
        _chain(chain_id, chain)
    last = found["reconciliation"]
    if last:
        CONSOLE.print(
            f"reconciled {last['finishedAt']}: {last['checked']} checked, {last['mismatchCount']} mismatches"
        )
    CONSOLE.print(f"dead letters: {found['deadLetters']}")


def _chain(chain_id: str, chain: Document) -> None:
    if not chain:
        CONSOLE.print(f"chain {chain_id}: unknown, no listener ever ran")
        return
    head = (chain["head"] or {}).get("number")
    CONSOLE.print(
        f"chain {chain_id}: read through {chain['readThrough']} of {head}, {chain['behind']} blocks and "
        f"{chain['lagS'] or 0:.0f} s behind, as of {chain['at']}"
    )
    CONSOLE.print(
        f"  proved through {chain.get('provedThrough')}, witnessed through {chain.get('witnessedThrough')},"
        f" last certificate {chain['certifiedAt']}, {chain['reorgs']} reorgs since {chain['startedAt']}"
    )
    if chain["trouble"]:
        CONSOLE.print(f"  trouble: {chain['trouble']}")
    table = new_table(
        "endpoint", "score", "latency", "errors", "head", "lag", "range", "requests/s", "trouble"
    )
    for each in chain["endpoints"]:
        latency = "" if each["latencyMs"] is None else f"{each['latencyMs']:.0f} ms"
        table.add_row(
            f"{each['name']}{' *' if each['current'] else ''}", f"{each['score']:.2f}", latency,
            *(
                "" if each[name] is None else f"{each[name]}"
                for name in ("errors", "head", "lag", "rangeBlocks", "requestsPerS", "trouble")
            ),
        )  # fmt: skip
    CONSOLE.print(table)


def letters(found: Sequence[DeadLetter], *, as_json: bool) -> None:
    """Print dead letters."""
    if as_json:
        print_json([asdict(letter) for letter in found])
        return
    table = new_table("id", "cause", "detail", "since")
    for letter in found:
        table.add_row(letter.message_id, letter.cause, letter.detail, letter.published_at.isoformat())
    CONSOLE.print(table if found else "no dead letters")


def replayed(done: Replayed, *, as_json: bool) -> None:
    """Print what was replayed."""
    if as_json:
        print_json(asdict(done))
        return
    CONSOLE.print(f"{len(done.replayed)} replayed")
    for again in done.failed:
        CONSOLE.print(f"failed again: {again.message_id}, now {again.letter}: {again.cause}: {again.detail}")
    for identity in done.missing:
        CONSOLE.print(f"not found: {identity}")


def findings(registry: Registry, found: Sequence[Finding], *, as_json: bool) -> None:
    """Print what is wrong with the registry."""
    if as_json:
        print_json([asdict(finding) for finding in found])
        return
    table = new_table("contract", "severity", "problem", "detail", "what to do")
    for finding in found:
        table.add_row(finding.contract, finding.severity, finding.problem, finding.detail, finding.fix)
    CONSOLE.print(table if found else f"{len(registry.contracts)} contracts agree with their nodes")
