"""The command line. Exit codes: 0 done, 1 found something wrong, 2 misuse or bad configuration."""

from __future__ import annotations

import os
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from shared import logging as log_lines
from shared.app.check_contracts import check_contracts
from shared.app.fee_export import fee_csv
from shared.app.quote_request import chosen_chain
from shared.app.reconcile_report import unrepaired
from shared.bootstrap import Plumbline
from shared.config import Settings
from shared.domain.schedules import SCHEDULES
from shared.errors import ConfigError, InvalidInput, NotFound, PlumblineError
from shared.local import schedules, show, show_deploy
from shared.local.backtest_plot import write_svg
from shared.local.backtest_show import run_backtest, show_backtest
from shared.local.bundle import write_bundle
from shared.local.cloud import ENVIRONMENT_FILE, LocalOptions, read_environment, run_local
from shared.local.quote_show import show_quote
from shared.local.report_show import show_report

if TYPE_CHECKING:
    from collections.abc import Callable

HOME: Final = Path("var")
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
letters_app = typer.Typer(no_args_is_help=True, help="Messages that nobody could handle.")
fees_app = typer.Typer(no_args_is_help=True, help="What the listener recorded of fees.")
contracts_app = typer.Typer(no_args_is_help=True, help="The registry of contracts.")
app.add_typer(letters_app, name="deadletters")
app.add_typer(contracts_app, name="contracts")
app.add_typer(fees_app, name="fees")
app.add_typer(schedules.app, name="schedules")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Home = Annotated[Path, typer.Option(help="Where `plumbline local` keeps its files and settings.")]


@app.callback()
def settings(
    context: typer.Context,
    store: Annotated[str | None, typer.Option(help="sqlite:///FILE or firestore://PROJECT/DB")] = None,
    contracts: Annotated[Path | None, typer.Option(help="Registry file or directory.")] = None,
    rpc_url: Annotated[str | None, typer.Option(help="Node of the registry's chain.")] = None,
    home: Home = HOME,
) -> None:
    """Keep Firestore true to the chain.

    Settings come from PLUMBLINE_* variables; without PLUMBLINE_STORE, from the last `plumbline local`.
    """
    environ = dict(os.environ)
    file = home / ENVIRONMENT_FILE
    if "PLUMBLINE_STORE" not in environ and file.exists():
        environ = {**read_environment(file), **environ}
    if store:
        environ["PLUMBLINE_STORE"] = store
    if contracts:
        environ["PLUMBLINE_CONTRACTS"] = str(contracts)
    if rpc_url:
        chains = Plumbline(Settings.from_env(environ)).registry.chains
        if len(chains) != 1:
            raise ConfigError(f"--rpc-url fits one chain, the registry has {chains}: set PLUMBLINE_RPC_<id>")
        environ[f"PLUMBLINE_RPC_{chains[0]}"] = rpc_url
    context.obj = environ


def _parts(context: typer.Context) -> Plumbline:
    return Plumbline(Settings.from_env(context.obj))


def _stored(context: typer.Context) -> Plumbline:
    """Return what reads a store that must be there: a mistyped name would make one in which all is well."""
    parts = _parts(context)
    store = parts.settings.store
    if store.kind == "sqlite" and not Path(store.path).exists():
        raise ConfigError(f"PLUMBLINE_STORE: there is no file {store.path}; plumbline local makes one")
    return parts


