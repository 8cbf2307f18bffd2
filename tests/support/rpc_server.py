"""A JSON-RPC endpoint whose every answer the test decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self

import orjson

from shared.adapters.ethereum import EthereumChain
from shared.adapters.json_rpc import JsonRpcEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Answer:
    """What the server sends; a ``body`` that is not bytes goes as JSON. ``after`` is waited for first.

    ``hang_up``: nothing is sent, and the connection is closed.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: Event | None = None
    hang_up: bool = False


def result(request: Any, value: Any) -> dict[str, Any]:
    """Return a JSON-RPC result for a request."""
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def error(request: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    """Return a JSON-RPC error for a request."""
    body = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": request["id"], "error": body}


class RpcServer:
    """Serves ``answer(request)`` on a free port of loopback.

    ``answer`` returns an Answer, or a JSON value for one of status 200. ``seen`` and ``headers`` hold
    what came so far; names of headers in lower case.
    """

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer
        self.seen: list[Any] = []
        self.headers: list[Mapping[str, str]] = []
        self.connections = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True  # else a large answer waits 40 ms for an acknowledgement

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                request = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append(request)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                given = outer.answer(request)
                answer = given if isinstance(given, Answer) else Answer(given)
                if answer.after is not None:
                    answer.after.wait(10)
                if answer.hang_up:
                    self.close_connection = True
                    return
                body = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
                self.send_response_only(answer.status)
                if "Date" not in answer.headers:
                    self.send_header("Date", self.date_time_string())
                for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Stay quiet: the test looks at ``seen``."""

        return Handler


def serving(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Answer chain 1 to eth_chainId, and the rest by ``answer``."""
    return lambda request: (
        result(request, "0x1")
        if isinstance(request, dict) and request["method"] == "eth_chainId"
        else answer(request)
    )


def chain_at(*urls: str, timeout_s: float = 5.0) -> EthereumChain:
    """Return the port on chain 1 behind these URLs."""
    return EthereumChain(
        1, [JsonRpcEndpoint(url, f"endpoint {i}", timeout_s=timeout_s) for i, url in enumerate(urls, 1)]
    )
