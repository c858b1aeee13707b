"""Bringing an archive into a workplace: fetched into a file without a name, unpacked, lifted out of its only directory."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO

from att.project.archive import Unpacking, lifted
from att.project.download import fetch, open_file
from att.project.download_source import Archive
from att.project.errors import DownloadTimedOut
from att.project.files import remove_tree

Report = Callable[[str, int], Awaitable[None]]
_TELL = 0.5  # seconds between two looks at how far it is


async def bring(archive: Archive, work: Path, *, local: bool, timeout: float, report: Report) -> None:
    """Make `work` from the archive. What is there when it raises is the caller's to remove."""
    deadline = time.monotonic() + timeout
    if archive.file is not None:
        with await asyncio.to_thread(open_file, archive.file) as opened:
            await _unpack(opened, work, deadline, report)
    else:
        with await asyncio.to_thread(_nameless, work.parent) as fetched:
            try:
                async with asyncio.timeout(timeout):
                    await fetch(archive.url or "", fetched, local=local, report=report)
            except TimeoutError as error:
                raise DownloadTimedOut(f"The archive was not here after {timeout:g} s.") from error
            fetched.flush()
            await _unpack(fetched, work, deadline, report)
    if archive.strip:
        await asyncio.to_thread(_lift, work)


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


async def _unpack(opened: IO[bytes], work: Path, deadline: float, report: Report) -> None:
    """In a thread, which has ended when this returns or raises."""
    unpacking = Unpacking(opened, work, deadline=deadline)
    task = asyncio.ensure_future(asyncio.to_thread(unpacking.run))
    try:
        while not (await asyncio.wait([task], timeout=_TELL))[0]:
            await report("Unpacking", unpacking.percent)
    except BaseException:
        unpacking.stop()
        await asyncio.wait([task])
        raise
    task.result()


def _lift(work: Path) -> None:
    """What lies in the only directory takes the place of the whole."""
    inner = lifted(work)
    if inner != work:
        aside = Path(f"{work}-lifted")
        inner.rename(aside)
        remove_tree(work)
        aside.rename(work)
