"""What to pay, and how much gas to allow, so that an action is in within some blocks; and how sure it is."""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from shared.app import quote_document as parts
from shared.app.action_calls import ActionCalls
from shared.app.fee_records import FeeRecords
from shared.app.fee_view import FeeView
from shared.app.quote_request import parse_query, read_request
from shared.app.usual_prices import usual_prices
from shared.domain.actions import ACTIONS
from shared.domain.gas_limit import gas_limit
from shared.domain.metrics import QUOTE_CACHE_HITS, QUOTE_TIME, QUOTES, QUOTES_REFUSED
from shared.domain.reverts import errors_of, read_revert
from shared.errors import ChainUnavailable, PlumblineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.app.fee_view import Snapshot
    from shared.app.quote_request import QuoteRequest
    from shared.domain.abi import FunctionCodec
    from shared.domain.contract import ContractSpec, Registry
    from shared.domain.fee_chains import ChainFees
    from shared.domain.fee_forecast import Forecast
    from shared.ports import Chain, Clock, Document, Documents, Metrics

_MOST_KEPT: Final = 5000
"""Answers kept in mind for a block; past it the rest is made anew each time."""
_LONGEST_KEPT: Final = 2000
_TAG_DIGITS: Final = 32
_LEAST_TO_JUDGE: Final = 240
"""Blocks below which no forecast can be judged: twelve stretches of twenty (``fee_forecast``)."""
_FARTHEST: Final = 50
"""Blocks beyond which no forecast is looked for: judging it would need more history than there is."""


class Answer(NamedTuple):
    """A quote as it is sent: ``body`` is JSON, ``tag`` names it, ``fresh_s`` is how long it surely holds."""

    body: bytes
    tag: str
    fresh_s: float


