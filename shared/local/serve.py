"""Every HTTP function under functions-framework in one server, each below its own name."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from functions_framework import create_app
from gunicorn.app.base import BaseApplication
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from shared.local.children import terminate_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS: Final = Path(__file__).resolve().parents[2] / "functions"
SERVED: Final = {"handle_chain_event": "cloudevent", "project_events": "cloudevent", "reconcile": "http"}
"""The functions that answer requests, with their signature types; ``listen_chain`` runs by itself."""


def application() -> Callable[..., Any]:
    """Return a WSGI application that holds every served function at ``/<name>``."""
    apps = {
        f"/{name}": _at_root(create_app(name, str(FUNCTIONS / name / "main.py"), kind))  # type: ignore[no-untyped-call]
        for name, kind in SERVED.items()
    }
    return DispatcherMiddleware(NotFound(), apps)


def _at_root(app: Callable[..., Any]) -> Callable[..., Any]:
    """Take ``/name`` for ``/name/``, as a function's own address in the cloud does."""

    def called(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return app({**environ, "PATH_INFO": environ["PATH_INFO"] or "/"}, start_response)

    return called


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"127.0.0.1:{self._port}",
            # Measured: one request at a time in each of a few processes serves twice as many small
            # requests as threads that hand Python's lock to each other. A reconciliation keeps one busy.
            "workers": 3,
            "worker_class": "sync",
            "timeout": 0,
            "graceful_timeout": 8,
            "loglevel": "warning",
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        return application()


def main() -> int:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    terminate_with_parent()
    _Server(port).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
