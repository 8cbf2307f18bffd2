"""Alerts and dashboards: every name is one of the code's table, and everything that must be told is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.metrics import COUNTER, GAUGE, HISTOGRAM, LABELS, METRICS
from tests.deploy.offline.wheel_schema import ROOT

if TYPE_CHECKING:
    from tests.deploy.plan import Plan

_TYPE = re.compile(r'metric\.type ?= ?"([^"]+)"')
_OURS = "custom.googleapis.com/"
_GOOGLES = {
    "run.googleapis.com/request_count",
    "pubsub.googleapis.com/subscription/num_undelivered_messages",
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age",
}
_ALIGNERS = {
    GAUGE: {"ALIGN_MAX", "ALIGN_MIN", "ALIGN_MEAN"},
    COUNTER: {"ALIGN_RATE", "ALIGN_DELTA"},
    # Percentile aligners take no cumulative distributions: of deltas the reducer takes the percentile.
    HISTOGRAM: {"ALIGN_DELTA"},
}
_DEMANDED = {
    "reconciliation-errors": (("plumbline_reconcile_last_errors", 0),),
    "reconciliation-mismatches": (("plumbline_reconcile_last_mismatches", 5),),
    "reconciliation-late": (("plumbline_reconcile_last_good_age_seconds", 900),),
    "listener-lag": (("plumbline_lag_seconds", 60),),
    "listener-down": (("plumbline_listener_stopped", 0),),
    "certificate-age": (("plumbline_certificate_age_seconds", 3600),),
    "dead-letters": (("plumbline_dead_letters_total", 0),),
    "error-rate": (("run.googleapis.com/request_count", 0.05),),
}


def _alerts(plan: Plan) -> dict[str, dict[str, Any]]:
    return plan.named("google_monitoring_alert_policy", "all")


def _conditions(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        condition
        for each in policy["conditions"]
        for condition in (*each["condition_threshold"], *each["condition_absent"])
    ]


def _queries(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    """Return every filter with how its series are made one, of alerts and of dashboards."""
    found = [
        (condition["filter"], condition["aggregations"][0])
        for policy in _alerts(plan).values()
        for condition in _conditions(policy)
    ]
    for dashboard in plan.all("google_monitoring_dashboard").values():
        for widget in json.loads(dashboard["dashboard_json"])["gridLayout"]["widgets"]:
            for line in widget["xyChart"]["dataSets"]:
                asked = line["timeSeriesQuery"]["timeSeriesFilter"]
                aggregation = asked["aggregation"]
                made_one = {
                    "per_series_aligner": aggregation["perSeriesAligner"],
                    "cross_series_reducer": aggregation["crossSeriesReducer"],
                    "group_by_fields": aggregation["groupByFields"],
                }
                found.append((asked["filter"], made_one))
    return found


def test_every_figure_that_is_asked_for_is_in_the_table(plan: Plan) -> None:
    """A type is one of ours, or one of Google's few that we know of, and its labels are its own."""
    for text, aggregation in _queries(plan):
        [asked] = _TYPE.findall(text)
        if not asked.startswith(_OURS):
            assert asked in _GOOGLES
            continue
        metric = METRICS[asked.removeprefix(_OURS)]
        labels = set(re.findall(r"metric\.labels?\.(\w+)", text))
        labels |= {field.removeprefix("metric.label.") for field in aggregation["group_by_fields"] or []}
        assert labels <= set(metric.labels), (metric.name, labels)
        assert aggregation["per_series_aligner"] in _ALIGNERS[metric.kind], metric.name
        percentile = aggregation["cross_series_reducer"].startswith("REDUCE_PERCENTILE")
        assert percentile == (metric.kind == HISTOGRAM), metric.name
        assert "resource.type" in text, "without its resource a filter meets series of anybody"


def test_every_figure_of_the_table_is_seen(plan: Plan) -> None:
    """Each is on one dashboard, and on one alone."""
    shown = [
        _TYPE.findall(text)[0].removeprefix(_OURS)
        for dashboard in plan.all("google_monitoring_dashboard").values()
        for widget in json.loads(dashboard["dashboard_json"])["gridLayout"]["widgets"]
        for text in {widget["xyChart"]["dataSets"][0]["timeSeriesQuery"]["timeSeriesFilter"]["filter"]}
    ]
    assert sorted(shown) == sorted(METRICS)


