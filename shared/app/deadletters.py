"""Messages that nobody could handle: buried with their cause, listed, and replayed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.domain.metrics import DEAD_LETTERS
from shared.domain.topics import CHAIN_LOGS, CHAIN_LOGS_DEAD, DEAD_LETTER_SOURCE, DELIVERY_ATTEMPTS
from shared.errors import NotFound, PlumblineError
from shared.ports import Alert, Message

if TYPE_CHECKING:
    from collections.abc import Collection, MutableSequence, Sequence
    from datetime import datetime

    from shared.app.alerts import Alerts
    from shared.app.project_events import ProjectEvents
    from shared.ports import Bus, Delivery, Metrics

RAW: Final = "raw"
"""The one field of a payload that stands for a message which is no JSON object: its text."""
EVENTS_SOURCE: Final = "events"
"""The source of a letter that ``project_events`` buried: replaying it projects the stored event."""
GIVEN_UP: Final = "attempts_exhausted"
"""The cause of what no handler buried: the bus gave up on it."""
_CAUSE: Final = "cause"
_DETAIL: Final = "detail"
_DETAIL_BYTES: Final = 900
_PAGE: Final = 100
_OURS: Final = frozenset({_CAUSE, _DETAIL, DEAD_LETTER_SOURCE, DELIVERY_ATTEMPTS})


def dead_letter(
    bus: Bus,
    payload: dict[str, Any],
    cause: PlumblineError,
    *,
    topic: str = CHAIN_LOGS_DEAD,
    source: str = CHAIN_LOGS,
) -> str:
    """Bury what can never be handled, with its cause; returns the id of the dead letter.

    ``payload`` is a whole message as topic ``source`` takes it (one poison log of a batch: the batch with
    that log alone), or ``{"raw": text}`` for a message that is no JSON object.
    """
    attributes = {
        _CAUSE: cause.code,
        _DETAIL: str(cause).encode(errors="replace")[:_DETAIL_BYTES].decode(errors="ignore"),
        DEAD_LETTER_SOURCE: source,
    }
    return bus.publish(topic, [Message(orjson.dumps(payload), attributes)])[0]


class Burial:
    """Makes dead letters, counts them by cause, and alerts on them when there is time for it."""

    def __init__(self, bus: Bus, alerts: Alerts, metrics: Metrics) -> None:
        self._bus = bus
        self._alerts = alerts
        self._metrics = metrics
        self._news: dict[tuple[str, str], dict[str, Any]] = {}

    def bury(self, payload: dict[str, Any], cause: PlumblineError, *, source: str = CHAIN_LOGS) -> None:
        """Bury what can never be handled (see ``dead_letter``); StoreUnavailable where the bus is away."""
        letter = dead_letter(self._bus, payload, cause, source=source)
        self._metrics.count(DEAD_LETTERS, source=source, cause=cause.code)
        told = {"source": source, "cause": cause.code, "last": letter, "error": str(cause)[:_DETAIL_BYTES]}
        self._news[source, cause.code] = told

    def tell(self) -> None:
        """Raise an alert for each cause that something was buried for, once the work is done.

        Sinks may take seconds, and the rest of a batch must not wait for them.
        """
        while self._news:
            try:
                (source, cause), detail = self._news.popitem()
            except KeyError:
                return  # another thread has just told it
            key = f"dead_letters:{source}:{cause}"
            self._alerts.open(Alert(key, "error", "Messages that cannot be handled", detail, passing=True))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A buried message: ``cause`` an error code, ``payload`` the message (``{"raw": text}`` if no JSON)."""

    message_id: str
    cause: str
    detail: str
    published_at: datetime
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FailedAgain:
    """A letter whose replay failed at once: it lies buried anew, as ``letter``, with its new cause."""

    message_id: str
    letter: str
    cause: str
    detail: str


@dataclass(slots=True)
class Replayed:
    """Ids of dead letters sent on their way again, and of those asked for that were not found.

    ``failed``: those among ``replayed`` that are known to have failed again. Of a message that was published
    the handler will tell.
    """

    replayed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: list[FailedAgain] = field(default_factory=list)


