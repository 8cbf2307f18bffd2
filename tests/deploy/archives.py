"""A function's archive, unpacked and served as the cloud serves it, out of reach of the checkout."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from tests.support.world import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAYLOADS: Final = Path(__file__).resolve().parents[1] / "functions" / "payloads"
_WITHIN_S: Final = 60.0
DEPLOYED: Final = {
    "handle_chain_event": "http",
    "project_events": "cloudevent",
    "quote_gas": "http",
    "reconcile": "http",
}
"""Signature types as the platform sets them: ``cloudevent`` where a function has an event trigger."""


def registry_of_the_recordings(home: Path) -> Path:
    """Write the registry of the contract that the recorded messages are of."""
    return write_contract_file(home / "contracts", 1, ADDRESS, 1, Finality(depth=0)).parent


@dataclass(frozen=True)
class Unpacked:
    """An archive in a folder of its own, and the Python that runs it."""

    name: str
    folder: Path
    python: str
    libraries: str
    """Where the packages are; they are found there without what installs a checkout beside them (``-S``)."""

    def environ(self, home: Path, **more: str) -> dict[str, str]:
        """Return the environment that Terraform's table gives it, but for a store on this machine."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "NO_PROXY") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": self.libraries,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PLUMBLINE_STORE": f"sqlite:///{home / 'store.sqlite'}",
            "PLUMBLINE_CONTRACTS": "contracts",
            "PLUMBLINE_RPC_1": "http://127.0.0.1:9",
            "PLUMBLINE_REQUEST_TIMEOUT_S": "1",
            **more,
        }

    @contextmanager
    def started(self, command: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
        """Run a command in the archive's folder, and leave no process behind."""
        with subprocess.Popen(
            [self.python, "-S", *command],
            cwd=self.folder,
            env=dict(environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    @contextmanager
    def served(self, home: Path) -> Iterator[int]:
        """Serve the function with functions-framework, as its buildpack does; give the port."""
        port = free_port()
        options = ["--target", self.name, "--source", "main.py", "--signature-type", DEPLOYED[self.name]]
        command = ["-m", "functions_framework", *options, "--host", "127.0.0.1", "--port", str(port)]
        with self.started(command, self.environ(home, THREADS="4", K_SERVICE=self.name)) as process:
            wait_until_it_listens(port, process)
            yield port

    def answer(
        self, home: Path, recorded: Mapping[str, Any], *, method: str = "POST", path: str = "/"
    ) -> tuple[int, bytes]:
        """Serve it, send what was recorded, and return status and body."""
        with self.served(home) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            body = json.dumps(recorded["body"]) if recorded["body"] is not None else ""
            try:
                connection.request(method, path, body, recorded["headers"])
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()


def unpack(bundle: Path, name: str, folder: Path, python: str, libraries: str) -> Unpacked:
    """Unpack a function's archive into an empty folder."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(bundle / f"{name}.zip") as opened:
        opened.extractall(folder)
    return Unpacked(name, folder, python, libraries)


def recorded(name: str) -> dict[str, Any]:
    """Return a recorded request: headers and body."""
    found: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_until_it_listens(port: int, process: subprocess.Popen[str]) -> None:
    """Wait for a server; AssertionError with what it said where it ends before."""
    deadline = time.monotonic() + _WITHIN_S
    while True:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "nothing listens"
        time.sleep(0.05)
