"""Google's Pub/Sub emulator: the one already running, or one of our own from the jar."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 10.0


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PubSubEmulator:
    """An emulator to talk to at ``host`` ("127.0.0.1:PORT").

    ``found`` is what ``parts.require("pubsub_emulator").found`` says: a jar to start, or the address of
    one that runs already (which ``stop`` leaves alone). ``folder`` takes the process's log.
    """

    def __init__(self, found: str, folder: Path) -> None:
        self._jar = found if found.endswith(".jar") else None
        self.host = f"127.0.0.1:{free_port()}" if self._jar else found
        self._log = folder / "pubsub-emulator.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the jar, if there is one to start, and wait until it takes connections."""
        if self._jar:
            address, port = self.host.split(":")
            command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", self._jar]
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [*command, f"--host={address}", f"--port={port}"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._log.parent,
                    env={name: value for name, value in os.environ.items() if name != "PUBSUB_EMULATOR_HOST"},
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
            f"the Pub/Sub emulator did not start: {self._log.read_text(errors='replace')[-2000:]}"
        )
