"""Waiting for the served functions and calling them, in tests that run them as processes."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    """Wait until the condition holds; AssertionError says what did not come about in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.05)


def wait_until_served(port: int) -> None:
    """Wait until the server answers."""

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            return False
        else:
            return True
        finally:
            connection.close()

    wait_until(answers, f"the functions answer on port {port}")


def reconcile_over_http(port: int, body: dict[str, Any]) -> dict[str, Any]:
    """Call ``reconcile`` and return its report."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/reconcile", json.dumps(body))
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    finally:
        connection.close()
    assert response.status == 200, answer
    return answer
