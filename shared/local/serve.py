"""Every HTTP function under functions-framework in one server, each below its own name."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from shared.adapters.health_server import HealthAnswers
from shared.bootstrap import plumbline
from shared.local.children import terminate_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS: Final = Path(__file__).resolve().parents[2] / "functions"
SERVED: Final = {
    "handle_chain_event": "cloudevent",
    "project_events": "cloudevent",
    "reconcile": "http",
    "quote_gas": "http",
}
"""The functions that answer requests, with their signature types; ``listen_chain`` runs by itself."""
_WORKERS: Final = 2
_THREADS: Final = 4
"""Threads a worker: a reconciliation that takes minutes must hold up nobody."""
_WATCH_S: Final = 0.5
PROMETHEUS_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"


def application() -> Callable[..., Any]:
    """Return a WSGI application that holds every served function at ``/<name>``."""
    # In the workers alone: the process that watches over them needs none of it.
    from functions_framework import create_app  # noqa: PLC0415
    from werkzeug.middleware.dispatcher import DispatcherMiddleware  # noqa: PLC0415

    _end_with(os.getppid())
    apps = {
        f"/{name}": _at_root(create_app(name, str(FUNCTIONS / name / "main.py"), kind))  # type: ignore[no-untyped-call]
        for name, kind in SERVED.items()
    }
    return DispatcherMiddleware(_health, apps)


def _health(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer for the listener, from what it writes down, and tell the functions' figures; else 404."""
    parts = plumbline()
    answers = HealthAnswers(list, parts.listener_health.read, parts.exposition)
    status, kind, body = answers.answer(environ["PATH_INFO"])
    start_response(
        f"{int(status)} {HTTPStatus(status).phrase}",
        [("Content-Type", kind), ("Content-Length", str(len(body)))],
    )
    return [body]


def _at_root(app: Callable[..., Any]) -> Callable[..., Any]:
    """Take ``/name`` for ``/name/``, as a function's own address in the cloud does."""

    def called(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return app({**environ, "PATH_INFO": environ["PATH_INFO"] or "/"}, start_response)

    return called


def _end_with(parent: int) -> None:
    """End this worker once its parent is gone, however that died: an orphan would keep the port."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def main() -> int:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    terminate_with_parent()
    with tempfile.TemporaryDirectory(prefix="plumbline-metrics-") as figures:
        # Whichever worker is asked for the figures, it tells those of all.
        os.environ.setdefault(PROMETHEUS_DIRECTORY, figures)
        _serve(port)
    return 0


def _serve(port: int) -> None:
    # Granian and not gunicorn, which serves in the cloud: a small request over a kept-alive connection
    # takes 0.16 ms instead of 0.4 ms (docs/performance.md), and a laptop sends one per event.
    Granian(
        "shared.local.serve:application",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=_WORKERS,
        blocking_threads=_THREADS,
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=5,  # one that is told to end while it still imports does not hear it
    ).serve()


if __name__ == "__main__":
    sys.exit(main())
