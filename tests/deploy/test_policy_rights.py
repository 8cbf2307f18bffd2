"""Who may do what: least rights, nobody from outside, secrets for their readers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.domain.topics import CHAIN_LOGS, CHAIN_LOGS_DEAD
from tests.deploy import rights
from tests.deploy.offline.provider import PROJECT_NUMBER

if TYPE_CHECKING:
    from tests.deploy.plan import Plan

_TOO_MUCH = ("roles/owner", "roles/editor", "roles/viewer", "roles/datastore.owner", "roles/pubsub.admin")
_PROJECT_WIDE = {
    "roles/monitoring.metricWriter": "figures have no narrower home than the project",
    "roles/eventarc.eventReceiver": "Eventarc knows no narrower one",
    "roles/logging.logWriter": "builds write logs, which belong to the project",
}


def test_no_right_is_wider_than_it_must_be(plan: Plan) -> None:
    """No basic role, no admin, and on the whole project only roles that can be given nowhere else."""
    for grant in plan.grants:
        assert grant.role not in _TOO_MUCH, grant
        assert "admin" not in grant.role.lower(), grant
        if grant.on == "project":
            assert grant.role in _PROJECT_WIDE, grant


def test_the_builder_reads_archives_where_builds_find_them(plan: Plan) -> None:
    """Cloud Functions builds from a bucket of its own, which there is not before a region's first function.

    A builder that is not the default one is refused there without a right of its own: "Access to bucket
    gcf-v2-sources-… denied. You must grant Storage Object Viewer permission to …".
    """
    project, region = (plan.shown["variables"][name]["value"] for name in ("project_id", "region"))
    builder = [grant for grant in plan.grants if grant.member.startswith("serviceAccount:plumbline-builder@")]
    assert {(grant.role, grant.on) for grant in builder if "storage" in grant.role} == {
        ("roles/storage.objectUser", f"bucket {project}-plumbline-sources"),
        ("roles/storage.legacyBucketReader", f"bucket {project}-plumbline-sources"),
        ("roles/storage.objectViewer", f"bucket gcf-v2-sources-{PROJECT_NUMBER}-{region}"),
    }


def test_nobody_is_everybody(plan: Plan) -> None:
    """Neither allUsers nor allAuthenticatedUsers, nor a default account of the project, is given anything."""
    for grant in plan.grants:
        assert not grant.member.startswith("all"), grant
        assert "-compute@developer" not in grant.member, grant
        assert "@appspot" not in grant.member, grant


def test_functions_reach_their_own_database_alone(plan: Plan) -> None:
    """Each has one role there, on the condition that it is that database."""
    database = plan.shown["variables"]["firestore"]["value"].get("database", "(default)")
    for name, member in plan.accounts.items():
        roles = [
            (grant.role, grant.on)
            for grant in plan.grants
            if grant.member == member and "datastore" in grant.role
        ]
        assert roles in (
            [("roles/datastore.user", f"database {database}")],
            [("roles/datastore.viewer", f"database {database}")],
        ), name


def test_a_secret_is_granted_to_its_readers_only(plan: Plan) -> None:
    """Who finds a secret in its environment may read it, and nobody else may."""
    granted = {(grant.member, grant.on) for grant in plan.grants if "secretmanager" in grant.role}
    read = {
        (member, f"secret {secret}")
        for name, member in plan.accounts.items()
        for secret, _ in plan.secrets(name).values()
    }
    assert granted == read


def test_only_those_who_publish_may(plan: Plan) -> None:
    """The listener publishes logs; handler, projection and Pub/Sub itself make dead letters."""
    publishers = {
        (grant.on, grant.member.partition(":")[2].partition("@")[0])
        for grant in plan.grants
        if grant.role == "roles/pubsub.publisher"
    }
    assert publishers == {
        (f"topic {CHAIN_LOGS}", "plumbline-listener"),
        (f"topic {CHAIN_LOGS_DEAD}", "plumbline-handler"),
        (f"topic {CHAIN_LOGS_DEAD}", "plumbline-projector"),
        (f"topic {CHAIN_LOGS_DEAD}", "service-123456789012"),
    }


def test_a_function_is_called_by_its_trigger_alone(plan: Plan) -> None:
    """Each has one caller, of its own kind; a caller's account may do nothing else in the project."""
    callers = {
        (grant.on.removeprefix("service plumbline-"), grant.member.partition(":")[2].partition("@")[0])
        for grant in plan.grants
        if grant.role == "roles/run.invoker"
    }
    assert callers >= {
        ("handle-chain-event", "plumbline-push"),
        ("project-events", "plumbline-trigger"),
        ("reconcile", "plumbline-scheduler"),
    }
    by_trigger = [service for service, caller in callers if caller.startswith("plumbline-")]
    assert len(by_trigger) == len(set(by_trigger))
    for account in ("push", "scheduler"):
        roles = {
            grant.role
            for grant in plan.grants
            if grant.member.startswith(f"serviceAccount:plumbline-{account}@")
        }
        assert roles == {"roles/run.invoker"}


def test_the_page_says_what_the_plan_gives(plans: dict[str, Plan]) -> None:
    """docs/security.md has the table of this plan: `python -m tests.deploy.rights` writes it."""
    assert rights.written() == rights.table(plans[rights.EXAMPLE])
