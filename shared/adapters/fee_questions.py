"""Everything about fees in one JSON-RPC batch, and what nodes answer, read strictly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.ethereum_shapes import read_bytes, read_header, read_hex, read_object
from shared.adapters.json_rpc_failures import CallRefused, NotThere, revert_data
from shared.domain.fee_reading import FeeHead, FeeHistory, FeeReading, GasAnswer
from shared.domain.limits import SAFE_INTEGER
from shared.errors import ChainUnavailable, DoubtfulAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.domain.fee_reading import GasQuestion

_NODE_INTERFACE: Final = "0x00000000000000000000000000000000000000c8"
_L1_COMPONENT: Final = "0x77d488a2"
"""`gasEstimateL1Component(address,bool,bytes)` of Nitro's NodeInterface, which is the node itself."""
_WORD: Final = 64
_LEAST_GAS: Final = 21_000
"""What every transaction pays before its first instruction (Yellow Paper, G_transaction)."""
_MOST_GAS: Final = 1 << 63
"""Nor could a block's limit be higher: clients keep it in 64 bits."""
_POOR: Final = r"(?i)insufficient|allowance"
_REVERT_TEXT: Final = r"(?i)\brevert"
_REVERTED: Final = 3
"""Code of geth and others for a revert."""
_RICH: Final = hex(1 << 96)
_MOST_POOR: Final = 1000
_MOST_WEI: Final = 1 << 128
"""Wei per gas beyond what there is of any coin."""
_FIXED: Final = 5
"""Entries of the batch before the gas questions."""

Entry = tuple[str, "Sequence[Any]"]
"""A method and its parameters."""
Poor = set[tuple[str, str | None]]


def ask_fees(
    endpoint: JsonRpcEndpoint,
    blocks: int,
    percentiles: Sequence[float],
    questions: Sequence[GasQuestion],
    poor: Poor,
) -> FeeReading:
    """Ask for head, history of so many blocks, tip, gas price, pool and the gas of calls, in one batch.

    ``poor`` are senders of whom an endpoint (its key) minds that they cannot pay; those found now are added.
    What the node refuses to tell is None. Raises ChainUnavailable where it does not tell its head,
    DoubtfulAnswer where what it tells does not fit together.
    """
    entries: list[Entry] = [
        # First, as a batch is waited for as long as its first entry is: this one makes a node work.
        ("eth_feeHistory", [hex(blocks), "latest", list(percentiles)]),
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_maxPriorityFeePerGas", []),
        ("eth_gasPrice", []),
        ("txpool_status", []),
        *_gas_entries(endpoint, questions, poor),
    ]
    answers = endpoint.batch(entries)
    history, block, tip, price, pool = answers[:_FIXED]
    if isinstance(block, CallRefused):
        raise block
    head = read_fee_head(block)
    if head is None:
        raise NotThere(f"{endpoint.name} has no latest block")
    told = _told(history, percentiles, head)
    return FeeReading(
        head=head,
        history=told,
        node_tip_wei=_number(tip, "maxPriorityFeePerGas"),
        gas_price_wei=_number(price, "gasPrice"),
        pending=_pending(pool),
        gas=_gas(endpoint, questions, answers[_FIXED:], poor),
    )


def ask_history(
    endpoint: JsonRpcEndpoint, newest: int, blocks: int, percentiles: Sequence[float]
) -> FeeHistory | None:
    """Ask for the fee history of so many blocks up to a height; None where the node does not tell it.

    That holds for an answer of another shape, too: whoever asks reads on without tips, and an endpoint is not
    to be left for it.
    """
    try:
        answer = endpoint.call("eth_feeHistory", [hex(blocks), hex(newest), list(percentiles)])
    except CallRefused:
        return None
    try:
        return None if answer is None else read_history(answer, percentiles)
    except ChainUnavailable:
        return None


def ask_gas(
    endpoint: JsonRpcEndpoint, questions: Sequence[GasQuestion], poor: Poor
) -> Mapping[GasQuestion, GasAnswer]:
    """Ask for the gas of calls, in one batch; ``poor`` as with ``ask_fees``."""
    if not questions:
        return {}
    return _gas(endpoint, questions, endpoint.batch(_gas_entries(endpoint, questions, poor)), poor)


