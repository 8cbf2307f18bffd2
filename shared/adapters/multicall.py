"""Many reads of contracts at one pinned block in few requests, whatever the endpoint allows.

Three ways, found out by trying: Multicall3 where the chain has it, else the same function lent to its
address by state override, else a JSON-RPC batch. All three give the same results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.adapters.aggregate3_code import AGGREGATE3_CODE
from shared.adapters.json_rpc_failures import CallRefused, revert_data
from shared.errors import ChainUnavailable
from shared.ports import CallResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.ports import Call

    Way = Callable[[Sequence[Call], str], list[CallResult]]

MULTICALL3: Final = "0xca11bde05977b3631167028862be2a173976ca11"
_SELECTOR: Final = "82ad56cb"  # aggregate3((address target,bool allowFailure,bytes callData)[])
_WORD: Final = 32
_FALSE_OR_TRUE: Final = (b"\0" * 32, b"\0" * 31 + b"\1")


class Multicall:
    """Reads contracts through one endpoint; ``calls_per_request`` at most in one eth_call.

    Keeps what it learns of the endpoint: the first way that works, and a size that is not too much.
    """

    def __init__(self, endpoint: JsonRpcEndpoint, calls_per_request: int = 1000) -> None:
        self._endpoint = endpoint
        self._size = calls_per_request
        self._ways: tuple[Way, ...] = (self._deployed, self._lent, self._one_by_one)

    def read(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        """Return the result of each call at the block, in their order; ``ok`` False where one failed.

        Raises ChainUnavailable where the endpoint cannot say, as for a block that it does not know.
        """
        results: list[CallResult] = []
        while len(results) < len(calls):
            results += self._chunk(calls[len(results) : len(results) + self._size], block_hash)
        return results

    def _chunk(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        refusals = []
        for way in self._ways:
            try:
                results = self._in_parts(way, calls, block_hash)
            except CallRefused as error:
                refusals.append(error)
                continue
            # The working way comes first from now on; the others stay, as a chain may be asked for a block
            # older than its Multicall3, or a refusal may have been a passing one.
            self._ways = (way, *(other for other in self._ways if other != way))
            return results
        raise refusals[-1]

    def _in_parts(self, way: Way, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        try:
            return way(calls, block_hash)
        except CallRefused:
            if len(calls) == 1:
                raise
            way(calls[:1], block_hash)  # raises if the way is closed; otherwise it was too much at once
        middle = len(calls) // 2
        self._size = min(self._size, middle)
        first = self._in_parts(way, calls[:middle], block_hash)
        return first + self._in_parts(way, calls[middle:], block_hash)

    def _deployed(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        return self._aggregate(calls, block_hash)

    def _lent(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        return self._aggregate(calls, block_hash, {MULTICALL3: {"code": AGGREGATE3_CODE}})

    def _one_by_one(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        at = {"blockHash": block_hash}
        requests = [("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, at]) for call in calls]
        return [self._result(answer) for answer in self._endpoint.batch(requests)]

    def _aggregate(self, calls: Sequence[Call], block_hash: str, *override: Any) -> list[CallResult]:
        request = {"to": MULTICALL3, "data": encode_aggregate3(calls)}
        answer = self._endpoint.call("eth_call", [request, {"blockHash": block_hash}, *override])
        try:
            results = decode_aggregate3(answer, len(calls))
        except ValueError as error:
            raise CallRefused(f"{self._endpoint.name} has no Multicall3 here: {error}", 0) from error
        # A call that took all the gas leaves none for those after it: a failure without a reason may be
        # that, so each such call is asked again on its own.
        unexplained = [i for i, result in enumerate(results) if not result.ok and not result.data]
        if unexplained:
            again = self._one_by_one([calls[i] for i in unexplained], block_hash)
            for i, result in zip(unexplained, again, strict=True):
                results[i] = result
        return results

    def _result(self, answer: Any) -> CallResult:
        if isinstance(answer, CallRefused):
            reverted = revert_data(answer)
            if reverted is None:
                raise answer
            return CallResult(ok=False, data=reverted)
        try:
            return CallResult(ok=True, data=_bytes(answer))
        except ValueError as error:
            raise ChainUnavailable(f"{self._endpoint.name} answered eth_call with what is no data") from error


def encode_aggregate3(calls: Sequence[Call]) -> str:
    """Return the calldata, as hex, of an aggregate3 of these calls, each allowed to fail."""
    offsets, tails = [], []
    offset = len(calls) * _WORD
    for call in calls:
        data = call.data
        size = len(data)
        padding = -size % _WORD
        offsets.append(f"{offset:064x}")
        tails.append(f"{call.to[2:]:0>64}{1:064x}{96:064x}{size:064x}{data.hex()}{'00' * padding}")
        offset += 4 * _WORD + size + padding
    return f"0x{_SELECTOR}{_WORD:064x}{len(calls):064x}{''.join(offsets)}{''.join(tails)}"


def decode_aggregate3(answer: Any, count: int) -> list[CallResult]:
    """Return the results of an aggregate3 of ``count`` calls; ValueError where the answer is none."""
    data = _bytes(answer)
    if not data:
        raise ValueError("no answer, as from an address without code")
    number = int.from_bytes
    if number(data[:_WORD]) != _WORD or number(data[_WORD : 2 * _WORD]) != count:
        raise ValueError("the answer is not a list of as many results")
    start, end = 2 * _WORD, len(data)
    results = []
    for at in range(start, start + count * _WORD, _WORD):
        head = start + number(data[at : at + _WORD])
        first = head + 3 * _WORD
        last = first + number(data[head + 2 * _WORD : first])
        flag = data[head : head + _WORD]
        if last > end or flag not in _FALSE_OR_TRUE:
            raise ValueError("the answer is cut off or garbled")
        results.append(CallResult(flag == _FALSE_OR_TRUE[1], data[first:last]))
    return results


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError("not a hex string")
    return bytes.fromhex(value[2:])
