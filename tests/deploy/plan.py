"""A plan of Terraform, as policies ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Grant:
    """One role for one member on one thing."""

    member: str
    role: str
    on: str


class Plan:
    """What ``terraform show -json`` says of a plan."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown = shown
        self._resources = shown["planned_values"]["root_module"]["resources"]

    def every(self, kind: str) -> list[dict[str, Any]]:
        """Return the values of every resource of a type."""
        return [each["values"] for each in self._resources if each["type"] == kind]

    def all(self, kind: str) -> dict[Any, dict[str, Any]]:
        """Return the values of every resource of a type, by its key (None where there is no for_each)."""
        found = {each.get("index"): each["values"] for each in self._resources if each["type"] == kind}
        assert len(found) == len(self.every(kind)), f"two of {kind} have one key: ask for them by name"
        return found

    def named(self, kind: str, name: str) -> dict[Any, dict[str, Any]]:
        """Return those of a type that are declared under one name."""
        return {
            each.get("index"): each["values"]
            for each in self._resources
            if (each["type"], each["name"]) == (kind, name)
        }

    @property
    def functions(self) -> dict[str, dict[str, Any]]:
        """The functions that answer requests."""
        return self.all("google_cloudfunctions2_function")

    @property
    def pools(self) -> dict[str, dict[str, Any]]:
        """The worker pools."""
        return self.all("google_cloud_run_v2_worker_pool")

    @property
    def accounts(self) -> dict[str, str]:
        """The member that each function acts as."""
        return {
            name: account["member"]
            for name, account in self.named("google_service_account", "function").items()
        }

    def environment(self, function: str) -> dict[str, str]:
        """Return a function's plain environment variables."""
        if function in self.functions:
            found: dict[str, str] = self.functions[function]["service_config"][0]["environment_variables"]
            return found
        return {each["name"]: each["value"] for each in self._env(function) if not each["value_source"]}

    def secrets(self, function: str) -> dict[str, tuple[str, str]]:
        """Return a function's secret variables, each as (secret's id, version)."""
        if function in self.functions:
            told = self.functions[function]["service_config"][0]["secret_environment_variables"]
            return {each["key"]: (each["secret"], each["version"]) for each in told}
        references = {
            each["name"]: each["value_source"][0]["secret_key_ref"][0]
            for each in self._env(function)
            if each["value_source"]
        }
        return {
            name: (reference["secret"].rpartition("/")[2], reference["version"])
            for name, reference in references.items()
        }

    @property
    def grants(self) -> list[Grant]:
        """Every right that the plan gives."""
        found = []
        for each in self._resources:
            if "_iam_" in each["type"]:
                values = each["values"]
                assert each["type"].endswith("_iam_member"), (
                    f"{each['address']} takes rights away from others"
                )
                found.append(Grant(values["member"], values["role"], _thing(each["type"], values)))
        return found

    def _env(self, function: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.pools[function]["template"][0]["containers"][0]["env"]
        return found


_THINGS = {
    "google_project_iam_member": ("project", "project"),
    "google_cloud_run_v2_service_iam_member": ("service", "name"),
    "google_pubsub_topic_iam_member": ("topic", "topic"),
    "google_pubsub_subscription_iam_member": ("subscription", "subscription"),
    "google_secret_manager_secret_iam_member": ("secret", "secret_id"),
    "google_service_account_iam_member": ("account", "service_account_id"),
    "google_storage_bucket_iam_member": ("bucket", "bucket"),
    "google_artifact_registry_repository_iam_member": ("repository", "repository"),
}


def _thing(kind: str, values: dict[str, Any]) -> str:
    word, attribute = _THINGS[kind]
    if kind == "google_project_iam_member":
        conditions = values.get("condition") or []
        # The first name in the condition: projects/P/databases/D, or projects/_/buckets/B.
        names = [condition["expression"].split('"')[1].split("/") for condition in conditions]
        return f"{names[0][2].removesuffix('s')} {names[0][3]}" if names else "project"
    return f"{word} {values[attribute].rpartition('/')[2]}"