@app.command()
def local(
    rpc_url: Annotated[
        str | None, typer.Option(help="Nodes to follow, comma-separated; without it an anvil is started.")
    ] = None,
    ws_url: Annotated[
        str | None, typer.Option(help="A websocket that announces heads; without it the listener polls.")
    ] = None,
    contract: Annotated[Path | None, typer.Option(help="Registry file of the contract to follow.")] = None,
    start_block: Annotated[int | None, typer.Option(min=0, help="First block to read.")] = None,
    store: Annotated[str | None, typer.Option(help="sqlite:///FILE or firestore://PROJECT/DB")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the functions; 0: a free one.")] = 0,
    reconcile_every: Annotated[
        float, typer.Option(min=0, help="Seconds between two runs; 0: never.")
    ] = SCHEDULES["reconcile"].every_s,
    block_time: Annotated[float | None, typer.Option(help="Block time of the own anvil, seconds.")] = None,
    home: Home = HOME,
) -> None:
    """Run the whole cloud on this machine; prints one line of JSON when it is ready."""
    options = LocalOptions(
        home=home, rpc_url=rpc_url, ws_url=ws_url, contract=contract, start_block=start_block, store=store,
        port=port, reconcile_every_s=reconcile_every, block_time_s=block_time,
    )  # fmt: skip
    raise typer.Exit(run_local(options))


@app.command()
def events(
    context: typer.Context, transfer: Annotated[str | None, typer.Argument()] = None, *, json: Json = False
) -> None:
    """Show what is stored: block, hash, log index, arguments, finality, superseded or not."""
    show.events(_stored(context).observe.events(transfer), as_json=json)


@app.command()
def state(context: typer.Context, transfer: str, *, json: Json = False) -> None:
    """Show a transfer's state and what proves it."""
    show.state(_stored(context).observe.state(transfer), as_json=json)


@app.command()
def timeline(context: typer.Context, transfer: str, *, json: Json = False) -> None:
    """Show what happened to a transfer, in order of time."""
    show.timeline(_stored(context).observe.timeline(transfer), as_json=json)


@app.command()
def reconcile(
    context: typer.Context,
    transfer: Annotated[str | None, typer.Argument()] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell, and write nothing.")] = False,
    block: Annotated[str | None, typer.Option(help="latest, safe, finalized or a height.")] = None,
    json: Json = False,
) -> None:
    """Drop the plumb line now; exit 1 if something is left that could not be put right."""
    use_case = _stored(context).reconcile
    report = (
        use_case.run(block=block, dry_run=dry_run, manual=True)
        if transfer is None
        else use_case.run_one(transfer, block=block, dry_run=dry_run)
    )
    show.report(report, as_json=json)
    raise typer.Exit(1 if unrepaired(report) else 0)


@app.command()
def rebuild(
    context: typer.Context,
    transfer: Annotated[str | None, typer.Argument()] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only compare; exit 1 if one differs.")] = False,
    json: Json = False,
) -> None:
    """Compute states from their events."""
    parts = _stored(context)
    use_case = parts.project_events
    if transfer is None:
        outcome = use_case.rebuild_all(check_only=check)
        checked, different = outcome.checked, outcome.different
    else:
        rollover_id = parts.observe.known(transfer)
        checked, different = 1, [rollover_id] if use_case.rebuild(rollover_id, check_only=check) else []
    show.rebuilt(checked, different, check=check, as_json=json)
    raise typer.Exit(1 if check and different else 0)


@app.command()
def status(context: typer.Context, *, json: Json = False) -> None:
    """Show how far the chains are read and whether all is well; exit 1 if not."""
    found = _stored(context).observe.status()
    show.status(found, as_json=json)
    raise typer.Exit(0 if found["healthy"] else 1)


@letters_app.command("list")
def list_letters(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1)] = 100, *, json: Json = False
) -> None:
    """List dead letters with their causes; they stay where they are."""
    show.letters(_stored(context).dead_letters.list(limit), as_json=json)


@letters_app.command("replay")
def replay_letters(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(help="Which; all if none is named.")] = None,
    *,
    json: Json = False,
) -> None:
    """Send dead letters on their way again; exit 1 if one named was not found, or failed again at once."""
    done = _stored(context).dead_letters.replay(ids or None)
    show.replayed(done, as_json=json)
    raise typer.Exit(1 if done.missing or done.failed else 0)


@fees_app.command("export")
def export_fees(
    context: typer.Context,
    chain: Annotated[int | None, typer.Option(help="Chain id, where several are configured.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; without it to standard output.")] = None,
) -> None:
    """Write the recorded blocks as the CSV of headers that `plumbline backtest` replays."""
    parts = _parts(context)
    chain_id = chosen_chain({} if chain is None else {"chain": str(chain)}, parts.registry)
    lines = "".join(f"{line}\n" for line in fee_csv(parts.documents, chain_id))
    if out is None:
        typer.echo(lines, nl=False)
        return
    try:
        out.write_text(lines, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror}") from error


