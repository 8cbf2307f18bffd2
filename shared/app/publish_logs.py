"""Putting logs, and the removal of logs, on the bus: few enough at a time to stay small in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.app.log_batch import LOGS, LogBatch, cut
from shared.ports import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from shared.app.chain_cursor import BlockRead
    from shared.ports import Bus, RawLog

_MESSAGES_AT_ONCE: Final = 4
_BYTES_A_MESSAGE: Final = 5_000_000
"""Pub/Sub takes 10 MB, and brings them to a function as base64, a third larger."""


class PublishLogs:
    """Publishes to one topic; ``still_ours`` is called before each lot and raises to forbid it."""

    def __init__(self, bus: Bus, topic: str, most_logs: int, still_ours: Callable[[], None]) -> None:
        self._bus = bus
        self._topic = topic
        self._most_logs = most_logs
        self._still_ours = still_ours

    def send(self, batches: Iterable[LogBatch]) -> int:
        """Publish; return the number of logs once all of them are durable."""
        count = 0
        messages: list[Message] = []
        for batch in batches:
            messages.append(Message(batch.encode(), {"kind": batch.kind, "chainId": str(batch.chain_id)}))
            count += len(batch.logs)
            if len(messages) == _MESSAGES_AT_ONCE:
                self._flush(messages)
                messages = []
        if messages:
            self._flush(messages)
        return count

    def appearing(
        self,
        chain_id: int,
        blocks: Sequence[BlockRead],
        counter: int,
        returned: Iterable[str],
        proved: Sequence[str] = (),
    ) -> Iterator[LogBatch]:
        """Yield the messages for the logs of these blocks, in the order given.

        Each says what is ``proved`` (keys of disputed blocks); where there is no log, a message of its own.
        """
        back = set(returned)
        senders: dict[str, dict[str, str]] = {}
        for block in blocks:
            if block.senders:
                senders.update(first_senders(block.logs, block.senders))
        every = [log for block in blocks for log in block.logs]
        headers = [block.header for block in blocks for _ in block.logs]
        for at, logs in cut(every, self._most_logs, _BYTES_A_MESSAGE):
            times = {header.hash: header.timestamp for header in headers[at : at + len(logs)]}
            yield replace(self._batch(chain_id, counter, logs, times, senders, back), proved=proved)
        if proved and not every:
            yield LogBatch(LOGS, chain_id, counter, (), proved=proved)

    def _batch(
        self,
        chain_id: int,
        counter: int,
        logs: Sequence[RawLog],
        times: Mapping[str, int],
        senders: Mapping[str, Mapping[str, str]],
        back: set[str],
    ) -> LogBatch:
        hashes = {log["transactionHash"] for log in logs} if senders else set()
        of_these = {key: senders[key] for key in hashes & senders.keys()}
        return LogBatch(LOGS, chain_id, counter, logs, times, sorted(back & times.keys()), senders=of_these)

    def _flush(self, messages: Sequence[Message]) -> None:
        self._still_ours()
        self._bus.publish(self._topic, messages)


def first_senders(logs: Iterable[RawLog], senders: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return sender and lowest log index of each transaction of a block's logs, by its hash.

    By the index whoever handles a log knows whether it is the one that tells of its transaction.
    """
    first: dict[str, dict[str, str]] = {}
    for log in logs:
        key = log["transactionHash"]
        if key in senders and (
            key not in first or int(log["logIndex"], 16) < int(first[key]["logIndex"], 16)
        ):
            first[key] = {"from": senders[key], "logIndex": log["logIndex"]}
    return first
