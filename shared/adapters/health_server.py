"""A process's health and metrics over HTTP, for whoever restarts it and whoever watches it."""

from __future__ import annotations

import logging
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.errors import PlumblineError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
_JSON: Final = "application/json"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


Answer = tuple[int, str, bytes]
"""Status, content type and body."""


class HealthAnswers:
    """Answers ``/healthz``, ``/readyz`` and, where there are metrics, ``/metrics``.

    ``alive()`` returns what is dead (nothing: 200, else 503); ``ready()`` a document whose ``ready`` says
    200 or 503; ``metrics()`` Prometheus' text. A PlumblineError out of ``ready`` is 503: what cannot be
    told is unhealthy.
    """

    def __init__(
        self,
        alive: Callable[[], list[str]],
        ready: Callable[[], dict[str, Any]],
        metrics: Callable[[], bytes] | None = None,
    ) -> None:
        self._answers: dict[str, Callable[[], Answer]] = {
            "/healthz": lambda: _alive(alive()),
            "/readyz": lambda: _ready(ready),
        }
        if metrics is not None:
            self._answers["/metrics"] = lambda: (HTTPStatus.OK, _PROMETHEUS, metrics())

    def answer(self, path: str) -> Answer:
        """Return the answer to a GET of this path."""
        known = self._answers.get(path.partition("?")[0])
        return known() if known else (HTTPStatus.NOT_FOUND, _JSON, b'{"title": "not found"}')


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - its base class's
        """Log what ended an answer, where the base class prints it past the log."""
        error = sys.exc_info()[1]
        # Who asks may go away at any time, as probes of the port do.
        level = logging.DEBUG if isinstance(error, ConnectionError | TimeoutError) else logging.ERROR
        _LOG.log(level, "no answer about health to %s: %r", client_address, error)


class HealthServer:
    """Serves answers on a port of ``host``, in a thread of its own; OSError where the port cannot be had."""

    def __init__(
        self,
        port: int,
        answers: HealthAnswers,
        *,
        host: str = "0.0.0.0",  # noqa: S104 - Cloud Run's probes come from outside the container
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                self._answer(body=True)

            def do_HEAD(self) -> None:
                self._answer(body=False)

            def _answer(self, *, body: bool) -> None:
                status, kind, text = answers.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if body:
                    self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                _LOG.debug(format, *args)

        self._server = _Server((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port it is served on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _alive(dead: list[str]) -> Answer:
    status = HTTPStatus.SERVICE_UNAVAILABLE if dead else HTTPStatus.OK
    return status, _JSON, orjson.dumps({"alive": not dead, "dead": dead})


def _ready(ready: Callable[[], dict[str, Any]]) -> Answer:
    try:
        document = ready()
    except PlumblineError as error:
        document = {"ready": False, "problems": [f"{error.code}: {error}"], "chains": {}}
    status = HTTPStatus.OK if document["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _JSON, orjson.dumps(document)
