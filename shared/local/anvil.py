"""An anvil of our own: found, started on a free port of loopback, stopped without leaving anything."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, Self

from shared.errors import ChainUnavailable, ConfigError, PlumblineError
from shared.local.rpc import Rpc

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = Path(__file__).parent / "node_modules" / "@foundry-rs"
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "windows": "win32"}
_KILL_WHEN_ORPHANED = ["/bin/sh", "-c", 'read -r _; kill -9 "$0"']
_LISTENING = re.compile(rb"Listening on 127\.0\.0\.1:(\d+)")


def find_anvil() -> Path:
    """Return anvil's binary: from the npm package of this platform, else from PATH. Raises ConfigError."""
    system, machine = platform.system().lower(), platform.machine().lower()
    package = f"anvil-{_SYSTEMS.get(system, system)}-{_ARCHITECTURES.get(machine, machine)}"
    binary = PACKAGES / package / "bin" / ("anvil.exe" if system == "windows" else "anvil")
    if binary.is_file():
        return binary
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    raise ConfigError(
        f"anvil is missing: run `make setup`, which installs the npm package @foundry-rs/{package} where"
        " there is one, or put Foundry's anvil on PATH"
    )


class Anvil:
    """A running anvil, as a context manager or by ``start`` and ``stop``.

    ``block_time``: seconds between blocks, None to mine each transaction at once. ``extra``: further
    options of anvil. ``log``: file that takes its output (truncated at start); None discards it.
    """

    def __init__(
        self,
        *,
        block_time: float | None = None,
        chain_id: int = 31337,
        port: int = 0,
        extra: Sequence[str] = (),
        log: Path | None = None,
        ready_within_s: float = 30.0,
    ) -> None:
        self._options = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id), *extra]
        if block_time is not None:
            self._options += ["--block-time", str(block_time)]
        self._log = log
        self._ready_within_s = ready_within_s
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._port = port
        self._rpc: Rpc | None = None
        self._listening = Event()
        self._listens = False
        self._last_words = ""
        self._reader: Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def rpc_url(self) -> str:
        """The http URL of the running node."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        """The websocket URL of the running node."""
        return f"ws://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        return self._running().pid

    @property
    def rpc(self) -> Rpc:
        """A client of the running node; ``stop`` closes it."""
        self._running()
        if self._rpc is None:
            self._rpc = Rpc(self.rpc_url)
        return self._rpc

    def start(self) -> Self:
        """Start and wait until it answers; raises ConfigError (no binary) or ChainUnavailable (no answer)."""
        command = [str(find_anvil()), *self._options]
        log = Path(self._log or os.devnull).open("wb")  # noqa: SIM115 - the reader closes it
        self._process = subprocess.Popen(  # noqa: S603 - the binary found above, and our own options
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C stops us, and we stop it
        )
        # Waits on a pipe that only we hold: a node would outlive us if we were killed.
        self._guard = subprocess.Popen(  # noqa: S603 - a line of shell of our own
            [*_KILL_WHEN_ORPHANED, str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._listening.clear()
        self._listens = False
        self._last_words = ""
        self._reader = Thread(target=self._read_output, args=(self._process.stdout, log), daemon=True)
        self._reader.start()
        try:
            self._await_port()
            self.rpc.call("eth_chainId")
        except PlumblineError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it: asked first, killed after five seconds; does nothing where it does not run."""
        if self._rpc is not None:
            self._rpc.close()
            self._rpc = None
        process, self._process = self._process, None
        if process is None:
            return
        self._dismiss_guard()
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join()
            self._reader = None

    def _dismiss_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            guard.kill()
            guard.wait()
            guard.stdin.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ChainUnavailable("anvil is not running")
        return self._process

    def _await_port(self) -> None:
        if not self._listening.wait(self._ready_within_s):
            raise ChainUnavailable(f"anvil did not listen within {self._ready_within_s:.0f} s")
        if not self._listens:
            raise ChainUnavailable(f"anvil ended at its start: {self._last_words.strip()}")

    def _read_output(self, output: IO[bytes], log: IO[bytes]) -> None:
        # Read to its end, since a full pipe would stop anvil. Port 0 leaves the choice to the system and
        # anvil says which: no race for a port that was free a moment ago.
        with output, log:
            for line in output:
                log.write(line)
                log.flush()
                if self._listening.is_set():
                    continue
                self._last_words = (self._last_words + line.decode(errors="replace"))[-300:]
                found = _LISTENING.match(line)
                if found:
                    self._port, self._listens = int(found[1]), True
                    self._listening.set()
        self._listening.set()