class DeadLetters:
    """Looks at the dead letters of one subscription and sends them on their way again."""

    def __init__(
        self,
        bus: Bus,
        subscription: str = CHAIN_LOGS_DEAD,
        *,
        projection: ProjectEvents | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._bus = bus
        self._projection = projection
        self._metrics = metrics
        self._subscription = subscription

    def list(self, limit: int) -> Sequence[DeadLetter]:
        """Return up to ``limit`` dead letters, oldest first, and leave them where they are."""
        held: dict[str, Delivery] = {}
        try:
            self._take(held, limit=limit)
            return sorted((_opened(each) for each in held.values()), key=lambda letter: letter.published_at)
        finally:
            self._hand_back(held)

    def replay(self, message_ids: Collection[str] | None = None) -> Replayed:
        """Send these dead letters (all if None) back to where they came from, then take them off.

        A message is published to its topic again, an event is projected from the store. What fails again
        is a new letter with its new cause, counted and told of, and stands in nobody's way.

        A replay that is cut off between the two leaves letters to be replayed twice: handlers are
        idempotent. All are gathered before the first is sent, so what fails again and comes back as a new
        dead letter while this runs is not sent round in circles.
        """
        wanted = None if message_ids is None else set(message_ids)
        done = Replayed()
        held: dict[str, Delivery] = {}
        try:
            self._take(held, wanted=wanted)
            chosen = [each for each in held.values() if wanted is None or each.message_id in wanted]
            for first in range(0, len(chosen), _PAGE):
                page = chosen[first : first + _PAGE]
                done.failed += self._send(page)
                for each in page:
                    del held[each.message_id]
                    done.replayed.append(each.message_id)
        finally:
            self._hand_back(held)
        done.missing = sorted((wanted or set()) - set(done.replayed))
        return done

    def _take(
        self, held: dict[str, Delivery], *, limit: int | None = None, wanted: set[str] | None = None
    ) -> None:
        """Lease into ``held`` until it has ``limit``, or all that is wanted, or there is no more."""
        while (limit is None or len(held) < limit) and (wanted is None or not wanted <= held.keys()):
            page = self._bus.pull(
                self._subscription, _PAGE if limit is None else min(_PAGE, limit - len(held))
            )
            known = len(held)
            held.update((each.message_id, each) for each in page)
            if len(held) == known:
                return

    def _send(self, page: Sequence[Delivery]) -> Sequence[FailedAgain]:
        failed: MutableSequence[FailedAgain] = []  # `list` is a method here
        originals = sorted(
            ((*_original(each.message), each.message_id) for each in page), key=lambda found: found[0]
        )
        for source, found in groupby(originals, key=lambda original: original[0]):
            letters = [(identity, message) for _, message, identity in found]
            failed += (self._project if source == EVENTS_SOURCE else self._publish)(source, letters)
        self._bus.ack(self._subscription, [each.ack_id for each in page])
        return failed

    def _publish(self, topic: str, letters: Sequence[tuple[str, Message]]) -> Sequence[FailedAgain]:
        """Publish all; one that no topic takes (it is empty) is buried anew, and keeps nobody back."""
        try:
            self._bus.publish(topic, [message for _, message in letters])
        except PlumblineError as error:
            if error.retryable:
                raise
            if len(letters) == 1:
                [(identity, message)] = letters
                return [self._bury(identity, _payload(message.data), error, topic)]
            return [failed for letter in letters for failed in self._publish(topic, [letter])]
        return []

    def _project(self, source: str, letters: Sequence[tuple[str, Message]]) -> Sequence[FailedAgain]:
        """Project the events of these letters; one that still cannot count is buried anew, with its cause."""
        failed = []
        for identity, message in letters:
            payload = _payload(message.data)
            try:
                self._project_stored(payload.get("eventId"))
            except PlumblineError as error:
                if error.retryable:
                    raise
                failed.append(self._bury(identity, payload, error, source))
        return failed

    def _bury(
        self, identity: str, payload: dict[str, Any], cause: PlumblineError, source: str
    ) -> FailedAgain:
        letter = dead_letter(self._bus, payload, cause, source=source)
        if self._metrics is not None:
            self._metrics.count(DEAD_LETTERS, source=source, cause=cause.code)
        return FailedAgain(identity, letter, cause.code, str(cause)[:_DETAIL_BYTES])

    def _project_stored(self, event_id: Any) -> None:
        if self._projection is None or not isinstance(event_id, str):
            raise NotFound("the letter names no event to project")
        self._projection.project_stored(event_id)

    def _hand_back(self, held: dict[str, Delivery]) -> None:
        if held:
            self._bus.release(self._subscription, [each.ack_id for each in held.values()])


def _opened(delivery: Delivery) -> DeadLetter:
    attributes = delivery.message.attributes
    given_up = f"delivered {attributes.get(DELIVERY_ATTEMPTS) or 'too many'} times without success"
    return DeadLetter(
        message_id=delivery.message_id,
        cause=attributes.get(_CAUSE, GIVEN_UP),
        detail=attributes.get(_DETAIL, given_up),
        published_at=delivery.published_at,
        payload=_payload(delivery.message.data),
    )


def _payload(data: bytes) -> dict[str, Any]:
    try:
        payload = orjson.loads(data)
    except orjson.JSONDecodeError:
        payload = None
    return payload if isinstance(payload, dict) else {RAW: data.decode("utf-8", "backslashreplace")}


def _original(message: Message) -> tuple[str, Message]:
    """Return the topic to publish to, and the message as it was before it was buried."""
    topic = message.attributes.get(DEAD_LETTER_SOURCE, CHAIN_LOGS)
    data = message.data
    if _CAUSE in message.attributes:
        payload = _payload(data)
        if payload.keys() == {RAW}:
            data = str(payload[RAW]).encode()
    kept = {key: value for key, value in message.attributes.items() if key not in _OURS}
    return topic, Message(data, kept)
