"""``plumbline local``: the whole cloud on this machine, until it is told to stop."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from shared.app.doorbell import set_by_handler
from shared.config_operators import PROMETHEUS
from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.schedules import SCHEDULES
from shared.errors import ChainUnavailable, ConfigError
from shared.local.children import Children
from shared.logging import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shared.domain.contract import ContractSpec
    from shared.ports import Chain

ENVIRONMENT_FILE: Final = "plumbline.env"
_READY_WITHIN_S: Final = 30.0
_NODE_WITHIN_S: Final = 10.0
_TEND_S: Final = 0.2
_CHAIN_ID: Final = 31337


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """What ``plumbline local`` was asked for; ``home`` is where its files are kept."""

    home: Path
    rpc_url: str | None = None
    ws_url: str | None = None
    contract: Path | None = None
    start_block: int | None = None
    store: str | None = None
    port: int = 0
    reconcile_every_s: float = SCHEDULES["reconcile"].every_s
    block_time_s: float | None = None


def run_local(options: LocalOptions) -> int:
    """Start everything, print one line of JSON when it is ready, and end cleanly at SIGTERM or SIGINT.

    Raises ConfigError for options or a contract file that cannot work.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: set_by_handler(stop))
    home = _home(options)
    with ExitStack() as opened:
        environ = _environ(options, home, opened, stop)
        if stop.is_set():
            return 0
        write_environment(options.home / ENVIRONMENT_FILE, environ)
        port = _free_port(options.port)
        inherited = {name: value for name, value in os.environ.items() if name != "PORT"}
        children = Children({**inherited, **environ, "NO_PROXY": "127.0.0.1,localhost"})
        opened.callback(children.stop)
        children.add("functions", "shared.local.serve", "--port", str(port))
        children.add("listener", "shared.local.listen")
        every = str(options.reconcile_every_s)
        children.add("delivery", "shared.local.deliver", "--port", str(port), "--reconcile-every", every)
        _wait_until_served(port, stop)
        if not stop.is_set():
            print(orjson.dumps(_ready(environ, port, children)).decode(), flush=True)  # noqa: T201 - its answer
        while not stop.wait(_TEND_S):
            for death in children.tend():
                print(f"plumbline local: {death}; starting it again", file=sys.stderr)  # noqa: T201
    return 0


def write_environment(path: Path, environ: Mapping[str, str]) -> None:
    """Write the settings where the command line finds them; for the owner's eyes, for URLs hold keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)  # it may be there already, from a hand that did not know
    path.write_text("".join(f"{name}={value}\n" for name, value in environ.items()), "utf-8")


def read_environment(path: Path) -> dict[str, str]:
    """Return settings that ``plumbline local`` wrote."""
    pairs = (line.partition("=") for line in path.read_text("utf-8").splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def _home(options: LocalOptions) -> Path:
    """Return where this run's files go: a chain of its own needs a store of its own."""
    if options.rpc_url or options.store:
        home = options.home
    else:
        home = options.home / f"run-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--home {options.home} cannot be written: {error.strerror}") from error
    return home.resolve()


def _environ(options: LocalOptions, home: Path, opened: ExitStack, stop: threading.Event) -> dict[str, str]:
    ws_url = options.ws_url
    if options.rpc_url is None:
        # Only here: a chain of one's own needs encoders that take half a second to import.
        from shared.local.anvil import Anvil  # noqa: PLC0415
        from shared.local.escrow.client import EscrowClient  # noqa: PLC0415

        anvil = opened.enter_context(Anvil(block_time=options.block_time_s, chain_id=_CHAIN_ID))
        escrow = EscrowClient.deploy(anvil.rpc)
        contracts = write_contract_file(home / "contracts", _CHAIN_ID, escrow.address, 1, Finality(depth=0))
        rpc_url, ws_url = anvil.rpc_url, anvil.ws_url
    elif options.contract is None:
        raise ConfigError("--contract FILE is needed with --rpc-url: it says which contract to follow")
    else:
        contracts, rpc_url = options.contract.resolve(), options.rpc_url
    chains = load_registry(contracts).chains
    if len(chains) != 1:
        raise ConfigError(f"--contract names chains {chains}; with one --rpc-url it can be one chain")
    store = options.store or f"sqlite:///{home / 'plumbline.sqlite'}"
    environ = {
        "PLUMBLINE_STORE": store,
        "PLUMBLINE_CONTRACTS": str(contracts),
        f"PLUMBLINE_RPC_{chains[0]}": rpc_url,
        "PLUMBLINE_HEALTH_PORT": str(_free_port(0)),
        "PLUMBLINE_METRICS": os.environ.get("PLUMBLINE_METRICS", PROMETHEUS),
    }
    if ws_url:
        environ[f"PLUMBLINE_WS_{chains[0]}"] = ws_url
    if not store.startswith("sqlite:"):
        environ["PLUMBLINE_BUS"] = os.environ.get("PLUMBLINE_BUS", f"sqlite:///{home / 'bus.sqlite'}")
    if options.start_block is not None:
        environ["PLUMBLINE_START_BLOCK"] = str(options.start_block)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PLUMBLINE_")}
    environ = {**kept, **environ}
    _check(environ, chains[0], stop)
    return environ


