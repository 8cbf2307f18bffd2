"""A small JSON-RPC client for nodes on this machine: one kept-alive connection, never a proxy."""

from __future__ import annotations

import select
from http.client import HTTPConnection, HTTPException
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import orjson

from shared.errors import ChainUnavailable, InvalidInput, PlumblineError

if TYPE_CHECKING:
    from collections.abc import Sequence


class RpcError(PlumblineError):
    """The node answered with an error; ``number`` is its JSON-RPC code, ``data`` what came with it.

    For a reverted call ``data`` is the revert data, as a hex string.
    """

    code: ClassVar[str] = "rpc_error"

    def __init__(self, message: str, number: int, data: Any = None) -> None:
        super().__init__(message)
        self.number = number
        self.data = data


class Rpc:
    """JSON-RPC over plain HTTP to one node; safe to share between threads, which then take turns.

    Raises ChainUnavailable where the node does not answer within ``timeout_s``, RpcError where it refuses.
    A request is never sent twice.
    """

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise InvalidInput("the laptop's chain is reached over http:// only")
        # http.client knows nothing of proxy variables, so loopback stays on this machine.
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
        self._path = parts.path or "/"
        self._lock = Lock()
        self._next_id = 0

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call."""
        return _result(self._post(self._request(method, params)))

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of (method, params) calls made in one request, in their order.

        Raises RpcError for the first call that the node refused; the others were carried out all the same.
        """
        if not calls:
            return []
        requests = [self._request(method, params) for method, params in calls]
        replies = self._post(requests)
        if not isinstance(replies, list):
            return [_result(replies)]
        by_id = {reply["id"]: reply for reply in replies}
        return [_result(by_id[request["id"]]) for request in requests]

    def close(self) -> None:
        """Give back the connection; the next call opens a new one."""
        with self._lock:
            self._connection.close()

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._next_id += 1
        return {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}

    def _post(self, body: Any) -> Any:
        with self._lock:
            self._drop_if_hung_up()
            try:
                self._connection.request(
                    "POST", self._path, orjson.dumps(body), {"Content-Type": "application/json"}
                )
                answer = self._connection.getresponse().read()
                return orjson.loads(answer)
            except (OSError, HTTPException, orjson.JSONDecodeError) as error:
                self._connection.close()
                raise ChainUnavailable(f"the local node gave no answer: {type(error).__name__}") from error

    def _drop_if_hung_up(self) -> None:
        # An idle socket that is readable was closed by the node: seen before sending, so nothing is resent.
        if self._connection.sock is not None and select.select([self._connection.sock], [], [], 0)[0]:
            self._connection.close()


def _result(reply: dict[str, Any]) -> Any:
    error = reply.get("error")
    if error is None:
        return reply["result"]
    raise RpcError(str(error.get("message")), int(error.get("code", 0)), error.get("data"))
