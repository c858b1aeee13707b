"""Searching a project: a process of its own for each search (`att.code.sweep`), which is ended at the time limit."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import att
from att.code.errors import InvalidPattern, TooManySearches
from att.code.models import Match, Matches, SearchFiles
from att.shortrun import run

PROCESSES = 4
_LATE = 5.0  # seconds after its limit at which a search is ended from outside
_PATIENCE = 10.0  # seconds that a search waits for others
_START = "import sys, json; sys.path.insert(0, sys.argv[1]); from att.code.sweep import main; main(json.loads(sys.argv[2]))"


async def search(folder: Path, start: tuple[str, ...], ask: SearchFiles, turn: asyncio.Semaphore) -> Matches:
    """All lines that match, or as many as time and limit allow."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await turn.acquire()
    except TimeoutError:
        raise TooManySearches("Other searches have not ended yet.") from None
    began = time.monotonic()
    try:
        told, ended = await _run(folder, start, ask)
    finally:
        turn.release()
    last = told.pop() if told and "path" not in told[-1] else {}
    if "invalid" in last:
        raise _invalid(last)
    reason: Any = last.get("reason") if last else ("failed" if ended else "timeout")
    return Matches(
        matches=[Match.model_construct(**match) for match in told],
        complete=reason is None,
        reason=reason,
        files=last.get("files", 0),
        binary=last.get("binary", 0),
        seconds=round(time.monotonic() - began, 3),
    )


async def _run(folder: Path, start: tuple[str, ...], ask: SearchFiles) -> tuple[list[dict[str, Any]], bool]:
    """What the process told, and whether it ended by itself."""
    job = ask.model_dump(exclude={"project_id", "path"}) | {
        "root": str(folder),
        "start": start,
        "processes": min(PROCESSES, os.cpu_count() or 1),
    }
    above = str(Path(att.__path__[0]).parent)
    command = [sys.executable, "-I", "-S", "-c", _START, above, json.dumps(job)]
    told: list[dict[str, Any]] = []

    def take(line: str) -> None:
        if line.startswith("{"):
            told.append(json.loads(line))

    try:
        await run(command, cwd=folder, env={"LC_ALL": "C.UTF-8"}, on_line=take, timeout=ask.timeout + _LATE)
    except TimeoutError:
        return told, False
    return told, True


def _invalid(told: dict[str, Any]) -> InvalidPattern:
    position = told["position"]
    where = "" if position is None else f" at position {position}"
    message = f"{told['invalid']}{where}"
    fields = [{"field": "query", "message": message}]
    return InvalidPattern(f"The expression is not valid: {message}.", position=position, fields=fields)