def _check(environ: Mapping[str, str], chain_id: int, stop: threading.Event) -> None:
    """Refuse now what would fail for ever: bad settings, and a node of another chain.

    Told to stop, it waits for no node that does not answer.
    """
    from shared.bootstrap import Plumbline  # noqa: PLC0415 - wires only what is looked at here
    from shared.config import Settings  # noqa: PLC0415

    parts = Plumbline(Settings.from_env(environ))
    parts.documents.count("rollover_states")
    chain = parts.chain(chain_id)
    deadline = time.monotonic() + _NODE_WITHIN_S
    while not stop.is_set():
        try:
            remote = chain.remote_chain_id()
            break
        except ChainUnavailable as error:
            if time.monotonic() > deadline:
                # It may come back: the listener keeps trying, and says so.
                print(f"plumbline local: the node does not answer yet: {error}", file=sys.stderr)  # noqa: T201
                return
            stop.wait(_TEND_S)
    else:
        return
    if remote != chain_id:
        raise ConfigError(f"the node is on chain {remote}, the contract file says {chain_id}")
    _check_code(chain, parts.registry.on_chain(chain_id))


def _check_code(chain: Chain, specs: Sequence[ContractSpec]) -> None:
    try:
        without = [spec.address for spec in specs if not chain.has_code(spec.address)]
    except ChainUnavailable as error:
        print(f"plumbline local: the contract's code is not checked: {error}", file=sys.stderr)  # noqa: T201
        return
    if without:
        # It would look healthy for ever: an address without code has no logs and no transfers.
        raise ConfigError(f"there is no code at {', '.join(without)}: correct the contract file's address")


def _free_port(wanted: int) -> int:
    """Return the wanted port, any free one for 0; ConfigError where another program has it."""
    with socket.socket() as listening:
        # As the server will: a port that a run before this one has just left is free.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise ConfigError(f"--port {wanted} cannot be used: {error.strerror}") from error
        return int(listening.getsockname()[1])


def _wait_until_served(port: int, stop: threading.Event) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConfigError(f"the functions did not come up on port {port}") from error
            stop.wait(0.05)
        else:
            return
        finally:
            connection.close()


def _shown(url: str) -> str:
    """Return a bare URL of this machine as it is, of any other only its scheme: the rest may hold a key."""
    parts = urlsplit(url)
    here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    bare = not (parts.username or parts.path.strip("/") or parts.query or parts.fragment)
    return url if here and bare else redact(url)


def _ready(environ: Mapping[str, str], port: int, children: Children) -> dict[str, Any]:
    spec = load_registry(environ["PLUMBLINE_CONTRACTS"]).contracts[0]
    return {
        "ready": True,
        "port": port,
        "healthPort": int(environ["PLUMBLINE_HEALTH_PORT"]),
        "rpcUrl": ",".join(
            _shown(url.strip()) for url in environ[f"PLUMBLINE_RPC_{spec.chain_id}"].split(",")
        ),
        "chainId": spec.chain_id,
        "contract": spec.address,
        "contracts": environ["PLUMBLINE_CONTRACTS"],
        "store": environ["PLUMBLINE_STORE"],
        "pid": os.getpid(),
        "children": children.pids(),
    }
