"""Reading files that somebody else may have put there: plain ones only, and never more than is expected.

A pipe, a terminal or a device of that name would be waited for, or read for ever; a directory or a file of gigabytes is no better.
What is wrong is an OSError, as for a file that may not be read, with words for a person in `strerror`.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

SETTINGS = 1 << 20
"""Bytes that a file of settings may have."""


class NotPlain(OSError):
    """What has this name is no plain file, or is larger than it may be."""

    def __str__(self) -> str:
        return str(self.strerror)


def opened(path: Path) -> BinaryIO:
    """The plain file of this name, to be read; links to one are followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise _not_plain(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_plain(path)
    return open(descriptor, "rb")


def content(path: Path, most: int) -> bytes:
    """All of the plain file of this name."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NotPlain(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return data


def text(path: Path, most: int = SETTINGS) -> str:
    """All of it, as UTF-8; UnicodeDecodeError when it is none."""
    return content(path, most).decode("utf-8").replace("\r\n", "\n")


def _not_plain(path: Path) -> NotPlain:
    return NotPlain(errno.EINVAL, "it is no plain file", str(path))
