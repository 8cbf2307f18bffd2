"""What a caller asks of a quote, checked field by field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl

from shared.domain.actions import ACTIONS
from shared.domain.fee_quote import CONFIDENCE, MOST_BLOCKS, WITHIN_BLOCKS
from shared.domain.hashing import is_hash
from shared.domain.keys import can_be_key
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.contract import ContractSpec, Registry

FIELDS: Final = ("chain", "contract", "action", "transfer", "within_blocks", "confidence", "from", "data")
_ADDRESS: Final = r"0x[0-9a-f]{40}"
_DATA: Final = r"0x(?:[0-9a-f]{2}){4,}"
_DECIMAL: Final = r"[0-9]{1,3}(?:\.[0-9]{1,12})?"
_MOST_DIGITS: Final = 18
_LONGEST_NAME: Final = 60


class QuoteRequest(NamedTuple):
    """A question that can be answered; ``transfer``: an id, or a hash in lower case.

    ``sender`` and ``data``: who will send, and the very calldata, where the caller says so.
    """

    spec: ContractSpec
    action: str
    transfer: str | None = None
    within_blocks: int = WITHIN_BLOCKS
    confidence: float = CONFIDENCE
    sender: str | None = None
    data: bytes | None = None


def parse_query(query: str, known: Sequence[str] = FIELDS) -> dict[str, str]:
    """Return the fields of a query string; InvalidInput for one that is unknown, doubled or no text."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError as error:
        raise InvalidInput("the query is not of the form field=value&field=value in UTF-8") from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise InvalidInput(f"field {_shown(name)} is not known; known are {', '.join(known)}")
        if name in given:
            raise InvalidInput(f"field {name} is given twice")
        given[name] = value
    return given


def read_request(given: dict[str, str], registry: Registry) -> QuoteRequest:
    """Return the request that these fields make; InvalidInput names the field that is wrong."""
    spec = _contract(given, registry, chosen_chain(given, registry))
    action = given.get("action", "")
    if action not in ACTIONS:
        raise InvalidInput(f"field action must be one of {', '.join(ACTIONS)}")
    data = given.get("data")
    if data is not None and not re.fullmatch(_DATA, data.lower()):
        raise InvalidInput("field data must be the calldata: 0x, a selector, and whole bytes in hex")
    return QuoteRequest(
        spec=spec,
        action=action,
        transfer=_transfer(given.get("transfer")),
        within_blocks=_within(given.get("within_blocks")),
        confidence=_confidence(given.get("confidence")),
        sender=_address(given, "from"),
        data=None if data is None else bytes.fromhex(data[2:]),
    )


def chosen_chain(given: dict[str, str], registry: Registry) -> int:
    """Return the chain that field ``chain`` names, or the only one; InvalidInput names the field."""
    text = given.get("chain")
    if text is None:
        if len(registry.chains) != 1:
            raise InvalidInput(f"field chain must be given: one of {_listed(registry.chains)}")
        return registry.chains[0]
    chain_id = _whole(text)
    if chain_id not in registry.chains:
        raise InvalidInput(
            f"field chain is not a configured chain id; configured: {_listed(registry.chains)}"
        )
    return chain_id


def _contract(given: dict[str, str], registry: Registry, chain_id: int) -> ContractSpec:
    specs = registry.on_chain(chain_id)
    address = _address(given, "contract")
    if address is None:
        if len(specs) > 1:
            places = _listed(spec.address for spec in specs)
            raise InvalidInput(f"field contract must be given on chain {chain_id}: one of {places}")
        return specs[0]
    spec = registry.find(chain_id, address)
    if spec is None:
        raise InvalidInput(f"field contract: {address} is not configured on chain {chain_id}")
    return spec


def _transfer(text: str | None) -> str | None:
    if text is None:
        return None
    if is_hash(text.lower()):
        return text.lower()
    if not can_be_key(text) or any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput("field transfer is neither a transfer id nor a hash")
    return text


def _within(text: str | None) -> int:
    if text is None:
        return WITHIN_BLOCKS
    blocks = _whole(text)
    if blocks is None or not 1 <= blocks <= MOST_BLOCKS:
        raise InvalidInput(f"field within_blocks must be a whole number from 1 to {MOST_BLOCKS}")
    return blocks


def _confidence(text: str | None) -> float:
    if text is None:
        return CONFIDENCE
    if not re.fullmatch(_DECIMAL, text) or not 0 < float(text) < 1:
        raise InvalidInput(
            "field confidence must be a number between 0 and 1, of at most 12 decimals, such as 0.95"
        )
    return float(text)


def _address(given: dict[str, str], field: str) -> str | None:
    text = given.get(field)
    if text is None:
        return None
    if not re.fullmatch(_ADDRESS, text.lower()):
        raise InvalidInput(f"field {field} is no address (0x and 40 hex digits)")
    return text.lower()


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _shown(name: str) -> str:
    """Return a field's name as it is said again to whoever sent it: not without end, and seen if empty."""
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
    return shown or "''"


def _listed(values: object) -> str:
    return ", ".join(str(value) for value in values)  # type: ignore[attr-defined]
