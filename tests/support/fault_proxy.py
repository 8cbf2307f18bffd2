"""A node's HTTP and websocket ports with faults put in: stands between a listener and anvil."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson
from aiohttp import web

from tests.support.fault_answers import AFTER, BEFORE, SOCKET, TRANSPORT, Exchange, Fault
from tests.support.fault_proxy_socket import FaultySocket

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS: Final = {"http 500": 500, "http 502": 502}
_LOOK_S: Final = 0.02
_KINDS: Final = frozenset((*BEFORE, *AFTER, *TRANSPORT, *SOCKET))


@dataclass(slots=True)
class _Standing:
    """A fault in force: how often it may still strike, and until when."""

    fault: Fault
    left: int | None
    until: float

    def lasts(self, now: float) -> bool:
        """Say whether it is still in force."""
        return self.left != 0 and (self.fault.seconds is None or now < self.until)


class FaultProxy:
    """Serves ``url`` and ``ws_url``; the faults set at a moment strike the requests of that moment.

    ``requests`` holds (time, method) of every entry of every batch, by time.monotonic.
    """

    def __init__(self, upstream: str, seed: int = 0) -> None:
        self._upstream = upstream
        self._standing: list[_Standing] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="fault proxy")
        self._up = threading.Event()
        self._site: web.TCPSite | None = None
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._socket: FaultySocket | None = None
        self.port = 0
        self.requests: list[tuple[float, str]] = []
        self.struck: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(10):
            raise RuntimeError("the proxy did not come up")
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where JSON-RPC is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where the websocket is served."""
        return f"ws://127.0.0.1:{self.port}"

    def set(self, *faults: Fault) -> None:
        """Let these faults be from now on, and no others; ValueError for a kind that there is not."""
        if unknown := {fault.kind for fault in faults} - _KINDS:
            raise ValueError(f"no such faults: {unknown}")
        asyncio.run_coroutine_threadsafe(self._let(faults), self._loop).result(10)

    def methods(self, since: float, until: float) -> Counter[str]:
        """Count the requests of each method between two moments of time.monotonic."""
        return Counter(method for at, method in self.requests if since <= at < until)

    def rate(self, since: float, until: float) -> float:
        """Return the requests per second between two moments of time.monotonic."""
        return self.methods(since, until).total() / max(until - since, 1e-9)

    def _serve(self) -> None:
        # A listener that hangs up, or is hung up on, is what the faults are for.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._up.set()
        self._loop.run_forever()

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120))
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/", self._post)
        self._socket = FaultySocket(self._session, self._upstream, self._struck)
        app.router.add_get("/", self._socket.serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen(wanted=True)

    async def _let(self, faults: Iterable[Fault]) -> None:
        now = time.monotonic()
        self._standing = [_Standing(fault, fault.times, now + (fault.seconds or 0)) for fault in faults]
        for standing in self._standing:
            if standing.fault.seconds is not None:
                self._loop.call_later(standing.fault.seconds, self._over)
        await self._follow()

    def _over(self) -> None:
        task = self._loop.create_task(self._follow())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self) -> None:
        now = time.monotonic()
        refused = any(each.fault.kind == "refuse" and each.lasts(now) for each in self._standing)
        await self._listen(not refused)

    async def _listen(self, wanted: bool) -> None:  # noqa: FBT001 - on or off
        if wanted and self._site is None and self._runner is not None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await self._site.start()
            self.port = self._runner.addresses[0][1]
        elif not wanted and self._site is not None:
            await self._site.stop()
            self._site = None
            if self._socket is not None:
                await self._socket.cut()

    async def _close(self) -> None:
        if self._runner:
            await self._runner.cleanup()
        if self._session:
            await self._session.close()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        asked = orjson.loads(await request.read())
        entries = asked if isinstance(asked, list) else [asked]
        now = time.monotonic()
        self.requests += [(now, str(entry.get("method"))) for entry in entries]
        for fault in self._struck(TRANSPORT, str(entries[0].get("method"))):
            answer = await self._transport(fault, request)
            if answer is not None:
                return answer
        replies = await self._answered(entries)
        return web.json_response(
            body=orjson.dumps(replies if isinstance(asked, list) else replies[0]),
            content_type="application/json",
        )

    async def _transport(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        if fault.kind in _STATUS:
            return web.Response(status=_STATUS[fault.kind], text="bad gateway")
        if fault.kind == "rate limit":
            return web.Response(status=429, headers={"Retry-After": f"{fault.amount:.0f}"})
        if fault.kind == "garbage":
            return web.Response(text="<html>oops</html>")
        if fault.kind == "slow":
            await asyncio.sleep(fault.amount)
        elif fault.kind == "stall":
            # Looked at now and then: whether the fault is over, and whether anybody still waits.
            while self._stands(fault) and request.transport and not request.transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
            raise ConnectionResetError
        elif fault.kind in ("hang up", "refuse") and request.transport:
            request.transport.close()
            raise ConnectionResetError
        return None

    async def _answered(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        struck = [[*self._struck((*BEFORE, *AFTER), str(entry.get("method")))] for entry in entries]
        head = await self._head() if any(struck) else 0
        replies: dict[int, dict[str, Any]] = {}
        for at, entry in enumerate(entries):
            for fault in struck[at]:
                before = BEFORE.get(fault.kind)
                reply = before and before(Exchange(entry, fault, head, self._chance))
                if reply:
                    replies[at] = reply
        # "latest" of a node that lags is the block it has come to.
        lag = max((int(f.amount) for faults in struck for f in faults if f.kind == "lag"), default=0)
        left = [at for at in range(len(entries)) if at not in replies]
        asked = [_shifted(entries[at], hex(max(0, head - lag))) if lag else entries[at] for at in left]
        for at, reply in zip(left, await self._ask(asked), strict=True):
            told = reply
            for fault in struck[at]:
                after = AFTER.get(fault.kind)
                told = after(Exchange(entries[at], fault, head, self._chance, told)) if after else told
            replies[at] = told
        return [replies[at] for at in range(len(entries))]

    async def _ask(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not entries:
            return []
        if self._session is None:
            raise RuntimeError("the proxy is closed")
        body = orjson.dumps(entries if len(entries) > 1 else entries[0])
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._upstream, data=body, headers=headers) as response:
            answered = orjson.loads(await response.read())
        return answered if isinstance(answered, list) else [answered]

    async def _head(self) -> int:
        (reply,) = await self._ask([{"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}])
        return int(reply["result"], 16)

    def _struck(self, kinds: Iterable[str], method: str) -> list[Fault]:
        now = time.monotonic()
        found = []
        for each in self._standing:
            if each.fault.kind in kinds and each.lasts(now) and each.fault.strikes(method, self._chance):
                found.append(each.fault)
                each.left = None if each.left is None else each.left - 1
        self.struck.update(fault.kind for fault in found)
        return found

    def _stands(self, fault: Fault) -> bool:
        now = time.monotonic()
        return any(
            each.fault is fault and (fault.seconds is None or now < each.until) for each in self._standing
        )


def _shifted(entry: dict[str, Any], latest: str) -> dict[str, Any]:
    params = [latest if each == "latest" else each for each in entry.get("params") or []]
    return {**entry, "params": params}
