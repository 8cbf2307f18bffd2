"""Logs of a range of blocks, within what the endpoint allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.adapters.ethereum_shapes import read_header, read_logs
from shared.adapters.json_rpc_failures import METHOD_NOT_FOUND, CallRefused, LimitMet, NoAnswer, NotThere
from shared.errors import ChainUnavailable, RangeRefused, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.adapters.block_logs import BlockLogs
    from shared.adapters.endpoints import EndpointPool
    from shared.adapters.ethereum_shapes import LogFilter
    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.ports import RawLog

_MOST_PARTS: Final = 64


class LogRanges:
    """Asks endpoints for logs of ranges, and tells the pool's limits what they take and what they refuse.

    ``blocks`` reads the block of which an endpoint gives no logs by range; None: that fails.
    """

    def __init__(self, pool: EndpointPool, blocks: Callable[[], BlockLogs] | None = None) -> None:
        self._pool = pool
        self._blocks = blocks

    def logs(self, endpoint: JsonRpcEndpoint, wanted: LogFilter, first: int, last: int) -> list[RawLog]:
        """Return the logs as the node gives them.

        Raises RangeRefused where it takes fewer blocks: by what it answers, or is known to take. One block
        that is refused is read by its receipts; CallRefused where it has not got those either.
        """
        limit = self._pool.limits(endpoint).range
        asked = last - first + 1
        if limit.blocks is not None and asked > limit.blocks:
            raise RangeRefused(
                f"blocks {first} to {last}: {endpoint.name} takes {limit.blocks} at once, as learned"
            )
        criteria = {
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "address": wanted.addresses,
            "topics": wanted.topics,
        }
        try:
            answer = endpoint.call("eth_getLogs", [criteria])
        except NoAnswer:
            limit.unanswered(asked)
            raise
        except (CallRefused, LimitMet) as error:
            unknown = isinstance(error, CallRefused) and error.number == METHOD_NOT_FOUND
            if not (limit.failed(asked) if unknown else asked > 1 and limit.refused(asked, _said(error))):
                if asked == 1 and self._blocks is not None:
                    return self._of_block(endpoint, wanted, first, error)
                raise
            raise RangeRefused(f"blocks {first} to {last}: {error}") from error
        except RateLimited as error:
            # It may speak of a rate and mean the size: then it comes again, while other reads are served.
            if error.retry_after_s is None and limit.failed(asked):
                raise RangeRefused(f"blocks {first} to {last}: {error}") from error
            raise
        except ChainUnavailable:
            limit.failed(asked)
            raise
        limit.served(asked)
        return read_logs(answer, wanted, first, last)

    def logs_in_parts(
        self, endpoint: JsonRpcEndpoint, wanted: LogFilter, first: int, last: int
    ) -> list[RawLog]:
        """Return the logs, asked for in as many parts as the endpoint's limit needs, if not too many.

        Raises RangeRefused for those, and for one block that is refused.
        """
        limit = self._pool.limits(endpoint).range
        logs: list[RawLog] = []
        at = first
        while at <= last:
            width = last - at + 1 if limit.blocks is None else min(limit.blocks, last - at + 1)
            if width * _MOST_PARTS < last - first + 1:
                raise RangeRefused(f"blocks {first} to {last}: {endpoint.name} takes {width} at once")
            try:
                logs += self.logs(endpoint, wanted, at, at + width - 1)
            except RangeRefused:
                continue  # the limit is lower now
            at += width
        return logs

    def _of_block(
        self, endpoint: JsonRpcEndpoint, wanted: LogFilter, number: int, refused: ChainUnavailable
    ) -> list[RawLog]:
        # A single block may hold more logs than the endpoint gives in one answer, and no range is narrower.
        header = read_header(endpoint.call("eth_getBlockByNumber", [hex(number), False]))
        if self._blocks is None or header is None or header.number != number:
            raise refused
        logs = self._blocks().read(endpoint, header, wanted.addresses).logs
        return [log for log in logs if wanted.matches(log)]

    def senders(self, endpoint: JsonRpcEndpoint, logs: Sequence[RawLog]) -> dict[str, str]:
        """Return the sender of each of the logs' transactions, by its hash."""
        hashes = sorted({str(log["transactionHash"]).lower() for log in logs})
        answers = endpoint.batch([("eth_getTransactionByHash", [each]) for each in hashes])
        senders = {}
        for transaction_hash, answer in zip(hashes, answers, strict=True):
            if isinstance(answer, CallRefused):
                raise answer
            if answer is None:
                raise NotThere(f"{endpoint.name} has a log of transaction {transaction_hash}, and not itself")
            senders[transaction_hash] = _sender_of(answer, transaction_hash)
        return senders


def _said(error: CallRefused | LimitMet) -> str:
    return (error.said if isinstance(error, CallRefused) else "") or str(error)


def _sender_of(transaction: Any, transaction_hash: str) -> str:
    try:
        if transaction["hash"].lower() == transaction_hash and int(transaction["from"], 16) >= 0:
            return str(transaction["from"]).lower()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ChainUnavailable(f"transaction {transaction_hash} is not whole: {error!r}") from error
    raise ChainUnavailable(f"asked for transaction {transaction_hash}, was given another one")
