"""Child processes that live no longer than their parent, and are started again when they die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shared.app.doorbell import set_by_handler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_CALM_S: Final = 30.0
_GRACE_S: Final = 12.0


def stop_with_parent() -> threading.Event:
    """Return an event that is set at SIGTERM, SIGINT, or when the parent's end of stdin closes."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: set_by_handler(stop))
    terminate_with_parent()
    return stop


def terminate_with_parent() -> None:
    """Send this process SIGTERM once stdin, a pipe that only the parent holds, is closed."""

    def wait() -> None:
        # Not through sys.stdin, whose lock a thread that waits here would hold when Python shuts down.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="parent").start()


@dataclass
class Child:
    """One child process and how it has fared."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    due_at: float = field(default=0.0)


class Children:
    """Starts children, starts them again when they die, and ends them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._children: list[Child] = []

    def add(self, name: str, *arguments: str) -> Child:
        """Start ``python -m`` with these arguments."""
        child = Child(name, arguments)
        self._children.append(child)
        self._start(child)
        return child

    def tend(self) -> list[str]:
        """Start what has died again, after a growing pause; return the names of those found dead just now."""
        dead = []
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                dead.append(f"{child.name} ended with {child.process.returncode}")
                calm = now - child.started_at > _CALM_S
                child.pause_s = _FIRST_PAUSE_S if calm else min(child.pause_s * 2, _LONGEST_PAUSE_S)
                child.due_at = now + child.pause_s
                child.process = None
            if child.process is None and now >= child.due_at:
                self._start(child)
        return dead

    def stop(self) -> None:
        """End all, the last one started first: SIGTERM, a time to finish, then SIGKILL."""
        running = [child.process for child in reversed(self._children) if child.process]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()

    def pids(self) -> dict[str, int]:
        """Return the process ids of those that run, by name."""
        return {child.name: child.process.pid for child in self._children if child.process}

    def _start(self, child: Child) -> None:
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603 - our own modules, our own interpreter
            [sys.executable, "-m", *child.arguments],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=sys.stderr,
            start_new_session=True,
        )
