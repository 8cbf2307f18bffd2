"""What must be true of every function that is deployed, read from the plans of both examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.config import Settings
from shared.domain.schedules import SCHEDULES
from tests.deploy.offline.wheel_schema import ROOT

if TYPE_CHECKING:
    from tests.deploy.examples import Example
    from tests.deploy.plan import Plan

FUNCTIONS = {main.parent.name for main in ROOT.glob("functions/*/main.py")}


def test_every_function_is_deployed_and_nothing_else(plan: Plan) -> None:
    """The folders in functions/ are exactly what runs in the cloud."""
    assert {*plan.functions, *plan.pools} == FUNCTIONS


def test_what_answers_requests_is_a_function_and_what_runs_always_is_none(
    plan: Plan, examples: dict[str, Example]
) -> None:
    """A decorated entry point is served by functions-framework; a program of its own is a worker pool."""
    signatures = {name: told["signature"] for name, told in examples["sepolia"].manifest["functions"].items()}
    assert {name for name, kind in signatures.items() if kind == "process"} == set(plan.pools)
    for name, function in plan.functions.items():
        build = function["build_config"][0]
        assert (build["entry_point"], build["runtime"]) == (name, "python311")
        # Pushed messages come by HTTP; the decorator makes CloudEvents of them (test_archives.py).
        assert signatures[name] == "cloudevent" or not function["event_trigger"]


def test_each_has_an_account_of_its_own(plan: Plan) -> None:
    """No two functions share an account, and none has the project's default one."""
    emails = [function["service_config"][0]["service_account_email"] for function in plan.functions.values()]
    emails += [pool["template"][0]["service_account"] for pool in plan.pools.values()]
    assert len(set(emails)) == len(FUNCTIONS)
    assert all(email.startswith("plumbline-") for email in emails)
    builders = {function["build_config"][0]["service_account"] for function in plan.functions.values()}
    assert len(builders) == 1
    assert "plumbline-builder@" in builders.pop()


def test_nobody_comes_in_from_the_internet_unless_a_variable_says_so(plan: Plan) -> None:
    """Functions take internal requests alone, and worker pools have no address (accepted.tftest.hcl)."""
    assert {function["service_config"][0]["ingress_settings"] for function in plan.functions.values()} == {
        "ALLOW_INTERNAL_ONLY"
    }


def test_threads_match_the_concurrency(plan: Plan) -> None:
    """Gunicorn has a thread for each request that Cloud Run may send an instance."""
    for name, function in plan.functions.items():
        service = function["service_config"][0]
        assert plan.environment(name)["THREADS"] == str(service["max_instance_request_concurrency"])
        assert service["available_cpu"] == "1", "below one processor, concurrency is refused"


def test_instances_are_limited(plan: Plan) -> None:
    """A storm of requests costs a known number of instances at most."""
    for function in plan.functions.values():
        assert 1 <= function["service_config"][0]["max_instance_count"] <= 100


def test_event_functions_are_retried(plan: Plan) -> None:
    """A Firestore event that fails comes again: by default it would be lost."""
    triggers = [
        function["event_trigger"][0] for function in plan.functions.values() if function["event_trigger"]
    ]
    assert len(triggers) == 1
    assert {trigger["retry_policy"] for trigger in triggers} == {"RETRY_POLICY_RETRY"}


def test_the_firestore_trigger_is_on_created_events_of_our_database(plans: dict[str, Plan]) -> None:
    """It lies where the database does, a multi-region included: Eventarc finds the database nowhere else."""
    wanted = {"sepolia": ("us-central1", "(default)"), "arbitrum": ("eur3", "application")}
    for name, (location, database) in wanted.items():
        [trigger] = plans[name].functions["project_events"]["event_trigger"]
        assert trigger["event_type"] == "google.cloud.firestore.document.v1.created"
        assert trigger["trigger_region"] == location
        filters = {each["attribute"]: (each["value"], each["operator"]) for each in trigger["event_filters"]}
        assert filters == {
            "database": (database, None),
            "document": ("events/{eventId}", "match-path-pattern"),
        }


def test_schedules_are_the_codes(plan: Plan) -> None:
    """Each function that the clock calls has one job at the code's times, with OIDC and retries."""
    jobs = plan.all("google_cloud_scheduler_job")
    assert {name: job["schedule"] for name, job in jobs.items()} == {
        name: schedule.cron for name, schedule in SCHEDULES.items()
    }
    for name, job in jobs.items():
        [target], service = job["http_target"], plan.functions[name]["service_config"][0]
        assert (target["http_method"], target["uri"]) == ("POST", service["uri"])
        assert target["oidc_token"][0]["audience"] == service["uri"]
        assert target["oidc_token"][0]["service_account_email"].startswith("plumbline-scheduler@")
        assert int(job["attempt_deadline"].rstrip("s")) > service["timeout_seconds"]
        assert job["retry_config"][0]["retry_count"] >= 1
        assert (job["time_zone"], job["paused"]) == ("Etc/UTC", False)


