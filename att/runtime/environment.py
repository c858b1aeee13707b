"""The Python environment of a project, as it stands on disk: is there one, does it work, is it up to date, what is in it.

Looked at without running anything in it (a start must not pay for that): `pyvenv.cfg`, the interpreter, the names of the
`.dist-info` folders, and two files of ours. `att-building` is written before the first and removed after the last step of a
build, `att-environment.json` (the stamp, with the digest of the inputs) is written last: so a build that was cancelled or
killed is recognised. A `.venv` without either is the user's own: it is used as it is and never touched without being asked.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from att import plain
from att.runtime import nat
from att.runtime.recipe import FOLDER

BUILDING = "att-building"
STAMP = "att-environment.json"


class Standing(StrEnum):
    MISSING = "missing"
    UNFINISHED = "unfinished"  # a build that did not come to its end
    BROKEN = "broken"
    STALE = "stale"  # works, but made from other inputs
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Environment:
    """What was found. `own`: made by the user, not by ATT."""

    folder: Path
    standing: Standing
    reason: str = ""
    own: bool = False
    python_version: str = ""
    installed: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    built_at: str = ""

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python"

    @property
    def nat_version(self) -> str:
        return self.installed.get("nvidia-nat-core") or self.installed.get(nat.PACKAGE, "")

    @property
    def usable(self) -> bool:
        return self.standing in (Standing.READY, Standing.STALE)


def look(project: Path, digest: str = "") -> Environment:
    """The environment of the project; `digest` of today's recipe tells whether it is up to date."""
    folder = project / FOLDER
    if not folder.is_dir():
        return Environment(folder, Standing.MISSING, "there is no .venv")
    if (folder / BUILDING).exists():
        return Environment(folder, Standing.UNFINISHED, "a build was begun and did not come to its end")
    stamp = _stamp(folder)
    own = stamp is None
    version = _python_version(folder)
    python = folder / "bin" / "python"
    if not version or not os.access(python, os.X_OK):
        return Environment(folder, Standing.BROKEN, f"{FOLDER}/bin/python cannot be run", own=own)
    installed = packages(folder)
    found = Environment(
        folder,
        Standing.READY,
        own=own,
        python_version=version,
        installed=installed,
        source="" if stamp is None else str(stamp.get("source", "")),
        built_at="" if stamp is None else str(stamp.get("built_at", "")),
    )
    faults = nat.faults(installed, found.nat_version) if found.nat_version else []
    if faults:
        reason = f"NAT {found.nat_version} will not start: " + "; ".join(faults)
        return replace(found, standing=Standing.BROKEN, reason=reason)
    if stamp is not None and digest and stamp.get("digest") != digest:
        reason = "the project's dependencies or settings changed since it was built"
        return replace(found, standing=Standing.STALE, reason=reason)
    return found


def packages(folder: Path) -> dict[str, str]:
    """Name → version of what is installed, by the names of the metadata folders."""
    found = {}
    for place in folder.glob("lib/python3*/site-packages"):
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.endswith(".dist-info"):
                    name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
                    found[nat.normal(name)] = version
    return found


def begin(folder: Path) -> None:
    """Mark that a build is under way, before anything else is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BUILDING).write_text("A build of this environment is under way, or was ended before its end.\n")


def finish(folder: Path, *, digest: str, source: str, built_at: str) -> None:
    """Write the stamp; only then take the mark away."""
    stamp = {
        "digest": digest,
        "source": source,
        "built_at": built_at,
        "python": _python_version(folder),
        "built_by": "att",
        "platform": sys.platform,
    }
    draft = folder / f"{STAMP}.new"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(stamp, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / STAMP)
    (folder / BUILDING).unlink(missing_ok=True)


def _stamp(folder: Path) -> dict[str, object] | None:
    try:
        found = json.loads(plain.text(folder / STAMP))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _python_version(folder: Path) -> str:
    try:
        text = plain.content(folder / "pyvenv.cfg", plain.SETTINGS).decode("utf-8", "replace")
    except OSError:
        return ""
    values = dict(
        part for line in text.splitlines() if len(part := [p.strip() for p in line.partition("=")[::2]]) == 2
    )
    return values.get("version_info") or values.get("version", "")
