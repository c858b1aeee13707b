"""How the making of a release, or the switch to it, goes on: as SSE or NDJSON, piece by piece, and its outcome at the end.

The cursor of a making counts its lines; that of a switch is the number of the journal's entry. So whoever asks again after the
daemon was replaced goes on where it stopped, in the life that took over.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from att.release.journal import Switch, sentence, switch_to
from att.release.staging import Staging, StagingState

if TYPE_CHECKING:
    from att.release.releases import Releases

MAKING, SWITCH = "m", "s"


def frame(name: str, cursor: str, content: Mapping[str, object], sse: bool) -> bytes:
    text = json.dumps({"type": name, "cursor": cursor, **content})
    return f"id: {cursor}\nevent: {name}\ndata: {text}\n\n".encode() if sse else f"{text}\n".encode()


async def frames(releases: Releases, name: str, after: str | None, sse: bool) -> AsyncIterator[bytes]:
    """Ends with `done`, or when the daemon leaves."""
    staging = releases.staging
    if staging is not None and staging.release == name and not (await releases.switch_of(name)).phase:
        async for piece in _making(staging, _number(after, MAKING), sse):
            yield piece
        return
    async for piece in _switch(releases, name, _number(after, SWITCH), sse):
        yield piece


async def _making(staging: Staging, after: int, sse: bool) -> AsyncIterator[bytes]:
    number = after
    async for number, lines in staging.follow(after):
        share = round(staging.share, 3)
        for line in lines:
            told: dict[str, Any] = {"line": line, "phase": staging.phase, "progress": share}
            yield frame("progress", f"{MAKING}{number}", told, sse)
    error = staging.problem.detail if staging.problem is not None else None
    if staging.state is StagingState.CANCELLED:
        error = "It was cancelled."
    yield frame("done", f"{MAKING}{number}", {"state": staging.state.value, "error": error}, sse)


async def _switch(releases: Releases, name: str, after: int, sse: bool) -> AsyncIterator[bytes]:
    read: list[Mapping[str, Any]] = [*releases.shelf.journal()]
    told = after
    switch = Switch(name)
    live = releases.words.follow() if releases.words is not None else _once()
    async for heard in live:
        last = max((entry["n"] for entry in read if isinstance(entry.get("n"), int)), default=0)
        read += [entry for entry in heard if isinstance(entry.get("n"), int) and entry["n"] > last]
        switch = switch_to(name, read)
        begun = _begun(name, read)
        for entry in read:
            if entry.get("n", 0) > told and entry.get("n", 0) >= begun:
                told = entry["n"]
                content = {"line": sentence(entry), "phase": switch.phase, "progress": switch.share}
                yield frame("progress", f"{SWITCH}{told}", content, sse)
        if not switch.under_way:
            break
    if switch.under_way:
        return  # the daemon leaves; the next one goes on
    state = (await releases.status(name)).state.value
    yield frame("done", f"{SWITCH}{told}", {"state": state, "error": switch.error}, sse)


def _begun(name: str, entries: list[Mapping[str, Any]]) -> int:
    """The number of the entry with which the last switch to this release began; far away when there was none."""
    found = [
        entry["n"]
        for entry in entries
        if entry.get("release") == name and entry.get("event") in ("standby", "switching") and "n" in entry
    ]
    return found[-1] if found else 1 << 62


async def _once() -> AsyncIterator[list[Mapping[str, Any]]]:
    yield []


def _number(cursor: str | None, kind: str) -> int:
    digits = (cursor or "").removeprefix(kind)
    return int(digits) if (cursor or "").startswith(kind) and digits.isascii() and digits.isdigit() else 0
