"""The values that go in and out of a log: settings, filters, lines, pages, batches. Frozen, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
PAGE_LIMIT: Final = 10_000
PIECE: Final = 32 * 1024  # a line longer than this is given out in pieces


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How much is held in memory and on disk, and how long the app may be made to wait."""

    ring_bytes: int = 16 * MIB
    log_wait: float = 2.0  # the app never waits longer than this for us
    segment_bytes: int = 64 * MIB
    keep_free_bytes: int = 512 * MIB  # keeping on disk pauses below the greater of the two
    keep_free_share: float = 0.05


@dataclass(frozen=True, slots=True)
class Keeping:
    """Whether lines are being kept on disk; when not, `reason` says why in a sentence (memory still holds the newest)."""

    on: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which lines to give out. All that are set must hold. `level` is the least level; `grep` a regular expression."""

    stream: str | None = None  # "stdout" | "stderr"
    run: str | None = None
    grep: str | None = None
    level: str | None = None  # "debug" | "info" | "warning" | "error" | "critical"
    strip_ansi: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """What lies between the cursor that was asked for and the first line that can still be given."""

    bytes: int
    lines: int | None  # None where nobody could count them


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or one piece of an over-long one (`continued`: more of the same line follows in the next piece)."""

    cursor: str  # stands just after the line: resuming here gives the next one
    at: str  # RFC 3339, UTC, microseconds
    stream: str
    run: str
    text: str
    continued: bool = False
    level: str | None = None
    logger: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to one question. `lost` comes before the lines. `next_cursor` moves on also when a filter left nothing."""

    lines: Sequence[Line]
    next_cursor: str
    oldest_cursor: str
    newest_cursor: str
    lost: Lost | None = None
