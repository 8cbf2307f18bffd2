"""Topics and subscriptions: nothing is lost unseen, and the cloud's are the laptop's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.adapters.topology import TOPOLOGY, Topology

if TYPE_CHECKING:
    from tests.deploy.plan import Plan

_LEAST_BACKOFF_S, _MOST_BACKOFF_S = 0, 600


def _subscriptions(plan: Plan) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in plan.all("google_pubsub_subscription").values()}


def test_topics_and_subscriptions_are_the_codes(plan: Plan) -> None:
    """Every topic and subscription of the code's table is there, each on its topic, and no other."""
    topology = Topology(TOPOLOGY)
    topics = {topic["name"]: topic["id"] for topic in plan.all("google_pubsub_topic").values()}
    assert set(topics) == set(topology.topics)
    assert {name: each["topic"] for name, each in _subscriptions(plan).items()} == {
        each.name: topics[each.topic] for each in TOPOLOGY
    }


def test_every_push_is_refused_and_repeated_as_on_the_laptop(plan: Plan) -> None:
    """Pauses and attempts are those of the code's table, and Pub/Sub takes them."""
    topology = Topology(TOPOLOGY)
    pushed = {name: each for name, each in _subscriptions(plan).items() if each["push_config"]}
    assert pushed
    for name, each in pushed.items():
        code, [retry] = topology.subscription(name), each["retry_policy"]
        assert float(retry["minimum_backoff"].rstrip("s")) == code.min_backoff_s
        assert float(retry["maximum_backoff"].rstrip("s")) == code.max_backoff_s
        assert _LEAST_BACKOFF_S <= code.min_backoff_s <= code.max_backoff_s <= _MOST_BACKOFF_S
        assert each["dead_letter_policy"][0]["max_delivery_attempts"] == code.max_attempts


def test_every_push_has_a_dead_letter_topic_and_every_one_of_these_a_subscription(plan: Plan) -> None:
    """What is given up is kept as long as Pub/Sub keeps anything, and its agent may put it there."""
    subscriptions = _subscriptions(plan)
    topics = {topic["id"]: name for name, topic in plan.all("google_pubsub_topic").items()}
    agents = {(grant.role, grant.on) for grant in plan.grants if "@gcp-sa-pubsub." in grant.member}
    for name, each in subscriptions.items():
        if not each["push_config"]:
            continue
        [policy] = each["dead_letter_policy"]
        [keeper] = [
            other for other in subscriptions.values() if other["topic"] == policy["dead_letter_topic"]
        ]
        assert not keeper["push_config"]
        assert keeper["message_retention_duration"] == "2678400s"
        assert ("roles/pubsub.publisher", f"topic {topics[policy['dead_letter_topic']]}") in agents
        assert ("roles/pubsub.subscriber", f"subscription {name}") in agents


def test_every_dead_letter_subscription_has_an_alert(plan: Plan) -> None:
    """A message that waits there is told of, whether a function or Pub/Sub put it there."""
    filters = [
        threshold["filter"]
        for policy in plan.named("google_monitoring_alert_policy", "all").values()
        for condition in policy["conditions"]
        for threshold in condition["condition_threshold"]
    ]
    for name, each in _subscriptions(plan).items():
        if not each["push_config"]:
            assert any(
                "num_undelivered_messages" in text and f'subscription_id = "{name}"' in text
                for text in filters
            )


def test_pushes_are_signed_and_patient(plan: Plan) -> None:
    """Each push bears a token for its function's address, and outlasts the function's own time-out."""
    for each in _subscriptions(plan).values():
        if not each["push_config"]:
            continue
        [push] = each["push_config"]
        [function] = [
            function["service_config"][0]
            for function in plan.functions.values()
            if function["service_config"][0]["uri"] == push["push_endpoint"]
        ]
        assert push["oidc_token"][0]["audience"] == function["uri"]
        assert function["timeout_seconds"] < each["ack_deadline_seconds"] <= 600


def test_no_subscription_is_forgotten(plan: Plan) -> None:
    """None expires: by default one that is idle for a month is deleted, and its messages with it."""
    assert {each["expiration_policy"][0]["ttl"] for each in _subscriptions(plan).values()} == {""}
