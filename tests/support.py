"""What many tests need: waiting for something to become true, and ports of our own."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")


async def eventually(check: Callable[[], T | Awaitable[T]], timeout: float = 10.0, every: float = 0.01) -> T:
    """The first true answer of `check`, asked again and again; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = check()
        if isawaitable(answer):
            answer = await answer
        if answer:
            return answer  # type: ignore[return-value]
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout} s: {check}; last answer {answer!r}")
        await asyncio.sleep(every)


def eventually_sync(check: Callable[[], T], timeout: float = 10.0, every: float = 0.01) -> T:
    """`eventually` for tests without a loop."""
    deadline = time.monotonic() + timeout
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout} s: {check}; last answer {answer!r}")
        time.sleep(every)
    return answer


def free_port() -> int:
    """A port that was free a moment ago on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unmeasured() -> dict[str, str]:
    """The environment for a process whose very end is looked at: no measuring of coverage takes part in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
