"""The ``plumbline local`` of a scenario, killed and started again over the same store."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.local.running import RunningLocal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.fault_proxy import FaultProxy

_MODULES: Final = {
    "listener": "shared.local.listen",
    "functions": "shared.local.serve",
    "delivery": "shared.local.deliver",
}


class Local:
    """A ``plumbline local`` behind proxies, of which the first announces heads.

    ``settings`` are PLUMBLINE_* variables of its own, ``options`` further ones of the command.
    """

    def __init__(
        self,
        home: Path,
        proxies: Sequence[FaultProxy],
        file: Path,
        store: Path,
        settings: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        urls = ",".join(proxy.url for proxy in proxies)
        self._arguments = (
            home / "var",
            ["--rpc-url", urls, "--ws-url", proxies[0].ws_url, "--contract", str(file),
             "--store", f"sqlite:///{store}", "--reconcile-every", "0", *options],
            settings,
        )  # fmt: skip
        self._running: RunningLocal | None = None

    @property
    def running(self) -> RunningLocal:
        """The one that runs."""
        if self._running is None:
            raise RuntimeError("it does not run")
        return self._running

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._running is None:
            running = RunningLocal(*self._arguments)
            running.__enter__()
            self._running = running

    def kill(self, how: str) -> None:
        """Kill one of its children, which it starts again; or all of it, in one of three ways.

        ``all``: it alone, and its children notice; ``all at once``; ``all by SIGTERM``, which must end well.
        """
        if self._running is None:
            return
        if how in _MODULES:
            self._kill_children(_MODULES[how])
            return
        if how == "all at once":
            os.kill(self._running.pid, signal.SIGSTOP)  # it would start them again
            self._kill_children("shared.local.")
        running, self._running = self._running, None
        code = running.stop(signal.SIGTERM if how == "all by SIGTERM" else signal.SIGKILL)
        if how == "all by SIGTERM" and code != 0:
            raise AssertionError(f"SIGTERM ended it with {code}")

    def end(self) -> None:
        """End it."""
        if self._running is not None:
            running, self._running = self._running, None
            running.stop()

    def unready(self) -> str | None:
        """Return what it says of itself where it is not ready, None where it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.ready["healthPort"], timeout=2)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return f"no answer from /readyz: {type(error).__name__}"
        finally:
            connection.close()
        return None if answer.status == http.HTTPStatus.OK else text

    def _kill_children(self, module: str) -> None:
        pid = self.running.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # dead already
                if module in Path(f"/proc/{child}/cmdline").read_text("utf-8"):
                    os.kill(int(child), signal.SIGKILL)
