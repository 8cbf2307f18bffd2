"""A quote as JSON: camelCase names, wei as decimal strings, null for what nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.app.usual_prices import saving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.action_calls import ActionCall
    from shared.app.quote_request import QuoteRequest
    from shared.app.usual_prices import UsualPrice
    from shared.domain.blocks import Header
    from shared.domain.congestion import Congestion
    from shared.domain.fee_forecast import Forecast
    from shared.domain.fee_quote import FeeQuote
    from shared.domain.gas_limit import GasLimit
    from shared.domain.reverts import Revert
    from shared.ports import Document

_CONFIDENCES = ("low", "medium", "high")
_DIGITS = 6


def asked(request: QuoteRequest) -> Document:
    """Return what was asked."""
    return {
        "chainId": request.spec.chain_id,
        "contract": request.spec.address,
        "action": request.action,
        "transfer": request.transfer,
        "withinBlocks": request.within_blocks,
        "wantedConfidence": request.confidence,
    }


def fees(
    quote: FeeQuote, latest_wei: int, forecast: Forecast | None, usual: Sequence[UsualPrice]
) -> Document:
    """Return the part about the price of gas."""
    following, worst, tip = quote.following, quote.worst, quote.tip
    return {
        "type": "eip1559",
        "maxFeePerGas": _wei(quote.max_fee_wei),
        "maxPriorityFeePerGas": None if tip is None else _wei(tip.wei),
        "gasPrice": None,
        "expectedEffectiveGasPrice": _wei(quote.expected_wei),
        "nextBaseFeePerGas": _wei(following.wei),
        "inclusion": {str(blocks): _share(chance) for blocks, chance in quote.chances.items()},
        "baseFee": {
            "latest": _wei(latest_wei),
            "next": _figure(following.wei, following.source, following.confidence),
            "worst": None if worst is None else _figure(worst.wei, worst.source, worst.confidence),
            "forecast": None if forecast is None else _forecast(forecast),
        },
        "tip": None
        if tip is None
        else {
            "source": tip.source,
            "confidence": tip.confidence,
            "reachesWanted": tip.reached,
            "regime": tip.regime,
            "observations": tip.observations,
        },
        "savings": [_saving(quote, price) for price in usual],
    }


def legacy_fees(gas_price_wei: int) -> Document:
    """Return the part about the price of gas where there is no base fee: what the node says, no more."""
    return {
        "type": "legacy",
        "maxFeePerGas": None,
        "maxPriorityFeePerGas": None,
        "gasPrice": _wei(gas_price_wei),
        "expectedEffectiveGasPrice": _wei(gas_price_wei),
        "nextBaseFeePerGas": None,
        "inclusion": {},
        "baseFee": None,
        "tip": None,
        "savings": [],
    }


def gas(limit: GasLimit, call: ActionCall, revert: Revert | None) -> Document:
    """Return the part about the amount of gas."""
    use = limit.use
    return {
        "gasLimit": limit.limit,
        "gas": {
            "source": limit.source,
            "confidence": limit.confidence,
            "expected": limit.expected,
            "l1Gas": limit.l1_gas,
            "madeUp": list(call.made_up),
            "because": limit.because,
            "receipts": None
            if use is None
            else {"count": use.count, "min": use.least, "mean": use.mean, "max": use.most, "p95": use.p95},
        },
        "revert": None
        if revert is None
        else {
            "error": revert.error,
            "arguments": dict(revert.arguments),
            "data": "0x" + revert.data.hex(),
        },
    }


def cost(price: Document, limit: GasLimit, *, l1_apart: bool) -> Document:
    """Return what it costs in wei: as expected, and at the most; null where a factor is unknown."""
    cap = price["maxFeePerGas"] or price["gasPrice"]
    return {
        "expectedCost": _product(limit.expected, price["expectedEffectiveGasPrice"]),
        "worstCost": _product(limit.limit, cap),
        "costLeavesOut": ["fee for L1 data"] if l1_apart else [],
    }


def congestion(crowded: Congestion) -> Document:
    """Return the part about how crowded the chain is."""
    return {
        "level": crowded.level,
        "confidence": crowded.confidence,
        "meanUse": _share(crowded.mean_use),
        "blocks": crowded.blocks,
        "pendingTransactions": crowded.pending,
    }


def validity(head: Header, within_blocks: int, expires: datetime | None) -> Document:
    """Return what block it was made at, until when it holds, and by which block it promises inclusion."""
    return {
        "block": {
            "number": head.number,
            "hash": head.hash,
            "timestamp": datetime.fromtimestamp(head.timestamp, UTC).isoformat(),
        },
        "validity": {
            "untilBlock": head.number + 1,
            "until": None if expires is None else expires.isoformat(),
            "deadlineBlock": head.number + within_blocks,
        },
    }


def overall(price: Document, limit: GasLimit) -> str:
    """Return the lowest confidence of what the quote rests on; low where a figure is missing."""
    base_fee, tip = price["baseFee"], price["tip"]
    if base_fee is None or base_fee["worst"] is None or tip is None:
        return "low"
    resting_on: list[str] = [base_fee["worst"]["confidence"], tip["confidence"], limit.confidence]
    return min(resting_on, key=_CONFIDENCES.index)


def _saving(quote: FeeQuote, price: UsualPrice) -> Document:
    worst = quote.worst
    return {
        "default": price.name,
        "source": price.source,
        "maxFeePerGas": _wei(price.max_fee_wei),
        "effectiveGasPrice": _wei(price.effective_wei),
        "saving": saving(quote.expected_wei, price),
        "coversDeadline": None if worst is None else price.max_fee_wei >= worst.wei,
    }


def _figure(wei: int | None, source: str, confidence: str) -> Document:
    return {"wei": _wei(wei), "source": source, "confidence": confidence}


def _forecast(forecast: Forecast) -> Document:
    return {
        "ahead": forecast.ahead,
        "wei": _wei(forecast.base_fee_wei),
        "low": _wei(forecast.low_wei),
        "high": _wei(forecast.high_wei),
        "judged": forecast.judged,
        "errorOfUnchanged": _share(forecast.of_unchanged),
        "errorOfAverage": _share(forecast.of_average),
        "errorOfNext": _share(forecast.of_next),
    }


def _wei(value: int | None) -> str | None:
    return None if value is None else str(value)


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _product(gas_units: int | None, wei: Any) -> str | None:
    return None if gas_units is None or wei is None else str(gas_units * int(wei))
