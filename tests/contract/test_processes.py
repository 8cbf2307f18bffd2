from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shared.adapters.processes import LinuxProcesses

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = LinuxProcesses()
NAME = PROCESSES.this

pytestmark = pytest.mark.skipif(NAME is None, reason="this system has no /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _name(pid: int) -> str:
    name = PROCESSES.name(pid)
    assert name is not None
    return name


def test_what_runs_has_not_ended(child: subprocess.Popen[bytes]) -> None:
    """We and another process run; each has a name of its own, the same whenever it is asked for."""
    assert _name(os.getpid()) == NAME
    assert _name(child.pid) not in (NAME, None)
    assert not PROCESSES.has_ended(str(NAME))
    assert not PROCESSES.has_ended(_name(child.pid))


def test_what_was_killed_has_ended_buried_or_not(child: subprocess.Popen[bytes]) -> None:
    """A parent that is dead itself buries nobody: until somebody does, the process is a zombie."""
    name = _name(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert PROCESSES.has_ended(name)
    child.wait()
    assert PROCESSES.has_ended(name)
    assert PROCESSES.name(child.pid) is None


def test_a_number_that_is_used_again_is_another_process(child: subprocess.Popen[bytes]) -> None:
    """The start time tells them apart."""
    before, _, started = _name(child.pid).rpartition("/")
    assert PROCESSES.has_ended(f"{before}/{int(started) - 1}")


@pytest.mark.parametrize("part", [0, 1])
def test_of_another_machine_nothing_is_known(child: subprocess.Popen[bytes], part: int) -> None:
    """After another boot, or in another container, the number means nothing."""
    parts = _name(child.pid).split("/")
    child.kill()
    child.wait()
    parts[part] = "1" + parts[part]
    assert not PROCESSES.has_ended("/".join(parts))


@pytest.mark.parametrize("name", ["", "/", "a/b/c/d", "///", "1/2/3/4/5"])
def test_of_what_is_no_name_nothing_is_known(name: str) -> None:
    """A lease may be edited by hand."""
    assert not PROCESSES.has_ended(name)
