"""`ATT_HOME/bin/att`: a command at a place that stays, which calls the current release.

The script never changes with a release; the link `ATT_HOME/current` does, in one step, at the start of every daemon that is in
charge. Without the link, what is installed beside the launcher is called; without that, the newest release that there is.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from att.release.disk import Disk, replace_file, replace_link, sync_folder

LINK, FOLDER, NAME = "current", "bin", "att"
SCRIPT = """#!/bin/sh
# Calls the current release of ATT. Made by ATT, made anew when it is changed.
home={home}
installed={installed}
export ATT_HOME="${{ATT_HOME:-$home}}"
current=$(cd -P -- "$home/{link}" 2>/dev/null && pwd -P)
for python in ${{current:+"$current/env/bin/python"}} "$installed"; do
  [ -x "$python" ] && exec "$python" -P -m att "$@"
done
newest=
for python in "$home"/releases/*/env/bin/python; do
  [ -x "$python" ] && newest=$python
done
[ -n "$newest" ] && exec "$newest" -P -m att "$@"
echo "att: no release of ATT is left in $home/releases" >&2
exit 69
"""


def write_shim(disk: Disk, home: Path, *, installed: bool) -> Path:
    """The script. `installed`: this Python is the one beside the launcher; else what the script says of it stays."""
    path = home / FOLDER / NAME
    if not installed and path.exists():
        return path
    if not path.parent.is_dir():
        disk.make_folder(path.parent)
    python = shlex.quote(sys.executable if installed else "")
    text = SCRIPT.format(home=shlex.quote(str(home)), installed=python, link=LINK).encode()
    if not path.exists() or path.read_bytes() != text:
        replace_file(disk, path, text, 0o700)
    return path


def point_at(disk: Disk, home: Path, release: str | None) -> None:
    """The link leads to this release; None takes it away."""
    link = home / LINK
    if release is None:
        if link.is_symlink():
            disk.unlink(link)
            sync_folder(disk, home)
        return
    target = f"releases/{release}"
    if not link.is_symlink() or str(link.readlink()) != target:
        replace_link(disk, link, target)
