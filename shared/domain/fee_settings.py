"""A chain's fee settings as one line of text, such as ``tip_wei=0, stale_s=30``, over what is built in."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from shared.domain.fee_chains import CHAINS, UNKNOWN, ChainFees
from shared.domain.fees import FeeRules, GrowthRules
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a whole number")
    return int(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not isfinite(value) or value < 0:
        raise ValueError("must be a number of seconds")
    return value


def _percent(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:  # noqa: PLR2004 - percent
        raise ValueError("must be a percentage")
    return value / 100


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("must be yes or no")
    return text == "yes"


def _optional(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read(text) or None


_RULES: Final[dict[str, dict[str, Callable[[str], Any]]]] = {
    "eip1559": {
        "target_of": _whole,
        "target_share": _whole,
        "change_denominator": _whole,
        "floor_wei": _whole,
        "limit_drift": _optional(_whole),
    },
    "growth": {"growth_ppm": _whole, "promised": _yes, "floor_wei": _whole},
}
_NEEDED: Final = {"eip1559": ("target_of", "change_denominator"), "growth": ()}
_KINDS: Final[dict[str, Callable[..., FeeRules | GrowthRules]]] = {"eip1559": FeeRules, "growth": GrowthRules}
_CHAIN: Final[dict[str, Callable[[str], Any]]] = {
    "tips": _yes,
    "tip_wei": _whole,
    "header_says": _yes,
    "node_says": _yes,
    "block_s": _seconds,
    "look_s": _seconds,
    "stale_s": _optional(_seconds),
    "l1_in_gas": _yes,
    "l1_apart": _yes,
}
_CROWDED: Final[dict[str, Callable[[str], Any]]] = {
    "high_use": _percent,
    "medium_use": _percent,
    "high_pending": _whole,
    "medium_pending": _whole,
}
KEYS: Final = ("rule", *dict.fromkeys(key for rule in _RULES.values() for key in rule), *_CHAIN, *_CROWDED)
"""Every key that a chain's settings may have."""


def chain_fees(chain_id: int, settings: str = "") -> ChainFees:
    """Return how fees work on a chain: what is built in, changed by its settings; InvalidInput names a key.

    ``rule`` (eip1559 or growth) begins anew with that kind's own numbers; without it the chain's are changed.
    """
    given = _pairs(settings)
    chain = CHAINS.get(chain_id, UNKNOWN)
    rule = given.pop("rule", None)
    if rule not in (None, *_RULES):
        raise InvalidInput(f"rule must be one of {', '.join(_RULES)}")
    kind = rule or ("eip1559" if isinstance(chain.rules, FeeRules) else "growth")
    numbers = {key: _read(key, given.pop(key), _RULES[kind][key]) for key in _RULES[kind] if key in given}
    rules: FeeRules | GrowthRules
    if rule is None:
        rules = replace(chain.rules, **numbers)
    elif missing := [key for key in _NEEDED[kind] if key not in numbers]:
        raise InvalidInput(f"{missing[0]} must be given with rule={kind}")
    else:
        rules = _KINDS[kind](**numbers)
    crowded = {key: _read(key, given.pop(key), read) for key, read in _CROWDED.items() if key in given}
    changes = {key: _read(key, given.pop(key), read) for key, read in _CHAIN.items() if key in given}
    if given:
        wrong = next(iter(given))
        why = f"is not of the rule {kind}" if wrong in KEYS else f"is not known; known are {', '.join(KEYS)}"
        raise InvalidInput(f"{wrong} {why}")
    return chain._replace(rules=rules, congestion=chain.congestion._replace(**crowded), **changes)


def _pairs(settings: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for entry in filter(None, (entry.strip() for entry in settings.split(","))):
        key, separator, value = (part.strip() for part in entry.partition("="))
        if not separator or key in given:
            raise InvalidInput(f"{key} {'is given twice' if separator else 'must be key=value'}")
        given[key] = value
    return given


def _read(key: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except ValueError as error:
        known = str(error) if str(error).startswith("must") else "must be a number"
        raise InvalidInput(f"{key} {known}, not {text!r}") from None
