"""New heads announced over a websocket: they only wake the listener up, which reads and proves by itself.

web3's persistent provider. It takes most of a second and 40 MB to import, so that happens in the thread of
the socket, and only where a socket is configured.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
_CLOSES_WITHIN_S: Final = 1.0
_HEADS_KNOWN: Final = 64


class WebsocketHeads:
    """Calls ``on_head()`` for each head that a node announces; the socket is opened again for ever.

    ``name`` is what the socket is called in messages, since its URL may hold a key. One that says nothing
    for ``silent_s`` seconds is given up and opened anew; ``connect_s`` bounds the opening. ``random`` gives
    the jitter of the pauses, which double from 0.5 to 10 s.
    """

    def __init__(
        self,
        url: str,
        name: str,
        on_head: Callable[[], None],
        *,
        silent_s: float = 60.0,
        connect_s: float = 5.0,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._url = url
        self._name = name
        self._on_head = on_head
        self._silent_s = silent_s
        self._connect_s = connect_s
        self._random = random or SystemRandom().random
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heads of {name}", daemon=True)
        self._connected = False
        self.losses = 0

    def __repr__(self) -> str:
        return f"WebsocketHeads({self._name})"

    @property
    def connected(self) -> bool:
        """Say whether heads are announced at present."""
        return self._connected

    def start(self) -> None:
        """Begin to listen, in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening, within a second."""
        self._closing.set()
        loop = self._loop
        if loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # closed in between, which is what is wanted
                loop.call_soon_threadsafe(_cancel_all, loop)
        if self._thread.ident is not None:
            self._thread.join(_CLOSES_WITHIN_S)

    def _run(self) -> None:
        # The provider logs what it is sent, URLs among it.
        logging.getLogger("web3").setLevel(logging.CRITICAL)
        logging.getLogger("websockets").setLevel(logging.CRITICAL)
        try:
            asyncio.run(self._for_ever())
        except asyncio.CancelledError:
            _LOG.debug("%s is closed", self._name)

    async def _for_ever(self) -> None:
        self._loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while not self._closing.is_set():
            trouble = await self._listen()
            if self._connected:
                pause = _FIRST_PAUSE_S
            if self._connected or self.losses == 0:
                _LOG.warning("%s: %s; polling goes on, the socket is opened again", self._name, trouble)
            self._connected = False
            self.losses += 1
            await asyncio.sleep(pause * (0.5 + self._random() / 2))
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _listen(self) -> str:
        """Listen until the socket is lost, and return why; never more than the kind of error.

        Whatever a socket does is one and the same here: it is lost, and polling goes on without it.
        """
        from web3 import AsyncWeb3, WebSocketProvider  # noqa: PLC0415 - most of a second, see above

        provider = WebSocketProvider(self._url, max_connection_retries=1, request_timeout=self._connect_s)
        web3 = AsyncWeb3(provider)
        try:
            await asyncio.wait_for(provider.connect(), self._connect_s)
            await asyncio.wait_for(web3.eth.subscribe("newHeads"), self._connect_s)
            _LOG.info("%s announces heads", self._name)
            self._connected = True
            await self._announce(web3)
        except TimeoutError:
            return f"silent for {self._silent_s:g} s" if self._connected else "no answer"
        except Exception as error:  # noqa: BLE001 - counted and told; nothing depends on the socket
            return f"lost ({type(error).__name__})"
        finally:
            await _disconnected(provider)
        return "closed"

    async def _announce(self, web3: Any) -> None:
        messages = web3.socket.process_subscriptions().__aiter__()
        told: deque[Any] = deque(maxlen=_HEADS_KNOWN)
        while True:
            message = await asyncio.wait_for(anext(messages), self._silent_s)
            head = message["result"]["hash"]
            if head not in told:  # a socket that repeats itself must not make us ask more often
                told.append(head)
                self._on_head()


async def _disconnected(provider: Any) -> None:
    try:
        await asyncio.wait_for(provider.disconnect(), _CLOSES_WITHIN_S)
    except Exception as error:  # noqa: BLE001 - it is gone already, which is what is wanted
        _LOG.debug("a socket did not part well: %s", type(error).__name__)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
