"""Google's Firestore emulator: the one already running, or one of our own from the jar."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import pytest

from tests.support import parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.cloud import firestore

HOST_VARIABLE = "FIRESTORE_EMULATOR_HOST"
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 10.0


class FirestoreEmulator:
    """An emulator to talk to at ``host`` ("127.0.0.1:PORT").

    ``found`` is what ``parts.require("firestore_emulator").found`` says: a jar to start, or the address of
    one that runs already (which ``stop`` leaves alone). ``folder`` takes the process's log.
    ``functions_emulator`` ("HOST:PORT") is where one of our own posts the CloudEvents of its triggers.
    """

    def __init__(self, found: str, folder: Path, functions_emulator: str | None = None) -> None:
        self._jar = found if found.endswith(".jar") else None
        self.host = f"127.0.0.1:{_free_port()}" if self._jar else found
        self._functions_emulator = functions_emulator
        self._log = folder / "firestore-emulator.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the jar, if there is one to start, and wait until it answers."""
        if self._jar:
            address, port = self.host.split(":")
            command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", self._jar, _MAIN, "start"]
            command += [f"--host={address}", f"--port={port}"]
            if self._functions_emulator:
                command.append(f"--functions_emulator={self._functions_emulator}")
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._log.parent,
                    env={name: value for name, value in os.environ.items() if name != HOST_VARIABLE},
                )
            self._wait_until_listening()
        return self

    def stop(self) -> None:
        """End the process that ``start`` made."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def client(self, project: str, database: str = "(default)") -> firestore.Client:
        """Return a client of the emulator; the environment variable is set for its making only."""
        from google.cloud import firestore  # noqa: PLC0415 - most test runs do not need it

        before = os.environ.get(HOST_VARIABLE)
        os.environ[HOST_VARIABLE] = self.host
        try:
            return firestore.Client(project=project, database=database)
        finally:
            del os.environ[HOST_VARIABLE]
            if before is not None:
                os.environ[HOST_VARIABLE] = before

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    def _wait_until_listening(self) -> None:
        address, port = self.host.split(":")
        deadline = time.monotonic() + _START_DEADLINE_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                socket.create_connection((address, int(port)), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(
            f"the Firestore emulator did not start: {self._log.read_text(errors='replace')[-2000:]}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def firestore_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirestoreEmulator]:
    """Lend the session's emulator; skip where the machine has none."""
    found = parts.require("firestore_emulator").found or ""
    with FirestoreEmulator(found, tmp_path_factory.mktemp("firestore")) as emulator:
        yield emulator


@pytest.fixture
def firestore_project() -> str:
    """Name a project that no other test uses: the emulator keeps the data of each apart."""
    return f"test-{uuid4().hex[:12]}"
