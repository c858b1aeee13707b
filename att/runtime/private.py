"""The private socket of a run: where it is asked for its health before it takes connections from the shared one.

It lies in the run's own folder, which is wiped with it; where the path would be too long for a socket, in a folder of
the user's own below the system's temporary one. The same home, project and slot give the same path in every life.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

NAME = "app.sock"
LONGEST = 100  # the kernel takes 107 bytes on Linux, 103 on macOS


def path(tmp: Path) -> str:
    """For the run whose private TMPDIR is `tmp`. Raises OSError when there is no safe place for it."""
    inside = tmp / NAME
    if len(os.fsencode(inside)) <= LONGEST:
        return str(inside)
    folder = Path(tempfile.gettempdir()) / f"att-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(1, "it is not a folder that only this user can enter", str(folder))
    return str(folder / f"{hashlib.sha256(os.fsencode(tmp)).hexdigest()[:20]}.sock")


def remove(tmp: Path) -> None:
    """Nothing of it stays, wherever it was."""
    Path(path(tmp)).unlink(missing_ok=True)
