"""The guard of free space: whether there is room to keep lines on disk. Asked often, it looks seldom.

Keeping pauses when less than `keep_free_bytes` is free and that is less than `keep_free_share` of the disk too, and goes on when
there is a tenth more than that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_EVERY: Final = 0.25
Space = Callable[[Path], tuple[int, int]]


def free_and_total(folder: Path) -> tuple[int, int]:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


class Guard:
    """`enough(now)` as of the last look; time is an argument."""

    def __init__(
        self, folder: Path, least_bytes: int, least_share: float, space: Space = free_and_total
    ) -> None:
        self._folder = folder
        self._least_bytes = least_bytes
        self._least_share = least_share
        self._space = space
        self._looked: float | None = None
        self._enough = True
        self.reason = ""

    def enough(self, now: float) -> bool:
        if self._looked is None or now - self._looked >= LOOK_EVERY:
            self._looked = now
            free, total = self._space(self._folder)
            least = int(min(self._least_bytes, total * self._least_share))
            self._enough = free >= (least if self._enough else least + least // 10)
            self.reason = (
                "" if self._enough else f"only {free >> 20} MiB are free on the disk of {self._folder}"
            )
        return self._enough
