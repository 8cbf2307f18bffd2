"""Cold start: from starting Python to a function's first answer, against functions that do nothing.

``python -m tests.performance.bench_cold_start`` runs everything in turns, so that a busy machine slows
all alike, and compares medians. What it starts is compiled first, as pip does with every package and Google
with a function that it builds (``compileall`` in its functions-framework buildpack). Exit 1 if a ratio is
over its target. The half on Firestore needs the emulator and is left out, with a word, where there is none.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.fee_record import TIP_PERCENTILES
from tests.support import parts
from tests.support.firestore_emulator import HOST_VARIABLE, FirestoreEmulator
from tests.support.rpc_server import RpcServer, result
from tests.support.triggers import log_message, settled_log, started_event, started_trigger

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
PREFIX: Final = "PLUMBLINE_"
CHAIN_ID: Final = 31337
BLOCKS: Final = 300
ADDRESS: Final = "0x" + "e5" * 20
HELLO: Final = """
import functions_framework
{more}

@functions_framework.cloud_event
def hello(event):
    pass
"""
IDLE: Final = {"hello": "", "hello_firestore": "import google.cloud.firestore"}
"""The functions to compare with, by what they import besides functions-framework."""
CHILD: Final = """
import io, sys
from functions_framework import create_app
target, source, kind, query, body, *headers = sys.argv[1:]
app = create_app(target, source, kind)
data = open(body, "rb").read()
environ = {
    "REQUEST_METHOD": "GET" if query else "POST", "PATH_INFO": "/", "SCRIPT_NAME": "", "QUERY_STRING": query,
    "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(data),
    "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": False,
    "wsgi.run_once": True, "CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": "application/json",
    **dict(header.split("=", 1) for header in headers),
}
b"".join(app(environ, lambda status, headers, error=None: print(status, flush=True)))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A function on a store, the idle function that it is compared with, and how many times it may take."""

    function: str
    store: str
    baseline: str
    target: float


CASES: Final = (
    Case("project_events", "sqlite", "hello", 2.0),
    Case("handle_chain_event", "sqlite", "hello", 2.0),
    Case("project_events", "firestore", "hello_firestore", 1.2),
    Case("handle_chain_event", "firestore", "hello_firestore", 1.2),
    Case("quote_gas", "sqlite", "hello", 2.0),
    Case("quote_gas", "firestore", "hello_firestore", 1.2),
)


class Bench:
    """Starts functions in a directory of its own; every request is one that was never made before."""

    def __init__(self, home: Path, emulator: str | None, node: str) -> None:
        self._home = home
        file = write_contract_file(home / "contracts", CHAIN_ID, ADDRESS, 1, Finality(depth=0))
        self._topic = load_registry(file).contracts[0].topics_of("settled")[0]
        self._requests = 0
        bare = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        contracts = {"PLUMBLINE_CONTRACTS": str(file), f"PLUMBLINE_RPC_{CHAIN_ID}": node}
        self._environ: dict[str, dict[str, str]] = {
            "idle": bare,
            "sqlite": {**bare, **contracts, "PLUMBLINE_STORE": f"sqlite:///{home / 'store.sqlite'}"},
        }
        if emulator:
            google = {
                "PLUMBLINE_STORE": "firestore://bench", "PLUMBLINE_BUS": "pubsub://bench",
                "PLUMBLINE_METRICS": "monitoring://bench",
            }  # fmt: skip
            self._environ["firestore"] = {**bare, **contracts, **google, HOST_VARIABLE: emulator}
        self.cases = [case for case in CASES if case.store in self._environ]
        for name, more in IDLE.items():
            (home / name).mkdir()
            (home / name / "main.py").write_text(HELLO.format(more=more), "utf-8")
        for source in (ROOT / "shared", ROOT / "functions", home):
            if not compileall.compile_dir(source, rx=re.compile("node_modules"), quiet=1):
                raise RuntimeError(f"{source} cannot be compiled")

    def round(self, first: int) -> dict[str, float]:
        """Return the seconds that each idle function and each case took, by its name.

        ``first`` says which has the first turn, so that none always follows the same neighbour.
        """
        names = sorted({case.baseline for case in self.cases}) + [label(case) for case in self.cases]
        cases = {label(case): case for case in self.cases}
        took = {}
        for name in (names[(first + at) % len(names)] for at in range(len(names))):
            if case := cases.get(name):
                source = ROOT / "functions" / case.function
                took[name] = self._start(case.function, source, case.function, case.store)
            else:
                took[name] = self._start("hello", self._home / name, "project_events", "idle")
        return took

    def _start(self, target: str, folder: Path, trigger: str, store: str) -> float:
        self._requests += 1
        body, headers = self._request(trigger, self._requests)
        file = self._home / "body.json"
        file.write_bytes(body)
        wsgi = [f"HTTP_{name.upper().replace('-', '_')}={value}" for name, value in headers.items()]
        quotes = trigger == "quote_gas"
        query = f"action=agree_send&transfer=transfer-{self._requests}" if quotes else ""
        kind = ["http" if quotes else "cloudevent", query]
        return first_answer_s(
            [target, str(folder / "main.py"), *kind, str(file), *wsgi], self._environ[store]
        )

    def _request(self, trigger: str, number: int) -> tuple[bytes, dict[str, str]]:
        if trigger == "quote_gas":
            return b"", {}
        if trigger == "project_events":
            return started_trigger(started_event(f"transfer-{number}"))
        return log_message(CHAIN_ID, [settled_log(ADDRESS, self._topic, number)])


def first_answer_s(arguments: list[str], environ: Mapping[str, str]) -> float:
    """Return the seconds from starting Python to the status line; RuntimeError if that is no 200."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, env=dict(environ), cwd=ROOT
    ) as child:
        line = child.stdout.readline() if child.stdout else b""
        took = time.perf_counter() - begun
    if not line.startswith(b"200"):
        raise RuntimeError(f"{arguments[0]} answered {line!r}")
    return took


