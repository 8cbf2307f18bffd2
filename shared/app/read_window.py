"""Reading a window of blocks so that its headers and its logs are of one and the same chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.errors import ChainUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.domain.blocks import Header
    from shared.ports import Chain, RawLog

_WIDEN_AFTER: Final = 8
"""Windows that must go well after a refusal before a wider one is tried: a refusal costs a request."""


class RangeWidth:
    """How many blocks to ask for at once: halved when refused, doubled again when all goes well."""

    def __init__(self, widest: int) -> None:
        self.blocks = widest
        self._widest = widest
        self._good = _WIDEN_AFTER

    def narrow(self, asked: int) -> bool:
        """Halve from the ``asked`` blocks that were refused; False where it was no more than one."""
        if asked <= 1:
            return False
        self.blocks = asked // 2
        self._good = 0
        return True

    def adapt(self, logs: int, most_logs: int) -> None:
        """Count a window that went well and brought so many logs: too many is a reason to narrow."""
        if logs > most_logs:
            self.narrow(self.blocks)
            return
        self._good += 1
        if self._good >= _WIDEN_AFTER:
            self.blocks = min(self.blocks * 2, self._widest)


def read_headers(chain: Chain, numbers: Iterable[int]) -> dict[int, Header]:
    """Return the headers at these heights, in one batch; ChainUnavailable where one is missing.

    Neighbours among them are linked: where they are not, the node has mixed two chains.
    """
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    headers: dict[int, Header] = {}
    for number, header in zip(wanted, chain.headers(wanted), strict=True):
        if header is None or header.number != number:
            raise ChainUnavailable(f"chain {chain.chain_id} gave no block {number}")
        before = headers.get(number - 1)
        if before is not None and header.parent_hash != before.hash:
            raise ChainUnavailable(f"chain {chain.chain_id} changed at block {number} while it was read")
        headers[number] = header
    return headers


def logs_by_hash(
    chain: Chain, headers: Sequence[Header], addresses: Sequence[str]
) -> dict[Header, Sequence[RawLog]]:
    """Return the logs of each of these blocks that has any, each asked for by its hash."""
    found: dict[Header, Sequence[RawLog]] = {}
    for header in headers:
        logs = chain.logs_of_block(header.hash, addresses)
        if logs:
            found.update(_grouped(chain, logs, {header.number: header}))
    return found


def logs_by_range(
    chain: Chain, first: int, last: int, addresses: Sequence[str], headers: Mapping[int, Header]
) -> dict[Header, Sequence[RawLog]]:
    """Return the logs of each block of the range that has any.

    For final blocks, of which ``headers`` are those known. Raises RangeRefused, and ChainUnavailable
    where a log is not of its height's block.
    """
    logs = chain.logs(first, last, addresses)
    spelled = {log.get("blockNumber") for log in logs}
    unknown = {_height(chain, number) for number in spelled} - headers.keys()
    if unknown and not first <= min(unknown) <= max(unknown) <= last:
        raise ChainUnavailable(f"chain {chain.chain_id} gave logs outside of blocks {first} to {last}")
    return _grouped(chain, logs, {**headers, **read_headers(chain, unknown)})


def _grouped(
    chain: Chain, logs: Sequence[RawLog], headers: Mapping[int, Header]
) -> dict[Header, Sequence[RawLog]]:
    grouped: dict[Header, list[RawLog]] = {}
    spelled: Any = None
    block: list[RawLog] = []
    # Logs come block by block: each block is looked up once.
    for log in logs:
        if log.get("blockHash") != spelled or log.get("removed"):
            header = headers.get(_height(chain, log.get("blockNumber")))
            spelled = log.get("blockHash")
            if header is None or str(spelled).lower() != header.hash or log.get("removed"):
                raise ChainUnavailable(f"chain {chain.chain_id} gave a log of a block that it does not have")
            block = grouped.setdefault(header, [])
        block.append(log)
    return dict(grouped)


def _height(chain: Chain, number: object) -> int:
    try:
        return number if isinstance(number, int) else int(str(number), 16)
    except ValueError as error:
        raise ChainUnavailable(f"chain {chain.chain_id} gave a log without a block number") from error