def read_fee_head(block: Any) -> FeeHead | None:
    """Return a block's header with its fee fields, or None where the node answered null."""
    header = read_header(block)
    if header is None:
        return None
    base_fee, data_gas = block.get("baseFeePerGas"), block.get("blobGasUsed")
    used, limit = read_hex(block.get("gasUsed"), "gasUsed"), read_hex(block.get("gasLimit"), "gasLimit")
    if not 0 <= used <= limit < _MOST_GAS or limit == 0:
        raise DoubtfulAnswer(f"block {header.number} used {used} gas of {limit}")
    if header.number >= SAFE_INTEGER:
        raise DoubtfulAnswer(f"block {header.number}, which no chain has reached")
    return FeeHead(
        header=header,
        base_fee_wei=None if base_fee is None else _read_wei(base_fee, "baseFeePerGas"),
        gas_used=used,
        gas_limit=limit,
        extra_data=read_bytes(block.get("extraData", "0x"), "extraData"),
        blob_gas_used=None if data_gas is None else read_hex(data_gas, "blobGasUsed"),
    )


def _told(history: Any, percentiles: Sequence[float], head: FeeHead) -> FeeHistory | None:
    """Return the history that came with a head, None where the node refused it or has none.

    On a legacy chain it adds only how full the blocks were: one without base fees is no reason for doubt.
    """
    if isinstance(history, CallRefused) or history is None:
        return None
    try:
        told = read_history(history, percentiles)
    except ChainUnavailable:
        if head.base_fee_wei is None:
            return None
        raise
    if told is not None and head.base_fee_wei is not None:
        _check(told, head)
    return told


def read_history(answer: Any, percentiles: Sequence[float]) -> FeeHistory | None:
    """Return what `eth_feeHistory` answered; None where it tells of no block."""
    answer = read_object(answer, "fee history")
    fees, ratios, rewards = (answer.get(name) for name in ("baseFeePerGas", "gasUsedRatio", "reward"))
    if "gasUsedRatio" in answer and fees in (None, []) and ratios in (None, []):
        return None  # go-ethereum's answer where it has no block to tell of
    if not isinstance(fees, list) or not isinstance(ratios, list) or len(fees) != len(ratios) + 1:
        raise ChainUnavailable("a fee history whose base fees and ratios do not fit together")
    if not ratios:
        return None
    uses = tuple(_share(ratio) for ratio in ratios)
    rows = rewards if isinstance(rewards, list) and len(rewards) == len(ratios) else [None] * len(ratios)
    return FeeHistory(
        oldest=read_hex(answer.get("oldestBlock"), "oldestBlock"),
        base_fees_wei=tuple(_read_wei(fee, "baseFeePerGas") for fee in fees),
        uses=uses,
        tips=tuple(_tips(row, percentiles, use) for row, use in zip(rows, uses, strict=True)),
    )


def _tips(row: Any, percentiles: Sequence[float], use: float) -> Mapping[float, int]:
    # go-ethereum `eth/gasprice/feehistory.go` says 0 for each percentile of a block without transactions.
    if not isinstance(row, list) or len(row) != len(percentiles) or None in row or use == 0:
        return {}
    tips = [_read_wei(tip, "reward") for tip in row]
    # Percentiles that fall as they go up are none.
    return dict(zip(percentiles, tips, strict=True)) if tips == sorted(tips) else {}


def _share(ratio: Any) -> float:
    if isinstance(ratio, int | float) and not isinstance(ratio, bool) and 0 <= ratio <= 1:
        return float(ratio)
    raise ChainUnavailable(f"a fee history with a gasUsedRatio of {ratio!r}")


def _check(history: FeeHistory, head: FeeHead) -> None:
    at = head.header.number - history.oldest
    # One block behind is how a node's cache may be; what it then reckons for the next block is no matter.
    if not 0 <= at <= len(history.uses):
        raise DoubtfulAnswer(
            f"the latest block is {head.header.number}, and fee history ends at {history.newest}"
        )
    if at < len(history.uses) and history.base_fees_wei[at] != head.base_fee_wei:
        raise DoubtfulAnswer(f"header and fee history of block {head.header.number} differ in the base fee")


def _number(answer: Any, name: str) -> int | None:
    """Return a price in wei; None where the node refused, or has nothing to say."""
    return None if answer is None or isinstance(answer, CallRefused) else _read_wei(answer, name)


