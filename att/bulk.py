"""Where large values are read, written and turned into others: in one thread, one after the other.

Such work holds the interpreter, in a thread too. Ten threads of it would take turns with each other, and the loop would have
every eleventh; of one it has every other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

LARGE = 64 << 10
"""Bytes up to which it is not worth a thread."""
_ASIDE = ThreadPoolExecutor(1, "att-bulk")

T = TypeVar("T")


async def aside(function: Callable[..., T], *args: Any) -> T:
    """What the function says; it runs beside the loop, after all others that do. Not for what waits for a disk or a peer."""
    return await asyncio.get_running_loop().run_in_executor(_ASIDE, function, *args)
