"""``plumbline schedules``: what the clock calls in the cloud, and stopping it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shared.config import Settings
from shared.errors import ConfigError
from shared.local import show_deploy

if TYPE_CHECKING:
    from shared.adapters.cloud_scheduler import CloudScheduler

app = typer.Typer(no_args_is_help=True, help="What the clock calls in the cloud.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Project = Annotated[
    str | None, typer.Option(help="Google project; by default the store's, else GOOGLE_CLOUD_PROJECT.")
]
Region = Annotated[str | None, typer.Option(help="Region of the jobs; by default GOOGLE_CLOUD_REGION.")]
Function = Annotated[str, typer.Argument(help="The function that is called, such as reconcile.")]
_PROJECT: Final = "GOOGLE_CLOUD_PROJECT"
_REGION: Final = "GOOGLE_CLOUD_REGION"


@app.command("list")
def list_jobs(
    context: typer.Context, project: Project = None, region: Region = None, *, json: Json = False
) -> None:
    """Show each job and its last call; exit 1 if one is absent, paused, failing or not at its times."""
    jobs = _scheduler(context, project, region).list()
    show_deploy.jobs(jobs, as_json=json)
    raise typer.Exit(1 if any(job.wrong for job in jobs) else 0)


@app.command()
def pause(
    context: typer.Context,
    function: Function,
    project: Project = None,
    region: Region = None,
    *,
    json: Json = False,
) -> None:
    """Stop calling a function, until `resume`."""
    show_deploy.jobs([_scheduler(context, project, region).pause(function)], as_json=json)


@app.command()
def resume(
    context: typer.Context,
    function: Function,
    project: Project = None,
    region: Region = None,
    *,
    json: Json = False,
) -> None:
    """Call a function again at its times."""
    show_deploy.jobs([_scheduler(context, project, region).resume(function)], as_json=json)


@app.command()
def run(
    context: typer.Context,
    function: Function,
    project: Project = None,
    region: Region = None,
    *,
    json: Json = False,
) -> None:
    """Call a function now; its report is where it always is (`plumbline status`)."""
    show_deploy.jobs([_scheduler(context, project, region).run(function)], as_json=json)


def _scheduler(context: typer.Context, project: str | None, region: str | None) -> CloudScheduler:
    # Imported here: no other command needs Google's client.
    from shared.adapters.cloud_scheduler import CloudScheduler  # noqa: PLC0415

    store = Settings.from_env(context.obj).store.project if "PLUMBLINE_STORE" in context.obj else ""
    where = project or store or os.environ.get(_PROJECT)
    if not where:
        raise ConfigError(f"which project? Say --project, or set {_PROJECT}")
    region = region or os.environ.get(_REGION)
    if not region:
        raise ConfigError(f"which region? Say --region, or set {_REGION}")
    return CloudScheduler(where, region)