def quiet_node(body: Any) -> Any:
    """Answer what a first quote asks, from memory; the head is as old as this second."""
    if isinstance(body, list):
        return [quiet_node(entry) for entry in body]
    count = int(body["params"][0], 16) if body["method"] == "eth_feeHistory" else 0
    told: dict[str, Any] = {
        "eth_chainId": hex(CHAIN_ID),
        "eth_getBlockByNumber": {
            "number": hex(BLOCKS), "hash": "0x" + "ab" * 32, "parentHash": "0x" + "ba" * 32,
            "timestamp": hex(int(time.time())), "baseFeePerGas": "0x3b9aca00", "gasUsed": "0xe4e1c0",
            "gasLimit": "0x1c9c380", "extraData": "0x",
        },
        "eth_feeHistory": {
            "oldestBlock": hex(BLOCKS - count + 1), "baseFeePerGas": ["0x3b9aca00"] * (count + 1),
            "gasUsedRatio": [0.5] * count, "reward": [["0x5f5e100"] * len(TIP_PERCENTILES)] * count,
        },
        "eth_maxPriorityFeePerGas": "0x5f5e100", "eth_gasPrice": "0x3b9aca00",
        "txpool_status": {"pending": "0x0"}, "eth_estimateGas": "0x16d30",
    }  # fmt: skip
    return result(body, told[body["method"]])


def label(case: Case) -> str:
    """Return the case's name."""
    return f"{case.function} on {case.store}"


def measure(rounds: int) -> dict[str, float]:
    """Return the median seconds of idle functions and cases, by name; a first round is not counted."""
    part = parts.PARTS["firestore_emulator"]
    with ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        emulator = opened.enter_context(FirestoreEmulator(part.found, home)) if part.found else None
        node = opened.enter_context(RpcServer(quiet_node))
        bench = Bench(home, emulator.host if emulator else None, node.url)
        bench.round(0)
        runs = [bench.round(number) for number in range(rounds)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main() -> int:
    """Print medians and ratios; return 1 if one is over its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="runs that each median is of")
    medians = measure(parser.parse_args().rounds)
    over = 0
    for name in IDLE:
        if name in medians:
            print(f"{name:<34} {medians[name]:6.3f} s")  # noqa: T201 - its output
    for case in CASES:
        if label(case) not in medians:
            print(f"{label(case):<34} left out: {parts.PARTS['firestore_emulator'].how_to_get}")  # noqa: T201
            continue
        ratio = medians[label(case)] / medians[case.baseline]
        over += ratio > case.target
        print(  # noqa: T201
            f"{label(case):<34} {medians[label(case)]:6.3f} s  {ratio:5.2f} x {case.baseline}"
            f" (target {case.target})"
        )
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