def _read_wei(value: Any, name: str) -> int:
    wei = read_hex(value, name)
    if wei >= _MOST_WEI:
        raise DoubtfulAnswer(f"field {name} says {wei} wei per gas, more than there is")
    return wei


def _pending(pool: Any) -> int | None:
    """Return how many wait; None where the node does not say it, in hex or as a plain number."""
    told = pool.get("pending") if isinstance(pool, dict) else None
    if isinstance(told, int) and not isinstance(told, bool) and told >= 0:
        return min(told, SAFE_INTEGER)
    try:
        return None if told is None else min(read_hex(told, "pending"), SAFE_INTEGER)
    except ChainUnavailable:
        return None  # the least of what a quote rests on


def _gas_entries(endpoint: JsonRpcEndpoint, questions: Sequence[GasQuestion], poor: Poor) -> list[Entry]:
    calls = [_as_if_rich(q) if (endpoint.key, q.sender) in poor else [_call(q)] for q in questions]
    entries: list[Entry] = [("eth_estimateGas", call) for call in calls]
    return entries + [("eth_call", [_l1_call(question), "latest"]) for question in questions if question.l1]


def _call(question: GasQuestion) -> dict[str, str]:
    call = {"to": question.to, "data": "0x" + question.data.hex()}
    return call if question.sender is None else {"from": question.sender, **call}


def _as_if_rich(question: GasQuestion) -> list[Any]:
    """Return the call with its sender's balance overridden: what it owns is no part of the question."""
    return [_call(question), "latest", {question.sender: {"balance": _RICH}}]


def _l1_call(question: GasQuestion) -> dict[str, str]:
    size = len(question.data)
    words = [int(question.to, 16), 0, 3 * 32, size]
    data = "".join(f"{word:064x}" for word in words) + (question.data + bytes(-size % 32)).hex()
    return {"to": _NODE_INTERFACE, "data": _L1_COMPONENT + data}


def _gas(
    endpoint: JsonRpcEndpoint, questions: Sequence[GasQuestion], answers: Sequence[Any], poor: Poor
) -> dict[GasQuestion, GasAnswer]:
    told = dict(zip(questions, answers, strict=False))
    again = [question for question, answer in told.items() if question.sender and _minds_balance(answer)]
    if again:
        rich = endpoint.batch([("eth_estimateGas", _as_if_rich(question)) for question in again])
        better = {q: answer for q, answer in zip(again, rich, strict=True) if not _minds_balance(answer)}
        told |= better
        if len(poor) >= _MOST_POOR:
            poor.clear()
        # Asked so at once from now on; not where the node may not know how to.
        poor |= {(endpoint.key, q.sender) for q, it in better.items() if not isinstance(it, CallRefused)}
    found = {question: _gas_answer(answer) for question, answer in told.items()}
    on_l1 = [question for question in questions if question.l1]
    for question, answer in zip(on_l1, answers[len(questions) :], strict=True):
        found[question] = found[question]._replace(l1_gas=_first_word(answer))
    return found


def _minds_balance(answer: Any) -> bool:
    """Say whether it is the sender's means that the node refuses for, and not the contract."""
    if not isinstance(answer, CallRefused) or answer.number == _REVERTED or revert_data(answer):
        return False
    # Some nodes give a revert's reason as text alone, and it may be of tokens that are insufficient.
    return re.search(_POOR, answer.said) is not None and re.search(_REVERT_TEXT, answer.said) is None


def _gas_answer(answer: Any) -> GasAnswer:
    if isinstance(answer, CallRefused):
        reverted = None if _minds_balance(answer) else revert_data(answer)
        return GasAnswer(revert=reverted) if reverted is not None else GasAnswer(refused=str(answer))
    gas = read_hex(answer, "gas")
    if not _LEAST_GAS <= gas < _MOST_GAS:
        raise DoubtfulAnswer(f"an estimate of {gas} gas, which no transaction uses")
    return GasAnswer(gas=gas)


def _first_word(answer: Any) -> int | None:
    if isinstance(answer, str) and len(answer) >= 2 + _WORD:
        gas = read_hex(answer[: 2 + _WORD], "gasEstimateForL1")
        return gas if gas < _MOST_GAS else None
    return None
