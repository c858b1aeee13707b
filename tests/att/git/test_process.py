"""One process from start to end, and what is left of its session."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from att.git.process import run
from launcher.protocol.kin import read
from tests.att.rooms import on_a_loop
from tests.support import eventually_sync

HELPED = "sleep 30 & echo $! > helper.new; mv helper.new helper; wait"
"""It leaves a helper that holds its pipes open, as git does."""


@on_a_loop
async def test_a_cancel_while_it_starts_leaves_no_helper_and_waits_for_none(tmp_path: Path) -> None:
    running = asyncio.create_task(
        run(["sh", "-c", HELPED], cwd=tmp_path, env=dict(os.environ), timeout=30, limit=100)
    )
    for _ in range(2):  # it is there, and our end of its pipes is not
        await asyncio.sleep(0)
    eventually_sync((tmp_path / "helper").exists)
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 10
    helper = read(int((tmp_path / "helper").read_text()))
    assert helper is None or not helper.alive


@on_a_loop
async def test_a_cancel_before_a_program_that_is_not_there_is_a_cancel(tmp_path: Path) -> None:
    running = asyncio.create_task(run(["/no/such"], cwd=tmp_path, env={}, timeout=30, limit=100))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
