"""Which files of an app are watched, and the news that one has changed.

Globs stand below the app's directory: `*` and `?` stay within one name, `**` spans folders. Only the folders that the globs can
reach are watched, those without `**` not deeply. Many changes close together are one piece of news. What a glob matches is
decided here without I/O (`matcher`, `roots`); the watching itself is watchfiles', which is imported only when there is a glob.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

WILD = re.compile(r"[*?\[]")
LEAST_STEP_MS = 50


@dataclass(frozen=True, slots=True)
class Root:
    """A folder to watch, relative to the app's directory; `deep` with all below it."""

    folder: str
    deep: bool


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Says of a path relative to the app's directory whether one of the globs means it."""
    expression = re.compile("|".join(f"(?:{_expression(glob)})" for glob in globs) or r"(?!)", re.DOTALL)
    return lambda path: expression.fullmatch(path) is not None


def _expression(glob: str) -> str:
    parts = _parts(glob)
    out = ""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            out += ".*" if last else "(?:[^/]+/)*"
        else:
            out += _name(part) + ("" if last else "/")
    return out


def _name(part: str) -> str:
    """One name of a glob; a set that is not closed is taken as it stands."""
    out, rest = "", part
    while rest:
        head, rest = rest[0], rest[1:]
        if head == "*":
            out += "[^/]*"
        elif head == "?":
            out += "[^/]"
        elif head == "[" and (end := rest.find("]", 2 if rest[:1] in ("!", "^") else 1)) > 0:
            inside = (
                rest[:end].replace("\\", "\\\\").replace("[", "\\[").replace("&", "\\&").replace("~", "\\~")
            )
            inside = inside.replace("|", "\\|")
            inside = "^/" + inside[1:] if inside[0] in "!^" else inside
            try:
                re.compile(f"[{inside}]")
            except re.error:  # a range that runs backwards
                out += re.escape(head)
                continue
            out += f"(?!/)[{inside}]"
            rest = rest[end + 1 :]
        else:
            out += re.escape(head)
    return out


def _parts(glob: str) -> list[str]:
    return [part for part in glob.split("/") if part not in ("", ".")]


def roots(globs: Iterable[str]) -> tuple[Root, ...]:
    """The folders to watch: for each glob what stands before its first wild name."""
    found: dict[str, bool] = {}
    for glob in globs:
        parts = _parts(glob)
        fixed = 0
        while fixed < len(parts) - 1 and not WILD.search(parts[fixed]):
            fixed += 1
        folder = "/".join(parts[:fixed])
        found[folder] = found.get(folder, False) or len(parts) - fixed > 1 or parts[-1:] == ["**"]
    return tuple(Root(folder, deep) for folder, deep in sorted(found.items()))


class Watcher:
    """Tells of changes while it is on."""

    def __init__(self, tell: Callable[[tuple[str, ...]], None]) -> None:
        self._tell = tell
        self._what: object = None
        self._task: asyncio.Task[None] | None = None

    async def turn_on(self, cwd: Path, globs: tuple[str, ...], debounce: float) -> None:
        """What was watched before is not any more; the same again goes on."""
        what = (cwd, globs, debounce)
        if what == self._what:
            return
        await self.turn_off()
        self._what = what
        if globs:
            self._task = asyncio.create_task(self._watch(cwd, globs, debounce), name="watch")

    async def turn_off(self) -> None:
        self._what = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self, cwd: Path, globs: tuple[str, ...], debounce: float) -> None:
        async for paths in changes(cwd, globs, debounce):
            self._tell(paths)


async def changes(cwd: Path, globs: tuple[str, ...], debounce: float) -> AsyncIterator[tuple[str, ...]]:
    """The changed paths, relative to `cwd` and sorted, each time it has been quiet for `debounce` seconds after a change."""
    means = matcher(globs)
    news: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    watchers = [
        asyncio.create_task(_watch(cwd, folders, deep, means, news, stop, debounce), name=f"watch-{deep}")
        for deep, folders in _folders(cwd, roots(globs)).items()
        if folders
    ]
    try:
        while True:
            yield await _collect(news, debounce)
    finally:
        stop.set()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _collect(news: asyncio.Queue[str], debounce: float) -> tuple[str, ...]:
    paths = {await news.get()}
    while True:
        try:
            async with asyncio.timeout(debounce):
                paths.add(await news.get())
        except TimeoutError:
            return tuple(sorted(paths))


async def _watch(
    cwd: Path,
    folders: list[Path],
    deep: bool,
    means: Callable[[str], bool],
    news: asyncio.Queue[str],
    stop: asyncio.Event,
    debounce: float,
) -> None:
    from watchfiles import awatch

    step = max(LEAST_STEP_MS, min(250, int(debounce * 500)))
    async for batch in awatch(*folders, watch_filter=None, recursive=deep, step=step, stop_event=stop):
        for _, path in batch:
            relative = Path(path).relative_to(cwd).as_posix()
            if means(relative):
                news.put_nowait(relative)


def _folders(cwd: Path, wanted: Iterable[Root]) -> dict[bool, list[Path]]:
    """By depth. For a folder that is not there yet, the nearest one above it, deeply; none within a deep one twice."""
    found: dict[Path, bool] = {}
    for root in wanted:
        folder, deep = cwd / root.folder, root.deep
        while not folder.is_dir() and folder != cwd:
            folder, deep = folder.parent, True
        found[folder] = found.get(folder, False) or deep
    alone = {folder for folder in found if not any(found.get(above) for above in folder.parents)}
    return {deep: sorted(folder for folder in alone if found[folder] is deep) for deep in (True, False)}
