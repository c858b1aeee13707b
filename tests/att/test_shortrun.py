"""A short command leaves nothing behind, however it ends."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from att import shortrun
from tests.support import eventually

SPAWNS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


async def run(code: str, *args: str, timeout: float | None = None, lines: list[str] | None = None) -> int:
    heard = lines if lines is not None else []
    return await shortrun.run(
        (sys.executable, "-c", code, *args),
        cwd=Path.cwd(),
        env=os.environ,
        on_line=heard.append,
        timeout=timeout,
    )


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def _lines_and_code() -> None:
    lines: list[str] = []
    code = await run(
        "import sys; print('one'); print('two', file=sys.stderr); print('x' * 200000, end=''); sys.exit(3)",
        lines=lines,
    )
    assert code == 3
    assert sorted(line[:3] for line in lines) == ["one", "two", "xxx"]


def test_lines_and_exit_code_are_told() -> None:
    asyncio.run(_lines_and_code())


async def _child_left() -> None:
    lines: list[str] = []
    assert await run(SPAWNS, "0", lines=lines) == 0
    assert gone(int(lines[0]))


def test_a_child_that_outlives_the_command_is_ended() -> None:
    asyncio.run(_child_left())


LEAVES = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
    os._exit(0)
os.wait()
"""


async def _left_the_family() -> None:
    lines: list[str] = []
    assert await run(LEAVES, lines=lines) == 0
    await eventually(lambda: lines)
    assert gone(int(lines[0]))


def test_a_grandchild_that_left_session_and_family_is_ended_too() -> None:
    asyncio.run(_left_the_family())


async def _too_long() -> None:
    lines: list[str] = []
    with pytest.raises(TimeoutError):
        await run(SPAWNS, "600", timeout=0.7, lines=lines)
    assert gone(int(lines[0]))


def test_the_time_limit_ends_the_whole_tree() -> None:
    asyncio.run(_too_long())


async def _cancelled() -> None:
    lines: list[str] = []
    task = asyncio.create_task(run(SPAWNS, "600", lines=lines))
    await eventually(lambda: lines)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(lines[0]))


def test_a_cancelled_caller_ends_the_whole_tree() -> None:
    asyncio.run(_cancelled())