@contracts_app.command("check")
def check(context: typer.Context, *, json: Json = False) -> None:
    """Compare the registry with the nodes; exit 1 if something is wrong."""
    parts = _parts(context)
    findings = check_contracts(parts.registry, parts.chains)
    show.findings(parts.registry, findings, as_json=json)
    raise typer.Exit(1 if any(finding.severity != "info" for finding in findings) else 0)


@app.command()
def quote(
    context: typer.Context,
    action: Annotated[str | None, typer.Argument(help="What is to be done, such as agree_send.")] = None,
    transfer: Annotated[str | None, typer.Option(help="Id or hash: estimates the gas of the call.")] = None,
    chain: Annotated[str | None, typer.Option(help="Chain id, where several are configured.")] = None,
    contract: Annotated[str | None, typer.Option(help="Address, where a chain has several.")] = None,
    within: Annotated[str | None, typer.Option(help="Deadline in blocks.")] = None,
    confidence: Annotated[str | None, typer.Option(help="Chance of inclusion wanted by then.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Who will send.")] = None,
    data: Annotated[str | None, typer.Option(help="The very calldata, as 0x hex.")] = None,
    *,
    report: Annotated[bool, typer.Option("--report", help="Report on our own transactions instead.")] = False,
    json: Json = False,
) -> None:
    """Say what to pay, how much gas to allow, and how sure that is; exit 1 if the call would revert."""
    given = {
        "action": action, "transfer": transfer, "chain": chain, "contract": contract, "within_blocks": within,
        "confidence": confidence, "from": sender, "data": data,
    }  # fmt: skip
    wanted = {name: text for name, text in given.items() if text is not None}
    if report:
        told = _parts(context).gas_report.report(wanted)
        if json:
            typer.echo(dumps(told))
        else:
            show_report(told)
        return
    found = _parts(context).quote_gas.quote(wanted)
    if json:
        typer.echo(dumps(found))
    else:
        show_quote(found)
    raise typer.Exit(1 if found["revert"] is not None else 0)


@app.command()
def backtest(
    file: Annotated[Path, typer.Argument(help="CSV of headers, or of transactions that waited.")],
    strategy: Annotated[
        list[str] | None, typer.Option(help="Which, repeatable; all if none is named.")
    ] = None,
    within: Annotated[int, typer.Option(help="Deadline in blocks.")] = 5,
    plot: Annotated[Path | None, typer.Option(help="Write a picture to this SVG file.")] = None,
    *,
    json: Json = False,
) -> None:
    """Replay recorded fees through ways to price: what each costs, and how soon it gets in."""
    report = run_backtest(file, strategy or [], within)
    if plot is not None:
        write_svg(report, plot)
    if json:
        typer.echo(dumps(report.document()))
    else:
        show_backtest(report)


@app.command()
def bundle(
    registry: Annotated[Path, typer.Argument(help="Registry file or directory that the functions follow.")],
    out: Annotated[Path, typer.Option(help="Where the archives go.")] = Path("build/bundle"),
    *,
    json: Json = False,
) -> None:
    """Make what Terraform deploys: an archive per function, and the manifest."""
    show_deploy.bundle(write_bundle(registry, out), out, as_json=json)


_EXITS: Final[dict[type[PlumblineError], int]] = {ConfigError: 2, InvalidInput: 2, NotFound: 1}


def main() -> NoReturn:
    """Run the command line; errors are one line on stderr."""
    log_lines.set_up()
    command: Callable[..., Any] = app
    try:
        command()
    except PlumblineError as error:
        typer.echo(f"plumbline: {log_lines.redact(str(error))}", err=True)
        sys.exit(next((code for kind, code in _EXITS.items() if isinstance(error, kind)), 1))
    sys.exit(0)
