"""Which releases are still in use by a process: told by what it was started with, its folder and its environment.

An app that an earlier release started may hold a path into it for as long as it runs; so may a shell of the user's.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import psutil


def used(folder: Path, releases: Collection[str]) -> set[str]:
    """Those of `releases`, below `folder`, that a process of ours names."""
    marks = {name: f"{folder / name}{os.sep}" for name in releases}
    found: set[str] = set()
    if not marks:
        return found
    for process in psutil.process_iter():
        try:
            if process.uids().real != os.getuid():
                continue
            told = "\0".join([*process.cmdline(), f"{process.cwd()}{os.sep}", *process.environ().values()])
        except (psutil.Error, OSError):
            continue  # it has ended, or hides itself
        found |= {name for name, mark in marks.items() if mark in f"{told}{os.sep}"}
    return found
