"""How the daemon speaks of itself: structured lines on stderr, for people on a terminal, as JSON elsewhere.

Configured once, before anything else logs; libraries that use the standard library's logging are heard through it from
`warning` on. That nobody can take a line (a full disk below the file, a terminal that is gone) is no reason to stop: the line is
dropped, and nothing of it stays in a buffer, whose flush at the exit would change the exit code.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys

import structlog


class Out:
    """A descriptor that is written to as long as it takes what it is given."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        left = text.encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def configure(level: str) -> None:
    """`level`: debug, info, warning or error."""
    terminal = sys.stderr.isatty()
    out = Out(sys.stderr.fileno())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(out),  # type: ignore[arg-type]  # it writes and flushes, no more
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=out, format="%(name)s %(levelname)s %(message)s")
