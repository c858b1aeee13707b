"""What an earlier life left of a log: opened, and mended once it is certain that its streams do not go on.

Mending ends the lines that the earlier life had begun and skips the offsets that it may have given out. It must wait while the
launcher may still hold a ring in which those very lines go on.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from supervisor.logs.errors import LogUnusable
from supervisor.logs.position import Position
from supervisor.logs.runs import Runs
from supervisor.logs.segments import Segments
from supervisor.logs.values import LogSettings

_log: Final = logging.getLogger(__name__)


def open_folder(folder: Path, settings: LogSettings) -> tuple[Position, Segments, Runs]:
    """Everything in the folder, as far as it is sound. Raises LogUnusable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise LogUnusable(f"{folder}: {fault.strerror}") from fault
    position = Position(folder / "position")
    try:
        if not position.lock():
            raise LogUnusable(f"{folder}: another process writes this log")
        segments = Segments(folder, settings.segment_bytes, clean=position.clean)
        runs = Runs(folder / "runs")
    except LogUnusable:
        position.close()
        raise
    position.begin = max(position.begin, segments.end or 0)
    return position, segments, runs


def open_lines(segments: Segments) -> int:
    """How many lines mending would end, by a byte each."""
    return sum(standing.open.unfinished for standing in segments.standing.values())


def mend(position: Position, segments: Segments) -> None:
    """Ends the lines that stand open. What comes next begins at `position.begin`."""
    try:
        mended = len(segments.mend(segments.standing, segments.lines, segments.newest_at))
    except OSError as fault:  # no space: the ends of those lines read as lost with what follows them
        _log.warning(
            "%s: lines left open by an earlier life could not be ended: %s", segments.folder, fault.strerror
        )
        mended = 0
    segments.lines += mended
    segments.standing.clear()
    segments.seal()
    position.begin += mended
    if mended:
        position.start(position.begin)