class QuoteGas:
    """Answers for every chain of the registry; safe to share between threads.

    ``chain`` gives the chain with an id and ``chain_fees`` how its fees work. ``history``: blocks of fee
    history at a cold start; ``records_s``: seconds for which what receipts taught is not read again.
    """

    def __init__(
        self,
        registry: Registry,
        chain: Callable[[int], Chain],
        chain_fees: Callable[[int], ChainFees],
        documents: Documents,
        clock: Clock,
        metrics: Metrics,
        *,
        history: int = 300,
        records_s: float = 30.0,
    ) -> None:
        self._registry = registry
        self._chain = chain
        self._chain_fees = chain_fees
        self._clock = clock
        self._metrics = metrics
        self._history = history
        self._records_s = records_s
        self._records = FeeRecords(documents, clock, records_s)
        self._calls = ActionCalls(documents)
        self._views: dict[int, FeeView] = {}
        self._views_lock = Lock()
        self._errors: dict[str, list[FunctionCodec]] = {}

    def answer(self, query: str) -> Answer:
        """Answer a query string, from memory while the block that it was made at is the latest.

        Raises InvalidInput naming a field, ChainUnavailable where the node is gone or behind.
        """
        began_s = self._clock.monotonic_s()
        for view in self._views.values():
            snapshot = view.known()
            if snapshot is not None and (kept := snapshot.answers.get(query)) is not None:
                self._served(view, began_s, asked=False)
                return Answer(*kept, self._fresh_s(view))
        try:
            document, view, snapshot = self._quote(read_request(parse_query(query), self._registry), began_s)
        except PlumblineError as error:
            self._metrics.count(QUOTES_REFUSED, code=error.code)
            raise
        body = orjson.dumps(document)
        made = body, sha256(body).hexdigest()[:_TAG_DIGITS]
        if len(snapshot.answers) < _MOST_KEPT and len(query) <= _LONGEST_KEPT:
            snapshot.answers[query] = made
        return Answer(*made, self._fresh_s(view))

    def quote(self, given: dict[str, str]) -> Document:
        """Return a quote for these fields as a document; raises as ``answer`` does."""
        return self._quote(read_request(given, self._registry), self._clock.monotonic_s())[0]

    def _served(self, view: FeeView, began_s: float, *, asked: bool) -> None:
        self._metrics.count(QUOTES, chain=view.name)
        if not asked:
            self._metrics.count(QUOTE_CACHE_HITS, chain=view.name)
        self._metrics.observe(QUOTE_TIME, self._clock.monotonic_s() - began_s, chain=view.name)

    def _fresh_s(self, view: FeeView) -> float:
        return max(0.0, view.fresh_until_s - self._clock.monotonic_s())

    def _quote(self, request: QuoteRequest, began_s: float) -> tuple[Document, FeeView, Snapshot]:
        spec, view = request.spec, self._view(request.spec.chain_id)
        chain = self._chain(spec.chain_id)
        call = self._calls.call(request, chain, l1=view.fees.l1_in_gas)
        known = view.known(call.question)
        snapshot = known or view.snapshot(call.question)
        told = None if call.question is None else snapshot.gas.get(call.question)
        if call.question is not None and told is None:
            # Another thread's many questions pushed it out in between.
            snapshot = view.snapshot(call.question)
            told = snapshot.gas.get(call.question)
        use = self._records.gas(spec.key, request.action)
        table = ACTIONS[request.action].base_gas
        block_gas, real = snapshot.reading.head.gas_limit, not call.made_up
        limit = gas_limit(told, use, table, block_gas=block_gas, real=real, because=call.because)
        data = None if told is None else told.revert
        reverted = None if data is None else read_revert(data, self._errors_of(spec))
        price = self._price(request, snapshot)
        head = snapshot.head
        document = {
            **parts.asked(request),
            **price,
            **parts.gas(limit, call, reverted),
            **parts.cost(price, limit, l1_apart=view.fees.l1_apart),
            **parts.validity(head, request.within_blocks, view.expires_at(snapshot)),
            "congestion": parts.congestion(snapshot.congestion),
            "confidence": parts.overall(price, limit),
            "records": self._records.trouble(spec.chain_id, spec.key, request.action),
        }
        self._served(view, began_s, asked=known is None)
        return document, view, snapshot

    def _price(self, request: QuoteRequest, snapshot: Snapshot) -> Document:
        key = (request.within_blocks, request.confidence)
        priced: Document | None = snapshot.made.get(key)
        if priced is None:
            priced = self._priced(request, snapshot)
            # Other threads may clear it at any moment: nothing is read back from it.
            if len(snapshot.made) >= _MOST_KEPT:
                snapshot.made.clear()
            snapshot.made[key] = priced
        return priced

    def _priced(self, request: QuoteRequest, snapshot: Snapshot) -> Document:
        reading, market = snapshot.reading, snapshot.market
        node = f"the node of chain {request.spec.chain_id}"
        if market is None:
            if reading.gas_price_wei is None:
                raise ChainUnavailable(f"{node} tells neither a base fee nor a gas price")
            return parts.legacy_fees(reading.gas_price_wei)
        quote = market.quote(request.within_blocks, request.confidence)
        if quote.tip is None:
            raise ChainUnavailable(f"{node} tells neither fee history nor a tip, and none is recorded")
        usual = snapshot.made.get("usual")
        if usual is None:
            base_fee, paid = market.following.reckoned_wei, self._chain_fees(request.spec.chain_id).tips_paid
            usual = snapshot.made["usual"] = usual_prices(market.blocks, base_fee, tips_paid=paid)
        expected = self._forecast(request.within_blocks, snapshot)
        return parts.fees(quote, reading.head.base_fee_wei or 0, expected, usual)

    def _forecast(self, ahead: int, snapshot: Snapshot) -> Forecast | None:
        market = snapshot.market
        if market is None or not 2 <= ahead <= _FARTHEST:  # noqa: PLR2004 - the next block needs none
            return None
        if len(market.blocks) < _LEAST_TO_JUDGE:
            return None
        from shared.domain.fee_forecast import forecast  # noqa: PLC0415 - a first answer never needs it

        key = ("forecast", ahead)
        made: tuple[Forecast | None] | None = snapshot.made.get(key)
        if made is None:
            made = snapshot.made[key] = (forecast(market.blocks, market.following.rules, ahead),)
        return made[0]

    def _view(self, chain_id: int) -> FeeView:
        with self._views_lock:
            if chain_id not in self._views:
                view = FeeView(
                    self._chain(chain_id), self._chain_fees(chain_id), self._records, self._clock,
                    self._metrics, history=self._history, records_s=self._records_s,
                )  # fmt: skip
                # Another dict, as other threads may be walking through this one.
                self._views = {**self._views, chain_id: view}
            return self._views[chain_id]

    def _errors_of(self, spec: ContractSpec) -> list[FunctionCodec]:
        if spec.key not in self._errors:
            self._errors[spec.key] = errors_of(spec.abi)
        return self._errors[spec.key]
