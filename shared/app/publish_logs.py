"""Putting logs, and the removal of logs, on the bus: few enough at a time to stay small in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.app.handle_chain_event import LOGS, LogBatch
from shared.ports import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from shared.domain.blocks import Header
    from shared.ports import Bus, RawLog

_MESSAGES_AT_ONCE: Final = 16


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
        found: Mapping[Header, Sequence[RawLog]],
        counter: int,
        returned: Iterable[str],
    ) -> Iterator[LogBatch]:
        """Yield the messages for the logs of these blocks, in the order given."""
        back = set(returned)
        logs: list[RawLog] = []
        times: dict[str, int] = {}
        for header, of_block in found.items():
            at = 0
            while at < len(of_block):
                taken = of_block[at : at + self._most_logs - len(logs)]
                logs += taken
                times[header.hash] = header.timestamp
                at += len(taken)
                if len(logs) == self._most_logs:
                    yield LogBatch(LOGS, chain_id, counter, logs, times, sorted(back & times.keys()))
                    logs, times = [], {}
        if logs:
            yield LogBatch(LOGS, chain_id, counter, logs, times, sorted(back & times.keys()))

    def _flush(self, messages: Sequence[Message]) -> None:
        self._still_ours()
        self._bus.publish(self._topic, messages)
