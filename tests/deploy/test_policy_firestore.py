"""The database: no slip of the hand loses it, clients are shut out, and a foreign one is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.app.reconcile_report import REPORTS
from shared.ports import DELETE_AFTER
from tests.deploy.offline.wheel_schema import TERRAFORM

if TYPE_CHECKING:
    from tests.deploy.plan import Plan


def test_our_own_database_can_be_brought_back(plans: dict[str, Plan]) -> None:
    """Deletion is refused, any minute of the last week can be read, and backups are kept for 14 weeks."""
    [database] = plans["sepolia"].all("google_firestore_database").values()
    assert database["delete_protection_state"] == "DELETE_PROTECTION_ENABLED"
    assert database["deletion_policy"] == "ABANDON", "a restored one takes its place without its end"
    assert database["point_in_time_recovery_enablement"] == "POINT_IN_TIME_RECOVERY_ENABLED"
    assert (database["type"], database["location_id"]) == ("FIRESTORE_NATIVE", "us-central1")
    kept = {
        bool(schedule["weekly_recurrence"]): int(schedule["retention"].rstrip("s")) // 86_400
        for schedule in plans["sepolia"].every("google_firestore_backup_schedule")
    }
    assert kept == {False: 7, True: 98}


def test_clients_are_shut_out_of_our_own_database(plans: dict[str, Plan]) -> None:
    """The rules that are deployed are those that the emulator was tried with."""
    plan = plans["sepolia"]
    [ruleset] = plan.all("google_firebaserules_ruleset").values()
    [file] = ruleset["source"][0]["files"]
    assert file["content"] == (TERRAFORM / "firestore.rules").read_text("utf-8")
    [release] = plan.all("google_firebaserules_release").values()
    assert release["name"] == "cloud.firestore"


def test_the_applications_database_is_left_alone(plans: dict[str, Plan]) -> None:
    """With create = false neither its settings nor its rules nor its backups are Plumbline's."""
    plan = plans["arbitrum"]
    for kind in (
        "google_firestore_database",
        "google_firestore_backup_schedule",
        "google_firebaserules_ruleset",
        "google_firebaserules_release",
    ):
        assert plan.all(kind) == {}
    assert {index["database"] for index in plan.all("google_firestore_index").values()} == {"application"}


def test_what_expires_is_what_the_code_gives_a_time_to_live(plan: Plan) -> None:
    """Firestore deletes by the field that the code writes, in the collections where it writes it."""
    expiring = {
        (field["collection"], field["field"])
        for field in plan.all("google_firestore_field").values()
        if field["ttl_config"]
    }
    assert expiring == {(REPORTS, DELETE_AFTER)}
