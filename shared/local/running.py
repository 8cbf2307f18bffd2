"""``plumbline local`` as a program that the demo and the tests run, look into and hold."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, Self

import orjson

from shared.bootstrap import Plumbline
from shared.config import Settings
from shared.errors import Conflict, PlumblineError
from shared.local.cloud import ENVIRONMENT_FILE, read_environment
from shared.local.escrow.client import EscrowClient
from shared.local.rpc import Rpc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_READY_WITHIN_S: Final = 60.0
_ENDS_WITHIN_S: Final = 15.0
_FREE_LOCK_S: Final = 2.0


class RunningLocal:
    """A ``plumbline local`` of our own, as a context manager.

    ``home`` takes its files, and its log as ``local.log``. ``options``: further ones of the command;
    ``settings``: PLUMBLINE_* variables besides those of this process.
    Raises PlumblineError where it does not get ready in time, with its last words.
    """

    def __init__(
        self, home: Path, options: Sequence[str] = (), settings: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self._settings = dict(settings or {})
        self._command = [sys.executable, "-m", "shared", "local", "--home", str(home), *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.exit_code: int | None = None
        self.ready: dict[str, Any] = {}
        self.environ: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self._log = (self.home / "local.log").open("ab")
        self._process = subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
            self._command,
            env={**os.environ, **self._settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        line = self._first_line()
        if not line:
            self.stop()
            raise PlumblineError(f"plumbline local did not get ready: {self.last_words()}")
        self.ready = orjson.loads(line)
        self.environ = read_environment(self.home / ENVIRONMENT_FILE)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return int(self.ready["pid"])

    def stop(self, with_signal: int = signal.SIGTERM) -> int | None:
        """End it, if it runs, and return its exit code; TimeoutExpired where it had to be killed."""
        process, self._process = self._process, None
        if process is None:
            return self.exit_code
        process.send_signal(with_signal)
        try:
            self.exit_code = process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout:
                process.stdout.close()
            if self._log:
                self._log.close()
        return self.exit_code

    def leave(self) -> None:
        """Let it go on after this process."""
        if self._process and self._process.stdout:
            self._process.stdout.close()
        if self._log:
            self._log.close()
        self._process = None

    def last_words(self) -> str:
        """Return the end of its log."""
        return (self.home / "local.log").read_text("utf-8", "replace")[-2000:].strip()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``plumbline`` with these arguments against it."""
        return subprocess.run(  # noqa: S603 - our own module, our own interpreter
            [sys.executable, "-m", "shared", *arguments],
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def parts(self) -> Iterator[Plumbline]:
        """Give its store and use cases, wired for this process."""
        parts = Plumbline(Settings.from_env(self.environ))
        try:
            yield parts
        finally:
            parts.documents.close()

    @contextmanager
    def escrow(self) -> Iterator[EscrowClient]:
        """Give a client of the contract that it follows."""
        rpc = Rpc(self.ready["rpcUrl"])
        try:
            yield EscrowClient(rpc, self.ready["contract"])
        finally:
            rpc.close()

    def hold_listener(self) -> None:
        """Stop the listener where it stands, in a moment in which it does not hold the store's lock."""
        from shared.adapters.sqlite import SqliteDocuments  # noqa: PLC0415 - only where the store is one

        listener = int(self.ready["children"]["listener"])
        probe = SqliteDocuments(self.ready["store"].removeprefix("sqlite:///"), busy_timeout_s=_FREE_LOCK_S)
        try:
            while True:
                os.kill(listener, signal.SIGSTOP)
                try:
                    return probe.transaction(
                        lambda transaction: transaction.delete("local_triggers", "probe")
                    )
                except Conflict:
                    self.release_listener()
        finally:
            probe.close()

    def release_listener(self) -> None:
        """Let the listener go on."""
        os.kill(int(self.ready["children"]["listener"]), signal.SIGCONT)

    def _first_line(self) -> bytes:
        lines: list[bytes] = []
        output = self._process.stdout if self._process else None
        if output is None:
            return b""
        reader = threading.Thread(target=lambda: lines.append(output.readline()), daemon=True)
        reader.start()
        reader.join(_READY_WITHIN_S)
        return lines[0] if lines else b""
