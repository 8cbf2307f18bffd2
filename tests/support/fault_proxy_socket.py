"""A node's websocket with faults put in: what a listener hears of new heads, if it hears of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.fault_answers import Fault

_CLOSES_WITHIN_S: Final = 0.2
_METHOD: Final = "ws"
"""What a websocket's messages count as where a fault is for some methods only."""


class FaultySocket:
    """Hands messages on between a client and the node; ``struck`` says which faults meet one."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        upstream: str,
        struck: Callable[[Iterable[str], str], list[Fault]],
    ) -> None:
        self._session = session
        self._upstream = upstream
        self._struck = struck
        self._clients: set[web.WebSocketResponse] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one websocket until either side is gone."""
        if self._strikes("socket refused"):
            return web.Response(status=503)
        client = web.WebSocketResponse(timeout=_CLOSES_WITHIN_S)
        await client.prepare(request)
        self._clients.add(client)
        try:
            async with self._session.ws_connect(self._upstream) as node:
                there = asyncio.ensure_future(_relay(client, node))
                try:
                    await self._announce(node, client)
                finally:
                    there.cancel()
        finally:
            self._clients.discard(client)
        return client

    async def cut(self) -> None:
        """Close every websocket that is open."""
        for client in list(self._clients):
            await client.close()

    def _strikes(self, kind: str) -> bool:
        return bool(self._struck((kind,), _METHOD))

    async def _announce(self, node: aiohttp.ClientWebSocketResponse, client: web.WebSocketResponse) -> None:
        held: list[str] = []
        async for message in node:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            if self._strikes("socket dropped"):
                await client.close()
                return
            if self._strikes("socket silent"):
                continue
            if self._strikes("socket shuffled") and not held:
                held.append(message.data)
                continue
            for text in (message.data, *held) * (2 if self._strikes("socket doubled") else 1):
                await client.send_str(text)
            held.clear()


async def _relay(client: web.WebSocketResponse, node: aiohttp.ClientWebSocketResponse) -> None:
    async for message in client:
        if message.type is aiohttp.WSMsgType.TEXT:
            await node.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await node.send_bytes(message.data)
