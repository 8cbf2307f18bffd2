"""A gas quote for people: what to pay first, then how sure that is, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.local.terminal import PlainTable, Terminal

if TYPE_CHECKING:
    from shared.ports import Document

_GWEI_DIGITS: Final = 9
_CONSOLE: Final = Terminal()
_NOBODY: Final = "unknown"


def show_quote(quote: Document) -> None:
    """Print a quote."""
    block = quote["block"]
    _CONSOLE.print(
        f"{quote['action']} within {quote['withinBlocks']} blocks of block {block['number']}, chain"
        f" {quote['chainId']}: confidence {quote['confidence']}"
    )
    table = PlainTable(show_header=False)
    for name in ("figure", "value", "source"):
        table.add_column(name, overflow="fold")
    for name, value, source in _rows(quote):
        table.add_row(name, value, source)
    _CONSOLE.print(table)
    if quote["revert"] is not None:
        said = quote["revert"]
        arguments = ", ".join(f"{name} {value}" for name, value in said["arguments"].items())
        _CONSOLE.print(f"It would revert: {said['error'] or said['data']} {arguments}".rstrip())
    for each in quote["savings"]:
        share = "none" if each["saving"] is None else f"{each['saving']:.1%}"
        late = "" if each["coversDeadline"] is not False else ", may be under-priced within the deadline"
        _CONSOLE.print(f"saving against {each['default']}: {share}{late}")


def _rows(quote: Document) -> list[tuple[str, str, str]]:
    gas, tip, base_fee = quote["gas"], quote["tip"], quote["baseFee"]
    rows = [("gas limit", _known(quote["gasLimit"]), f"{gas['source']}, confidence {gas['confidence']}")]
    if base_fee is None:
        rows.append(("gas price", gwei(quote["gasPrice"]), "legacy chain: what the node says"))
    else:
        rows += [
            ("max fee", gwei(quote["maxFeePerGas"]), _source(base_fee["worst"])),
            ("priority fee", gwei(quote["maxPriorityFeePerGas"]), _source(tip)),
            ("next base fee", gwei(quote["nextBaseFeePerGas"]), _source(base_fee["next"])),
            ("expected price", gwei(quote["expectedEffectiveGasPrice"]), "in the next block"),
        ]
    chances = (
        f"{blocks}: {_NOBODY if chance is None else f'{chance:.1%}'}"
        for blocks, chance in quote["inclusion"].items()
    )
    crowded = quote["congestion"]
    use = _NOBODY if crowded["meanUse"] is None else f"{crowded['meanUse']:.0%}"
    pending = f"{_known(crowded['pendingTransactions'])} pending"
    return [
        *rows,
        ("expected cost", gwei(quote["expectedCost"]), ""),
        ("worst cost", gwei(quote["worstCost"]), ""),
        ("in within", "  ".join(chances) or _NOBODY, "blocks"),
        ("congestion", crowded["level"], f"{use} of the last {crowded['blocks']} blocks, {pending}"),
    ]


def gwei(wei: str | None) -> str:
    """Return decimal wei as gwei, to the last digit."""
    if wei is None:
        return _NOBODY
    whole, part = wei[:-_GWEI_DIGITS] or "0", wei[-_GWEI_DIGITS:].rjust(_GWEI_DIGITS, "0").rstrip("0")
    return f"{whole}{'.' if part else ''}{part} gwei"


def _source(figure: Document | None) -> str:
    return _NOBODY if figure is None else f"{figure['source']}, confidence {figure['confidence']}"


def _known(value: Any) -> str:
    return _NOBODY if value is None else f"{value:,}"