def test_a_run_ends_itself_before_it_is_ended(plan: Plan) -> None:
    """The reconciler's budget leaves half of its time-out for what it has begun."""
    numbers = Settings.from_env({**plan.environment("reconcile"), **_urls(plan, "reconcile")}).numbers
    assert numbers["budget_s"] * 2 <= plan.functions["reconcile"]["service_config"][0]["timeout_seconds"]


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_the_environment_is_one_that_the_code_starts_with(plan: Plan, function: str) -> None:
    """Each setting that is required is set, and each that is set is known."""
    environ = {name: value for name, value in plan.environment(function).items() if name != "THREADS"}
    settings = Settings.from_env({**environ, **_urls(plan, function)})
    assert (settings.store.kind, settings.bus.kind, settings.contracts) == (
        "firestore",
        "pubsub",
        "contracts",
    )
    assert settings.store.project == settings.bus.project == plan.shown["variables"]["project_id"]["value"]
    assert settings.store.database == plan.shown["variables"]["firestore"]["value"].get(
        "database", "(default)"
    )


def test_what_is_told_of_is_one_limit_everywhere(plans: dict[str, Plan]) -> None:
    """Plumbline's own alerts and `status` have Cloud Monitoring's limits, unless settings says other."""
    for name, lag_s in (("sepolia", 60), ("arbitrum", 30)):
        plan = plans[name]
        for function in FUNCTIONS:
            numbers = Settings.from_env({**plan.environment(function), **_urls(plan, function)}).numbers
            wanted = {"lag_s": lag_s, "alert_mismatches": 5, "reconciled_within_s": 900}
            assert {key: numbers[key] for key in wanted} == wanted


def test_names_are_no_longer_than_google_takes(plan: Plan) -> None:
    """Of accounts 6 to 30 characters, of functions and pools 63, of buckets 63: with the longest project."""
    for kind, attribute, least, most in (
        ("google_service_account", "account_id", 6, 30),
        ("google_cloudfunctions2_function", "name", 1, 63),
        ("google_cloud_run_v2_worker_pool", "name", 1, 49),
        ("google_cloud_scheduler_job", "name", 1, 500),
        ("google_pubsub_topic", "name", 3, 255),
        ("google_pubsub_subscription", "name", 3, 255),
    ):
        names = [each[attribute] for each in plan.every(kind)]
        assert names
        assert all(least <= len(name) <= most for name in names), names
    [bucket] = plan.every("google_storage_bucket")
    assert len(bucket["name"]) - len(bucket["project"]) + 30 <= 63


def test_chains_reach_those_who_ask_them(plan: Plan) -> None:
    """Who reads the chain has the nodes of each chain that a contract is on; nobody else has any."""
    chains = {str(contract["chain_id"]) for contract in plan.shown["variables"]["contracts"]["value"]}
    for function in FUNCTIONS:
        found = {name.removeprefix("PLUMBLINE_RPC_") for name in plan.secrets(function) if "_RPC_" in name}
        asks = "chains" in (ROOT / "functions" / function / "main.py").read_text("utf-8") or function in (
            "reconcile",
            "listen_chain",
            "quote_gas",
        )
        assert found == (chains if asks else set())


def test_secrets_are_read_by_version(plan: Plan) -> None:
    """A version is a number, never the latest: a new one is a change that a plan shows."""
    versions = [version for function in FUNCTIONS for _, version in plan.secrets(function).values()]
    assert versions
    assert all(version.isdigit() for version in versions)


def test_what_runs_always_is_looked_at_and_is_one(plan: Plan) -> None:
    """A worker pool has a processor, probes at the port that the code serves health on, and one instance."""
    for name, pool in plan.pools.items():
        [container] = pool["template"][0]["containers"]
        port = int(plan.environment(name)["PLUMBLINE_HEALTH_PORT"])
        for probe in (container["startup_probe"][0], container["liveness_probe"][0]):
            assert probe["http_get"][0] == {"path": "/healthz", "port": port, "http_headers": []}
        [scaling] = pool["scaling"]
        assert (scaling["scaling_mode"], scaling["manual_instance_count"]) == ("MANUAL", 1)


def test_archives_go_up_under_their_content(plan: Plan, examples: dict[str, Example]) -> None:
    """Other sources are another object and another image; the same are the same."""
    example = examples[str(plan.shown["variables"]["environment"]["value"]).replace("production", "arbitrum")]
    for name, stored in plan.all("google_storage_bucket_object").items():
        assert stored["name"] == f"{name}-{example.manifest['functions'][name]['sha256']}.zip"
    for name, pool in plan.pools.items():
        image = pool["template"][0]["containers"][0]["image"]
        assert image.endswith(":" + example.manifest["functions"][name]["sha256"])


def test_labels_say_what_a_thing_belongs_to(plan: Plan) -> None:
    """Everything that takes labels says which application and environment it is."""
    labels = plan.shown["configuration"]["provider_config"]["google"]["expressions"]["default_labels"]
    assert labels["references"] == ["local.labels"]


def _urls(plan: Plan, function: str) -> dict[str, str]:
    """Return a URL for each secret, as Secret Manager would give it."""
    return {
        name: "wss://node.example" if "_WS_" in name else "https://node.example"
        for name in plan.secrets(function)
    }
