"""Between the Firestore emulator's trigger and a function: Eventarc's place."""

from __future__ import annotations

import http.client
import http.server
import threading
from base64 import b64decode
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRIGGER = b"""{"eventType": "google.cloud.firestore.document.v1.created", "database": "(default)",
"namespace": "(default)", "document": {"value": "events/{eventId}", "matchType": "PATH_PATTERN"}}"""


def register_trigger(emulator_host: str, project: str) -> None:
    """Let the emulator post a CloudEvent for every document created in ``events``."""
    path = f"/emulator/v1/projects/{project}/eventarcTrigger?eventarcTriggerId=project-events"
    status = _post(emulator_host, path, _TRIGGER, {"Content-Type": "application/json"})
    assert status == 200, f"the emulator refused the trigger: {status}"


class Forwarder:
    """Takes what the emulator posts, in base64, and passes it on as Eventarc does: the bytes themselves."""

    def __init__(self) -> None:
        self.target: str | None = None
        self.forwarded = 0
        forwarder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(forwarder._pass_on(body, dict(self.headers)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _pass_on(self, body: bytes, headers: Mapping[str, str]) -> int:
        if self.target is None:
            return 503
        self.forwarded += 1
        kept = {k: v for k, v in headers.items() if k.lower() not in ("host", "content-length", "connection")}
        return _post(self.target, "/project_events", b64decode(body), kept)


def _post(host: str, path: str, body: bytes, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("POST", path, body, dict(headers))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