def test_descriptors_are_the_tables(plan: Plan) -> None:
    """Each figure is described with its kind, unit and labels, before anybody asks for it."""
    descriptors = plan.all("google_monitoring_metric_descriptor")
    assert set(descriptors) == set(METRICS)
    for name, each in descriptors.items():
        metric = METRICS[name]
        assert each["type"] == _OURS + name
        assert (each["metric_kind"], each["value_type"]) == (
            "GAUGE" if metric.kind == GAUGE else "CUMULATIVE",
            "DISTRIBUTION" if metric.kind == HISTOGRAM else "DOUBLE",
        )
        assert (each["unit"], each["description"]) == (metric.unit, metric.meaning)
        assert {label["key"]: label["description"] for label in each["labels"]} == {
            label: LABELS[label] for label in metric.labels
        }


@pytest.mark.parametrize("name", _DEMANDED)
def test_what_must_be_told_is(plan: Plan, name: str) -> None:
    """The limits are the product's own."""
    limits = {
        (_TYPE.findall(condition["filter"])[0].removeprefix(_OURS), condition["threshold_value"])
        for condition in _conditions(_alerts(plan)[name])
        if "threshold_value" in condition
    }
    assert limits >= set(_DEMANDED[name])


def test_silence_is_told_of(plan: Plan) -> None:
    """A listener or a reconciler that says nothing at all is no good news."""
    silent = {
        _TYPE.findall(each["condition_absent"][0]["filter"])[0].removeprefix(_OURS)
        for policy in _alerts(plan).values()
        for each in policy["conditions"]
        if each["condition_absent"]
    }
    assert silent == {"plumbline_blocks_behind", "plumbline_reconcile_runs_total"}


def test_silence_is_told_of_chain_by_chain(plan: Plan) -> None:
    """One chain whose listener hangs is not covered up by the figures of the others."""
    [[silence]] = [
        each["condition_absent"]
        for each in _alerts(plan)["listener-down"]["conditions"]
        if each["condition_absent"]
    ]
    assert silence["aggregations"][0]["group_by_fields"] == ["metric.label.chain"]


def test_silence_is_told_of_by_the_minute(plan: Plan) -> None:
    """Of absence Google takes whole minutes, from two of them to 23.5 hours; of a limit whole minutes."""
    for policy in plan.every("google_monitoring_alert_policy"):
        for each in policy["conditions"]:
            for absent in each["condition_absent"]:
                assert int(absent["duration"].rstrip("s")) in range(120, 84_601, 60)
            for threshold in each["condition_threshold"]:
                assert int(threshold["duration"].rstrip("s")) % 60 == 0
        assert len(policy["conditions"]) <= 6, "no more are taken"


def test_what_eventarc_cannot_bring_is_told_of(plan: Plan) -> None:
    """Eventarc drops an event after a day: long before, its own subscription's oldest message is too old."""
    filters = [condition["filter"] for condition in _conditions(_alerts(plan)["messages-waiting"])]
    brought = [function["name"] for function in plan.functions.values() if function["event_trigger"]]
    assert brought
    for name in brought:
        # A name as Eventarc gives it (https://cloud.google.com/eventarc/docs/retry-events).
        made = f"eventarc-us-central1-{name}-133304-sub-042"
        patterns = [found[0] for text in filters if (found := re.findall(r'full_match\("([^"]+)"\)', text))]
        assert any(re.fullmatch(pattern, made) for pattern in patterns), filters


def test_every_function_has_an_error_rate(plan: Plan) -> None:
    """Each function's own share of errors is watched: a busy one must not hide a broken one."""
    filters = " ".join(condition["filter"] for condition in _conditions(_alerts(plan)["error-rate"]))
    for function in plan.functions.values():
        assert f'service_name = "{function["name"]}"' in filters
    for condition in _conditions(_alerts(plan)["error-rate"]):
        assert condition["denominator_filter"]
        assert condition["denominator_aggregations"]


def test_every_alert_says_what_it_means_and_what_to_do(plans: dict[str, Plan]) -> None:
    """Each has its section in docs/operate.md, goes to the channels, and links to the copy that is named."""
    sections = re.findall(r"^### (\S+)$", (ROOT / "docs" / "operate.md").read_text("utf-8"), re.MULTILINE)
    policies = _alerts(plans["arbitrum"])
    assert set(policies) <= set(sections)
    for name, policy in policies.items():
        [documentation] = policy["documentation"]
        assert f"section *{name}*" in documentation["content"]
        [link] = documentation["links"]
        assert link["url"].endswith(f"docs/operate.md#{name}")
        assert len(policy["notification_channels"]) == 2
        assert policy["severity"] in ("CRITICAL", "WARNING")


def test_nothing_that_costs_by_itself_is_on_unasked(plan: Plan) -> None:
    """No uptime check, and no instance that is kept warm but the listener's."""
    assert plan.all("google_monitoring_uptime_check_config") == {}
    assert {function["service_config"][0]["min_instance_count"] for function in plan.functions.values()} == {
        0
    }
