"""Bus on Google Cloud Pub/Sub, by the generated clients: one request, one answer, no threads of ours."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError

from shared.adapters.topology import TOPOLOGY, Subscription, Topology, check_message
from shared.domain.topics import DEAD_LETTER_SOURCE, DELIVERY_ATTEMPTS
from shared.errors import InvalidInput, NotFound, StoreUnavailable
from shared.ports import Delivery, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.pubsub_v1 import PublisherClient, SubscriberClient

_REQUEST_BYTES: Final = 9_000_000
_REQUEST_ITEMS: Final = 1_000
_GOOGLE_DEAD_LETTER: Final = "CloudPubSubDeadLetterSource"
_PASSING: Final = if_exception_type(
    google_errors.Aborted,
    google_errors.InternalServerError,
    google_errors.ServiceUnavailable,
    google_errors.TooManyRequests,
    google_errors.Unknown,
)


class PubSubBus:
    """The Bus of a Google Cloud project.

    Times in seconds: ``request_timeout_s`` bounds each request with its retries, ``pull_wait_s`` how long
    a pull waits for a first message before it answers that there is none. ``emulator_host`` (HOST:PORT;
    PUBSUB_EMULATOR_HOST if None) stands for the emulator, which is spoken to without TLS.

    Pub/Sub differs from the local bus in two ways. ``release`` is a refusal where the subscription has a
    dead-letter policy or a back-off: it counts as an attempt (a subscription of dead letters has
    neither). ``attempt`` is counted by Pub/Sub only where there is a dead-letter policy and is 1 elsewhere.
    """

    def __init__(
        self,
        project: str,
        topology: Sequence[Subscription] = TOPOLOGY,
        *,
        emulator_host: str | None = None,
        request_timeout_s: float = 30.0,
        pull_wait_s: float = 5.0,
    ) -> None:
        self._project = project
        self._topology = Topology(topology)
        self._emulator_host = emulator_host or os.environ.get("PUBSUB_EMULATOR_HOST")
        self._timeout_s = request_timeout_s
        self._pull_wait_s = pull_wait_s
        self._retry = Retry(predicate=_PASSING, initial=0.1, maximum=2.0, timeout=request_timeout_s)
        self._lock = threading.Lock()
        self._publisher_client: PublisherClient | None = None
        self._subscriber_client: SubscriberClient | None = None

    def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
        """Publish in as few requests as Pub/Sub allows; an error may leave the first of them published."""
        self._topology.subscribers(topic)
        requests: list[list[dict[str, Any]]] = []
        room = 0
        for message in messages:
            size = check_message(message)
            if size > room or len(requests[-1]) == _REQUEST_ITEMS:
                requests.append([])
                room = _REQUEST_BYTES
            room -= size
            requests[-1].append({"data": message.data, "attributes": dict(message.attributes)})
        identities: list[str] = []
        for each in requests:
            body = {"topic": self._topic_path(topic), "messages": each}
            identities.extend(self._ask(self._publisher().publish, body).message_ids)
        return identities

    def pull(self, subscription: str, limit: int) -> list[Delivery]:
        """Lease up to ``limit`` messages, often fewer; an empty list once ``pull_wait_s`` brought none."""
        known = self._topology.subscription(subscription)
        body = {
            "subscription": self._subscription_path(known.name),
            "max_messages": min(limit, _REQUEST_ITEMS),
        }
        subscriber = self._subscriber()
        with _translated("pull"):
            try:
                answer = subscriber.pull(request=body, timeout=self._pull_wait_s, retry=None)
            except google_errors.DeadlineExceeded:
                return []
        return [self._delivery(each) for each in type(answer).pb(answer).received_messages]

    def ack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Take messages off; best effort once the ack deadline has passed."""
        path = self._subscription_path(self._topology.subscription(subscription).name)
        for first in range(0, len(ack_ids), _REQUEST_ITEMS):
            some = list(ack_ids[first : first + _REQUEST_ITEMS])
            self._ask(self._subscriber().acknowledge, {"subscription": path, "ack_ids": some})

    def nack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Refuse: Pub/Sub's retry policy and dead-letter policy decide what follows."""
        self.hold(subscription, ack_ids, 0)

    def hold(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Lease for so many seconds from now; 0 is a refusal."""
        path = self._subscription_path(self._topology.subscription(subscription).name)
        for first in range(0, len(ack_ids), _REQUEST_ITEMS):
            some = list(ack_ids[first : first + _REQUEST_ITEMS])
            body = {"subscription": path, "ack_ids": some, "ack_deadline_seconds": seconds}
            self._ask(self._subscriber().modify_ack_deadline, body)

    def release(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Hand back: due at once where the subscription has no back-off, else the same as ``nack``."""
        self.nack(subscription, ack_ids)

    def ensure_topology(self) -> None:
        """Create the topics and subscriptions that are absent (in the cloud Terraform does)."""
        for topic in self._topology.topics:
            self._create(self._publisher().create_topic, {"name": self._topic_path(topic)})
        for each in self._topology.subscriptions.values():
            self._create(self._subscriber().create_subscription, self._subscription_body(each))

    def close(self) -> None:
        """Give back connections."""
        with self._lock:
            for client in (self._publisher_client, self._subscriber_client):
                if client is not None:
                    client.transport.close()  # type: ignore[no-untyped-call]
            self._publisher_client = self._subscriber_client = None

    def _topic_path(self, topic: str) -> str:
        return f"projects/{self._project}/topics/{topic}"

    def _subscription_path(self, subscription: str) -> str:
        return f"projects/{self._project}/subscriptions/{subscription}"

    def _subscription_body(self, each: Subscription) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": self._subscription_path(each.name),
            "topic": self._topic_path(each.topic),
            "ack_deadline_seconds": each.ack_deadline_s,
            "expiration_policy": {},  # never; the default forgets a subscription idle for 31 days
        }
        if each.max_backoff_s:
            body["retry_policy"] = {
                "minimum_backoff": _duration(each.min_backoff_s),
                "maximum_backoff": _duration(each.max_backoff_s),
            }
        if each.dead_letter_topic is not None:
            body["dead_letter_policy"] = {
                "dead_letter_topic": self._topic_path(each.dead_letter_topic),
                "max_delivery_attempts": each.max_attempts,
            }
        return body

    def _delivery(self, received: Any) -> Delivery:
        message = received.message
        return Delivery(
            message_id=message.message_id,
            ack_id=received.ack_id,
            message=Message(message.data, self._attributes(dict(message.attributes))),
            attempt=received.delivery_attempt or 1,
            published_at=message.publish_time.ToDatetime(UTC),
        )

    def _attributes(self, attributes: dict[str, str]) -> dict[str, str]:
        """Say in the house's words what Pub/Sub notes on a message that it dead-lettered."""
        source = self._topology.subscriptions.get(attributes.get(f"{_GOOGLE_DEAD_LETTER}Subscription", ""))
        if source is None:
            return attributes
        attempts = attributes.get(f"{_GOOGLE_DEAD_LETTER}DeliveryCount", "")
        kept = {key: value for key, value in attributes.items() if not key.startswith(_GOOGLE_DEAD_LETTER)}
        return kept | {DEAD_LETTER_SOURCE: source.topic, DELIVERY_ATTEMPTS: attempts}

    def _ask(self, method: Callable[..., Any], body: dict[str, Any]) -> Any:
        with _translated(method.__name__):
            return method(request=body, timeout=self._timeout_s, retry=self._retry)

    def _create(self, method: Callable[..., Any], body: dict[str, Any]) -> None:
        with _translated(method.__name__):
            try:
                method(request=body, timeout=self._timeout_s, retry=self._retry)
            except google_errors.AlreadyExists:
                return

    def _publisher(self) -> PublisherClient:
        with self._lock:
            if self._publisher_client is None:
                # Imported when connecting: few instances of a function ever have anything to bury.
                from google.pubsub_v1 import PublisherClient  # noqa: PLC0415
                from google.pubsub_v1.services.publisher import transports  # noqa: PLC0415

                self._publisher_client = self._connected(PublisherClient, transports.PublisherGrpcTransport)
            return self._publisher_client

    def _subscriber(self) -> SubscriberClient:
        with self._lock:
            if self._subscriber_client is None:
                from google.pubsub_v1 import SubscriberClient  # noqa: PLC0415
                from google.pubsub_v1.services.subscriber import transports  # noqa: PLC0415

                self._subscriber_client = self._connected(
                    SubscriberClient, transports.SubscriberGrpcTransport
                )
            return self._subscriber_client

    def _connected(self, client_class: Any, transport_class: Any) -> Any:
        """Make a client and wait until it is connected, so that no answer later means no message."""
        with _translated("connecting"):
            if self._emulator_host:
                unbounded = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
                channel = grpc.insecure_channel(self._emulator_host, options=unbounded)
                client = client_class(transport=transport_class(channel=channel))
            else:
                client = client_class()
        try:
            grpc.channel_ready_future(client.transport.grpc_channel).result(timeout=self._timeout_s)
        except grpc.FutureTimeoutError as error:
            client.transport.close()
            raise StoreUnavailable(f"Pub/Sub: no connection within {self._timeout_s} s") from error
        return client


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except google_errors.NotFound as error:
        raise NotFound(f"Pub/Sub: {what}: {error.message}") from error
    except google_errors.InvalidArgument as error:
        raise InvalidInput(f"Pub/Sub: {what}: {error.message}") from error
    except google_errors.GoogleAPIError as error:
        raise StoreUnavailable(f"Pub/Sub: {what}: {error}") from error
    except GoogleAuthError as error:
        hint = "gcloud auth application-default login"
        raise StoreUnavailable(f"Pub/Sub: {what}: {type(error).__name__} ({hint})") from error


def _duration(seconds: float) -> dict[str, int]:
    whole, fraction = divmod(round(seconds * 1e9), 1_000_000_000)
    return {"seconds": whole, "nanos": fraction}
