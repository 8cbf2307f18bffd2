"""Posting to one URL over kept-alive connections, with failures that never tell the URL."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions as http_errors

from shared.adapters.http_deadline import bounded
from shared.adapters.json_rpc_failures import CallRefused, NoAnswer
from shared.adapters.patience import Patience
from shared.errors import ChainUnavailable, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ_BYTES: Final = 1 << 20
MOST_BYTES: Final = 24 << 20
"""A larger answer is refused like a range that the node refuses: some 35,000 logs, 80 MB once parsed."""
_TOO_LARGE: Final = 413
_KEPT_CONNECTIONS: Final = 8
_SHORTEST_SECRET: Final = 6
# What a node answers from memory: who waits longer for it only learns later that the node is gone.
_LIGHT: Final = frozenset(
    ("eth_chainId", "eth_blockNumber", "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getCode")
)
_LIGHT_S: Final = (2.5, 4.5)
_HEAVY_S: Final = 5.0
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.\d+){3}|::1", re.IGNORECASE)
_ANY_URL: Final = re.compile(r"\w+://\S+")


class HttpPost:
    """Posts JSON to ``url``, which is called ``name`` in every message since it may hold a key.

    ``timeout_s`` bounds one exchange as a whole; while a method is answered fast, it is waited for less long
    (``Patience``). Proxies of the environment are used, but never for
    loopback; redirects are not followed. Safe to share between threads. Raises ConfigError for a URL
    that is not http(s).
    """

    def __init__(self, url: str, name: str, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._patience: dict[str, Patience] = {}
        parts = _parse(url, name)
        host = str(parts.hostname)
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
        self._headers = {"Content-Type": "application/json", **_authorization(parts)}
        loopback = _LOOPBACK.fullmatch(host) is not None
        if not loopback:  # logs compress tenfold; on this machine that would only cost time
            self._headers["Accept-Encoding"] = "gzip"
        self._pool = _pool(None if loopback or proxy_bypass(host) else getproxies().get(parts.scheme))
        self._connections: urllib3.HTTPConnectionPool | None = None
        words = [*parts.path.split("/"), *re.split("[&=]", parts.query), parts.username, parts.password]
        self._secrets = [host, *(word for word in words if word and len(word) >= _SHORTEST_SECRET)]

    def __repr__(self) -> str:
        return f"HttpPost({self._name})"

    def send(
        self, body: bytes, asked: str, counted: Callable[[], None], *, again: bool = True
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body of the answer; ``asked`` names the method that is wanted.

        ``counted`` is called for each request that goes out. One that fell on a kept connection hung up
        meanwhile is sent once more, unless ``again`` forbids it. Raises NoAnswer where it was hung up or
        timed out, CallRefused for an answer past MOST_BYTES, ChainUnavailable for another failure.
        """
        patience = self._patience_for(asked)
        started = time.monotonic()
        deadline = started + patience.wait_s
        failure: type[ChainUnavailable] = ChainUnavailable
        while True:
            opened = self._opened
            counted()
            try:
                answer = self._exchange(body, deadline)
            except http_errors.NewConnectionError:  # a kind of ConnectTimeoutError, though it took no time
                trouble = "cannot be reached"
            except (http_errors.ConnectTimeoutError, http_errors.ReadTimeoutError, TimeoutError):
                failure, trouble = NoAnswer, f"did not answer {asked} within {deadline - started:.3g} s"
                patience.timed_out()
            except http_errors.ProtocolError:
                failure, trouble = NoAnswer, f"hung up on {asked}"
                if again and self._opened == opened:
                    again = False
                    continue
            except _TooMuch:
                text = f"response too large: {asked} gave more than {MOST_BYTES >> 20} MB"
                raise CallRefused(f"{self._name}: {text}", _TOO_LARGE) from None
            except (http_errors.HTTPError, OSError) as error:
                trouble = f"failed on {asked}: {type(error).__name__}"
            else:
                patience.answered(time.monotonic() - started)
                return answer
            break
        # Without the cause on purpose: urllib3's texts name the host and the path.
        raise failure(f"{self._name} {trouble}") from None

    def redacted(self, text: str) -> str:
        """Return the text without URLs, the host's name, and what in our URL may be a key."""
        text = _ANY_URL.sub("<url>", text)
        for secret in self._secrets:
            text = text.replace(secret, "<redacted>")
        return text

    def close(self) -> None:
        """Give back the connections; a later request opens new ones."""
        self._pool.clear()
        self._connections = None

    @property
    def _opened(self) -> int:
        """How many connections were opened so far."""
        if self._connections is None:
            self._connections = self._pool.connection_from_url(self._url)
        return self._connections.num_connections

    def _patience_for(self, asked: str) -> Patience:
        patience = self._patience.get(asked)
        if patience is None:
            least_s, most_s = _LIGHT_S if asked in _LIGHT else (_HEAVY_S, self._timeout_s)
            patience = Patience(least_s, min(most_s, self._timeout_s))
            self._patience[asked] = patience
        return patience

    def _exchange(self, body: bytes, deadline: float) -> tuple[int, Mapping[str, str], bytes]:
        response = self._pool.request(
            "POST",
            self._url,
            body=body,
            headers=self._headers,
            timeout=urllib3.Timeout(total=max(0.001, deadline - time.monotonic())),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return response.status, response.headers, _read(response, deadline)
        except BaseException:
            response.close()  # what is left unread would be taken for the next answer
            raise
        finally:
            response.release_conn()


class _TooMuch(Exception):
    """The answer is larger than what fits into memory, read and taken apart."""


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    pieces = []
    size = 0
    while piece := response.read1(_READ_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise _TooMuch
        if time.monotonic() > deadline:  # urllib3 bounds each read, and a trickle never ends
            raise TimeoutError
    return b"".join(pieces)


def _parse(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass  # told below, without the cause, whose text is the URL's
    raise ConfigError(f"the RPC URL of {name} is not of the form http(s)://host[:port]/path")


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    return urllib3.make_headers(basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")


def _pool(proxy: str | None) -> urllib3.PoolManager:
    if proxy is None:
        return bounded(urllib3.PoolManager(maxsize=_KEPT_CONNECTIONS))
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    credentials = _authorization(parts).get("authorization")
    headers = {"proxy-authorization": credentials} if credentials else None
    return bounded(urllib3.ProxyManager(parts.geturl(), maxsize=_KEPT_CONNECTIONS, proxy_headers=headers))
