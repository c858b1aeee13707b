"""The private temporary directory of a run: empty and ours before it, wiped after it, since apps leave secrets there.

To be quick it is moved aside first and deleted afterwards; what a life that was killed had moved aside is deleted by the next.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

ASIDE = ".gone"


def renew(path: Path) -> None:
    """An empty directory that only we can enter. Raises OSError."""
    put_aside(path)
    path.mkdir(mode=0o700, parents=True)
    path.chmod(0o700)  # whatever the umask says


def put_aside(path: Path) -> None:
    """Out of the way, whatever it is; also a link, which is not followed."""
    try:
        path.rename(path.with_name(f".{path.name}-{secrets.token_hex(4)}{ASIDE}"))
    except FileNotFoundError:
        return


def wipe(path: Path) -> None:
    """Deletes all that was put aside from this path. Blocks; raises OSError when something cannot be deleted."""
    for gone in path.parent.glob(f".{path.name}-*{ASIDE}"):
        if gone.is_dir() and not gone.is_symlink():
            _delete(gone)
        else:
            gone.unlink(missing_ok=True)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except PermissionError:  # the app took its own rights away: give them back and try once more
        folder.chmod(0o700)
        for path, folders, _ in os.walk(folder):
            for name in folders:
                place = Path(path, name)
                if not place.is_symlink():
                    place.chmod(0o700)
        shutil.rmtree(folder)
