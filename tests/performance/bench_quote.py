"""Quotes a second, warm, and how long they take, beside an empty functions-framework handler.

Run: ``python -m tests.performance.bench_quote [--seconds 10]``. Both are in one server (granian, two workers,
as ``plumbline local`` runs it) behind kept-alive connections, in turns; a chain makes a block every 2 s, so
that each worker asks its node anew several times. Exits 1 below 1,000 quotes a second, for a 99th percentile
of 5 ms or more, or for more than one batch a block and worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from functions_framework import create_app
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.local.anvil import Anvil
from shared.local.chain_control import block_number
from shared.local.serve import FUNCTIONS
from tests.support.chain import deploy_escrow, parties
from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATE: Final = 1000
P99_S: Final = 0.005
_WORKERS: Final = 2
_CONNECTIONS: Final = 4
_TURNS: Final = 4
_BLOCK_S: Final = 2
_EMPTY_FOLDER: Final = "BENCH_EMPTY"
_PORT: Final = "BENCH_PORT"
_EMPTY: Final = """
import functions_framework

@functions_framework.http
def empty(request):
    return ""
"""
_QUERIES: Final = (
    "action=agree_send&transfer=bench&within_blocks=5&confidence=0.95",
    "action=execute_transfer&transfer=bench",
    "action=mint_tokens&within_blocks=2",
    "chain=31337&action=agree_receive&transfer=bench&within_blocks=20",
)


def application() -> Any:
    """Return both handlers as one WSGI application."""
    empty = create_app("empty", str(Path(os.environ[_EMPTY_FOLDER]) / "main.py"), "http")  # type: ignore[no-untyped-call]
    quotes = create_app("quote_gas", str(FUNCTIONS / "quote_gas" / "main.py"), "http")  # type: ignore[no-untyped-call]
    return DispatcherMiddleware(empty, {"/quotes": quotes})


def serve() -> None:
    """Serve until SIGTERM."""
    Granian(
        "tests.performance.bench_quote:application", address="127.0.0.1", port=int(os.environ[_PORT]),
        interface=Interfaces.WSGI, factory=True, workers=_WORKERS, blocking_threads=_CONNECTIONS,
        websockets=False, log_level=LogLevels.error,
    ).serve()  # fmt: skip


def caller(port: int, paths: Sequence[str], seconds: float, sink: Any) -> None:
    """Ask over one connection, one request after the other, and hand over the seconds that each took."""
    requests = [f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode() for path in paths]
    took: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        while (now := time.perf_counter()) - begun < seconds:
            connection.sendall(requests[len(took) % len(requests)])
            _read_answer(connection)
            took.append(time.perf_counter() - now)
    sink.send(took)


def _read_answer(connection: socket.socket) -> None:
    answer = connection.recv(65_536)
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"answered {head[:200]!r} {body[:300]!r}")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    missing = length - len(body)
    while missing > 0:
        missing -= len(connection.recv(65_536))


def load(port: int, paths: Sequence[str], seconds: float) -> tuple[float, list[float]]:
    """Return the answers a second over several connections, and the seconds that each took."""
    pipes = []
    for _ in range(_CONNECTIONS):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=caller, args=(port, paths, seconds, sender))
        process.start()
        pipes.append((process, receiver))
    took = [each for _, receiver in pipes for each in receiver.recv()]
    for process, _ in pipes:
        process.join()
    return len(took) / seconds, took


def served(home: Path, environ: dict[str, str], port: int) -> Iterator[None]:
    """Run the server for as long as the generator is held."""
    (home / "empty").mkdir()
    (home / "empty" / "main.py").write_text(_EMPTY, "utf-8")
    settings = {**os.environ, **environ, _EMPTY_FOLDER: str(home / "empty"), _PORT: str(port)}
    command = [sys.executable, "-c", "from tests.performance.bench_quote import serve; serve()"]
    with subprocess.Popen(command, env=settings, cwd=Path(__file__).parents[2]) as server:
        try:
            yield
        finally:
            server.terminate()


def main() -> int:
    """Run in turns, print, and say whether the targets were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of load for each of the two")
    seconds = parser.parse_args().seconds / _TURNS
    with ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        anvil = opened.enter_context(Anvil())
        escrow = deploy_escrow(anvil)
        for number in range(40):
            escrow.agree_send(f"history-{number}", parties(3, 3))
        anvil.rpc.call("evm_setIntervalMining", _BLOCK_S)
        proxy = opened.enter_context(FaultProxy(anvil.rpc_url))
        file = write_contract_file(home / "contracts", 31337, escrow.address, 1, Finality(depth=0))
        environ = {
            "PLUMBLINE_STORE": f"sqlite:///{home / 'store.sqlite'}",
            "PLUMBLINE_CONTRACTS": str(file),
            "PLUMBLINE_RPC_31337": proxy.url,
            "PLUMBLINE_FEES_31337": f"block_s={_BLOCK_S}, look_s=0.2, stale_s=60",
        }
        port = _free_port()
        holding = served(home, environ, port)
        next(holding)
        opened.callback(holding.close)
        _wait(port)
        paths = {"empty": ["/"], "quotes": [f"/quotes/quote?{query}" for query in _QUERIES]}
        for each in paths.values():
            load(port, each, 1.0)  # warm
        before, asked = block_number(anvil.rpc), batches(proxy)
        rates: dict[str, list[float]] = {name: [] for name in paths}
        took: dict[str, list[float]] = {name: [] for name in paths}
        for _ in range(_TURNS):
            for name, each in paths.items():
                rate, seconds_each = load(port, each, seconds)
                rates[name].append(rate)
                took[name] += seconds_each
        blocks, asked = block_number(anvil.rpc) - before, batches(proxy) - asked
    return report(rates, took, blocks, asked)


def batches(proxy: FaultProxy) -> int:
    """Return how many batches went to the node: each asks for fee history once."""
    return sum(method == "eth_feeHistory" for _, method in proxy.requests)


def report(rates: dict[str, list[float]], took: dict[str, list[float]], blocks: int, asked: int) -> int:
    """Print what came out; return 1 if a target was missed."""
    rate = {name: statistics.mean(each) for name, each in rates.items()}
    p50 = {name: statistics.median(each) for name, each in took.items()}
    p99 = {name: statistics.quantiles(each, n=100)[98] for name, each in took.items()}
    for name in rates:
        print(  # noqa: T201 - its output
            f"{name:<8} {rate[name]:8,.0f} a second   median {p50[name] * 1e3:5.2f} ms"
            f"   99th percentile {p99[name] * 1e3:5.2f} ms   of {len(took[name]):,}"
        )
    slower = [each["quotes"] / each["empty"] for each in (p50, p99)]
    print(  # noqa: T201
        f"a quote takes {slower[0]:.2f} times an empty answer (99th percentile {slower[1]:.2f} times);"
        f" targets {RATE:,} a second and {P99_S * 1e3:g} ms"
        f"\n{blocks} blocks and {asked} batches meanwhile, by {_WORKERS} workers"
    )
    thrifty = asked <= (blocks + 1) * _WORKERS
    return 0 if rate["quotes"] >= RATE and p99["quotes"] < P99_S and thrifty else 1


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
