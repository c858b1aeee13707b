"""The process that searches files: started for one search, ended with it.

In a process of its own an expression that would take for ever, or a file without a line end, harms nobody: the time limit
interrupts it (the engine looks for signals on its way), memory is bounded, and the daemon's loop never waits. It walks the
tree once; an expression that must look at every character is shared among as many processes as there are processors (a plain
text is found faster than they are begun). The standard library only, so that it starts fast.

An answer is lines of JSON: matches in the order of paths and lines, then one object that tells how it went.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import signal
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from att.code.globs import Rules
from att.code.lines import Finder
from att.code.tree import Tree

CHUNK = 128  # files that one process takes at a time
BLOCK = 4 << 20
MEMORY = 2 << 30
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BINARY = 8000  # bytes at the start that are looked at, as git does

Place = tuple[str, str, str]  # the directory's path with a slash at its end, the name, the path


class TimeIsOver(Exception):
    """The alarm has rung."""


@dataclass(slots=True)
class Found:
    """What one process has found: each with the place of its file in the order of all."""

    matches: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    files: int = 0
    binary: int = 0
    reason: str | None = None


def main(job: dict[str, Any]) -> None:
    """Do the job and print the answer."""
    gc.disable()  # it lives for one search, and makes no circles worth a look
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _ring)
    deadline = time.monotonic() + job["timeout"]
    _alarm(deadline)
    found = Found()
    try:
        finder = Finder(
            job["query"], regex=job["regex"], ignore_case=job["ignore_case"], context=job["context"]
        )
        places = list(_places(job))
        found = _shared(places, finder, job, deadline)
    except re.error as error:
        _say({"invalid": error.msg, "position": error.pos})
        return
    except TimeIsOver:
        found.reason = "timeout"
    except (MemoryError, RecursionError, OverflowError) as error:
        _say({"invalid": f"it is too large ({type(error).__name__})", "position": None})
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    found.matches.sort(key=lambda each: each[0])
    if len(found.matches) > job["limit"]:
        found.reason = "limit"
    for _, match in found.matches[: job["limit"]]:
        _say(match)
    _say({"files": found.files, "binary": found.binary, "reason": found.reason})


def _ring(number: int, frame: object) -> None:
    raise TimeIsOver


def _alarm(deadline: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, max(0.001, deadline - time.monotonic()))


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


def _places(job: dict[str, Any]) -> Iterator[Place]:
    globs = Rules(job["globs"])
    start = tuple(job["start"])
    for node in Tree(job["root"], hidden=job["hidden"], ignored=job["ignored"]).walk(start):
        if node.kind != "file":
            continue
        if globs:
            told = globs.decide_below(node.path, node.name)
            if told is False or (told is None and globs.positive):
                continue
        yield node.path[: -len(node.name)], node.name, node.path


def _shared(places: list[Place], finder: Finder, job: dict[str, Any], deadline: float) -> Found:
    """The work of all processes together."""
    share = 1 if finder.is_cheap else min(job["processes"], len(places) // CHUNK) or 1
    pipes: list[int] = []
    for number in range(1, share):
        reading, writing = os.pipe()
        if os.fork() == 0:
            _work(places, finder, job, deadline, number, share, writing)
        os.close(writing)
        pipes.append(reading)
    found = Found()
    _sweep(places, finder, job, deadline, 0, share, found)
    for reading in pipes:
        with open(reading, "rb") as opened:
            told = json.loads(opened.read() or '{"matches": [], "files": 0, "binary": 0, "reason": "failed"}')
        found.matches += [(order, match) for order, match in told["matches"]]
        found.files += told["files"]
        found.binary += told["binary"]
        found.reason = found.reason or told["reason"]
    return found


def _work(
    places: list[Place],
    finder: Finder,
    job: dict[str, Any],
    deadline: float,
    number: int,
    share: int,
    pipe: int,
) -> None:
    """The whole life of a helping process."""
    try:
        found = Found()
        _alarm(deadline)
        _sweep(places, finder, job, deadline, number, share, found)
        with open(pipe, "w", encoding="ascii") as opened:
            told = {
                "matches": found.matches,
                "files": found.files,
                "binary": found.binary,
                "reason": found.reason,
            }
            json.dump(told, opened)
    finally:
        os._exit(0)


def _sweep(
    places: list[Place],
    finder: Finder,
    job: dict[str, Any],
    deadline: float,
    number: int,
    share: int,
    found: Found,
) -> None:
    """Search every `share`-th chunk of files. Stops when it alone has found more than is wanted."""
    root = os.open(job["root"], _FOLDER & ~os.O_NOFOLLOW)
    try:
        for begin in range(number * CHUNK, len(places), share * CHUNK):
            chunk = enumerate(places[begin : begin + CHUNK], begin)
            for folder_path, together in groupby(chunk, key=lambda each: each[1][0]):
                folder = _open_below(root, folder_path)
                if folder is None:
                    continue
                try:
                    for order, (_, name, path) in together:
                        _search(folder, name, path, order, finder, job["limit"], found)
                        if len(found.matches) > job["limit"]:
                            return
                finally:
                    os.close(folder)
    except TimeIsOver:
        found.reason = "timeout"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.close(root)


def _open_below(root: int, path: str) -> int | None:
    folder = os.dup(root)
    for name in path.split("/")[:-1]:
        try:
            below = os.open(name, _FOLDER, dir_fd=folder)
        except OSError:
            return None
        finally:
            os.close(folder)
        folder = below
    return folder


def _search(folder: int, name: str, path: str, order: int, finder: Finder, limit: int, found: Found) -> None:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return
    try:
        data = os.read(descriptor, 1 << 16)
        if b"\0" in data[:_BINARY]:
            found.binary += 1
            return
        found.files += 1
        if len(data) == 1 << 16:
            _long(descriptor, data, path, order, finder, limit, found)
        elif finder.maybe(data):
            _keep(finder.find(data, 1), path, order, limit, found)
    except OSError:
        return
    finally:
        os.close(descriptor)


def _keep(matches: Iterator[dict[str, Any]], path: str, order: int, limit: int, found: Found) -> None:
    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    for match in matches:
        found.matches.append((order, {"path": shown, **match}))
        if len(found.matches) > limit:
            return


def _long(
    descriptor: int, rest: bytes, path: str, order: int, finder: Finder, limit: int, found: Found
) -> None:
    """A file in blocks of whole lines; a line that is longer than a block is cut."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return
    number = 1
    while len(found.matches) <= limit:
        piece = os.read(descriptor, BLOCK)
        data = rest + piece
        cut = data.rfind(b"\n") + 1 if piece and len(data) < 2 * BLOCK else len(data)
        block, rest = data[:cut], data[cut:]
        if finder.maybe(block):
            _keep(finder.find(block, number), path, order, limit, found)
        number += block.count(b"\n")
        if not piece:
            return
