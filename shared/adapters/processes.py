"""Processes of this machine, as Linux tells of them in /proc."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_BOOT: Final = _PROC / "sys" / "kernel" / "random" / "boot_id"
_STATE, _STARTED = 0, 19
"""Places in /proc/PID/stat, counted from behind the name (proc(5): fields 3 and 22)."""
_ZOMBIE: Final = "Z"
_SLASHES: Final = 3


class LinuxProcesses:
    """Names are boot, PID namespace, PID and start time, so that a PID that is used again is another name.

    Where there is no /proc (macOS) nothing has a name, and nothing is known to have ended.
    """

    @property
    def this(self) -> str | None:
        """The name of this process."""
        return self.name(os.getpid())

    def name(self, pid: int) -> str | None:
        """Return the name of a process that runs here; None where it cannot be told."""
        stat = _stat(pid)
        return f"{self._machine}/{pid}/{stat[_STARTED]}" if self._machine and stat else None

    def has_ended(self, name: str) -> bool:
        """Say whether the process was of this machine, and is gone or waits for nothing but its burial."""
        boot, namespace, pid, started = name.split("/") if name.count("/") == _SLASHES else [""] * 4
        if not pid.isdecimal() or f"{boot}/{namespace}" != self._machine:
            return False
        stat = _stat(int(pid))
        if stat is None:
            return _is_free(int(pid))
        return stat[_STARTED] != started or stat[_STATE] == _ZOMBIE

    @cached_property
    def _machine(self) -> str | None:
        """This boot of this machine, and our PID namespace: elsewhere a PID means another process."""
        try:
            return f"{_BOOT.read_text('ascii').strip()}/{(_PROC / 'self' / 'ns' / 'pid').stat().st_ino}"
        except OSError:
            return None


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name stands in brackets, and may hold any.
    return text.rpartition(")")[2].split()


def _is_free(pid: int) -> bool:
    """Say whether no process has this PID: /proc may hide those of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
