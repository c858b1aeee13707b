"""What the disk refuses, as a typed problem: that it is full is told as that everywhere, all else under the place's own code."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from att.problems import Problem
from att.runtime.errors import RunFolderUnusable
from att.store.errors import DiskFull


def refusal(fault: BaseException | None, told: str, otherwise: Callable[[str], Problem]) -> Problem:
    """`DiskFull`, or what `otherwise` says of the place."""
    full = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)
    return (DiskFull if full else otherwise)(told)


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """A folder for an app's temporary files is made within."""
    try:
        yield
    except OSError as fault:
        raise refusal(fault, f"{folder}: {fault.strerror}.", RunFolderUnusable) from fault
