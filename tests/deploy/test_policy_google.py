"""What Google takes, where a schema does not tell: words, ranges and lengths of its services, in both plans.

Sources: the services' REST references (cloud.google.com/SERVICE/docs/reference/rest), the quotas of Pub/Sub,
Scheduler, Firestore and Monitoring, and Cloud Run's pages on health checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.plan import Plan

_ALIGNERS: Final = {
    "ALIGN_DELTA", "ALIGN_RATE", "ALIGN_MIN", "ALIGN_MAX", "ALIGN_MEAN", "ALIGN_COUNT", "ALIGN_SUM",
    "ALIGN_NEXT_OLDER",
}  # fmt: skip
_REDUCERS: Final = {
    "REDUCE_SUM", "REDUCE_MIN", "REDUCE_MAX", "REDUCE_MEAN", "REDUCE_COUNT", "REDUCE_COUNT_FALSE",
    "REDUCE_PERCENTILE_50", "REDUCE_PERCENTILE_95", "REDUCE_PERCENTILE_99",
}  # fmt: skip
_THRESHOLD: Final = "conditions.condition_threshold"
_WORDS: Final[dict[str, dict[str, set[Any]]]] = {
    "google_artifact_registry_repository": {
        "format": {"DOCKER"},
        "cleanup_policies.action": {"DELETE", "KEEP"},
    },
    "google_cloud_run_v2_worker_pool": {"scaling.scaling_mode": {"AUTOMATIC", "MANUAL"}},
    "google_cloud_scheduler_job": {"http_target.http_method": {"POST", "GET", "PUT", "DELETE", "PATCH"}},
    "google_cloudfunctions2_function": {
        "service_config.ingress_settings": {
            "ALLOW_ALL",
            "ALLOW_INTERNAL_ONLY",
            "ALLOW_INTERNAL_AND_GCLB",
        },
        "event_trigger.retry_policy": {"RETRY_POLICY_RETRY", "RETRY_POLICY_DO_NOT_RETRY"},
        "event_trigger.event_filters.operator": {None, "match-path-pattern"},
    },
    "google_firestore_database": {
        "type": {"FIRESTORE_NATIVE"},
        "point_in_time_recovery_enablement": {
            "POINT_IN_TIME_RECOVERY_ENABLED",
            "POINT_IN_TIME_RECOVERY_DISABLED",
        },
        "delete_protection_state": {"DELETE_PROTECTION_ENABLED", "DELETE_PROTECTION_DISABLED"},
        "deletion_policy": {"DELETE", "ABANDON"},
    },
    "google_firestore_field": {
        "index_config.indexes.order": {"ASCENDING", "DESCENDING"},
        "index_config.indexes.query_scope": {"COLLECTION", "COLLECTION_GROUP"},
    },
    "google_firestore_index": {"fields.order": {"ASCENDING", "DESCENDING"}},
    "google_monitoring_alert_policy": {
        "severity": {"CRITICAL", "ERROR", "WARNING"},
        "combiner": {"OR", "AND", "AND_WITH_MATCHING_RESOURCE"},
        "alert_strategy.notification_prompts": {"OPENED", "CLOSED"},
        f"{_THRESHOLD}.comparison": {"COMPARISON_GT", "COMPARISON_LT"},
        f"{_THRESHOLD}.aggregations.per_series_aligner": _ALIGNERS,
        f"{_THRESHOLD}.aggregations.cross_series_reducer": _REDUCERS,
        f"{_THRESHOLD}.denominator_aggregations.per_series_aligner": _ALIGNERS,
        "conditions.condition_absent.aggregations.per_series_aligner": _ALIGNERS,
        "conditions.condition_absent.aggregations.cross_series_reducer": _REDUCERS,
    },
    "google_monitoring_metric_descriptor": {
        "metric_kind": {"GAUGE", "CUMULATIVE", "DELTA"},
        "value_type": {"DOUBLE", "DISTRIBUTION", "INT64", "BOOL"},
        "labels.value_type": {"STRING", "BOOL", "INT64"},
    },
    "google_monitoring_notification_channel": {"type": {"email"}},
    "google_storage_bucket": {"public_access_prevention": {"enforced", "inherited"}},
}
_RANGES: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "google_cloud_run_v2_worker_pool": {
        "template.containers.startup_probe.period_seconds": (1, 240),
        "template.containers.liveness_probe.period_seconds": (1, 3600),
    },
    "google_cloud_scheduler_job": {
        "attempt_deadline": (15, 1800),
        "retry_config.retry_count": (0, 5),
        "retry_config.min_backoff_duration": (0, 3600),
        "retry_config.max_backoff_duration": (0, 3600),
        "retry_config.max_doublings": (0, 16),
    },
    "google_cloudfunctions2_function": {
        "service_config.timeout_seconds": (1, 540),  # of what an event calls; 3600 else
        "service_config.max_instance_request_concurrency": (1, 1000),
    },
    "google_firestore_backup_schedule": {"retention": (86_400, 14 * 7 * 86_400)},
    "google_monitoring_alert_policy": {
        "alert_strategy.auto_close": (1800, 7 * 86_400),
        f"{_THRESHOLD}.aggregations.alignment_period": (60, 104 * 7 * 86_400),
    },
    "google_pubsub_subscription": {
        "ack_deadline_seconds": (10, 600),
        "message_retention_duration": (600, 31 * 86_400),
        "retry_policy.minimum_backoff": (0, 600),
        "retry_policy.maximum_backoff": (0, 600),
        "dead_letter_policy.max_delivery_attempts": (5, 100),
    },
    "google_pubsub_topic": {"message_retention_duration": (600, 31 * 86_400)},
}


def _found(value: Any, path: str) -> Iterator[Any]:
    """Yield what is at a path of blocks and attributes, through every list on the way."""
    if isinstance(value, list):
        for each in value:
            yield from _found(each, path)
    elif path:
        name, _, rest = path.partition(".")
        yield from _found(value[name], rest)
    else:
        yield value


@pytest.mark.parametrize("kind", _WORDS)
def test_every_word_is_one_that_the_service_knows(plans: dict[str, Plan], kind: str) -> None:
    """Of what is one of a few words, each is; and each path leads to something in one of the examples."""
    for path, words in _WORDS[kind].items():
        used = {word for plan in plans.values() for each in plan.every(kind) for word in _found(each, path)}
        assert used, (kind, path)
        assert used <= words, (kind, path)


@pytest.mark.parametrize("kind", _RANGES)
def test_every_number_is_within_what_the_service_takes(plans: dict[str, Plan], kind: str) -> None:
    """Durations are seconds with an s."""
    for path, (least, most) in _RANGES[kind].items():
        used = [
            number for plan in plans.values() for each in plan.every(kind) for number in _found(each, path)
        ]
        assert used, (kind, path)
        numbers = [float(str(number).removesuffix("s")) for number in used]
        assert all(least <= number <= most for number in numbers), (kind, path, used)


def test_a_start_is_waited_for_no_longer_than_cloud_run_does(plan: Plan) -> None:
    """Its probe's attempts times its period are at most 240 s, and an attempt ends before the next."""
    for pool in plan.pools.values():
        [container] = pool["template"][0]["containers"]
        [start], [alive] = container["startup_probe"], container["liveness_probe"]
        assert start["failure_threshold"] * start["period_seconds"] <= 240
        for probe in (start, alive):
            assert probe["timeout_seconds"] <= probe["period_seconds"]


def test_one_field_of_a_collection_expires_at_most(plan: Plan) -> None:
    """Firestore keeps one time to live a collection; and an index has no two fields alike."""
    expiring = [field["collection"] for field in plan.every("google_firestore_field") if field["ttl_config"]]
    assert len(expiring) == len(set(expiring))
    assert len(plan.every("google_firestore_field")) <= 200
    for index in plan.every("google_firestore_index"):
        fields = [field["field_path"] for field in index["fields"]]
        assert 2 <= len(fields) == len(set(fields))


def test_figures_have_few_labels_with_plain_names(plan: Plan) -> None:
    """At most 30 labels, keys of lower-case letters, digits and underscores, as Monitoring wants them."""
    for descriptor in plan.every("google_monitoring_metric_descriptor"):
        keys = [label["key"] for label in descriptor["labels"]]
        assert len(keys) <= 30
        assert all(key.isidentifier() and key.islower() for key in keys)
