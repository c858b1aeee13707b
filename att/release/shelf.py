"""The folder `ATT_HOME/releases`: what is on it, and how a release comes there and goes again.

A release is there when its `release.json` is; that is written last and goes first. While it is made, a mark lies in its folder
(written before anything else), so that a making that was cut off is known and cleared at the next start, and nothing that
somebody else put there is. What is to go is renamed in one step to a name that is none of a release, then emptied.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att import plain
from att.release import recipe
from att.release.disk import Disk, replace_file, sync_folder, write_file
from att.release.pruning import OnDisk
from att.release.record import INSTALLED, BootRecord, is_name, parse
from att.release.source import digest, walk

MARK = "att-making"
GONE = ".gone-"
NOT_DIGESTED = frozenset({MARK, recipe.DESCRIPTION, f"{recipe.DESCRIPTION}.new", recipe.LOG})
SMALL = 1 << 20
TAIL = 1 << 18


@dataclass(frozen=True, slots=True)
class Shelf:
    home: Path
    disk: Disk

    @property
    def folder(self) -> Path:
        return self.home / "releases"

    def place(self, release: str) -> Path:
        return self.folder / release

    # -- what is there

    def description(self, release: str) -> Mapping[str, Any] | None:
        """The `release.json` of a complete release."""
        if not is_name(release) or release == INSTALLED:
            return None
        try:
            with plain.opened(self.place(release) / recipe.DESCRIPTION) as file:
                body = json.loads(file.read(SMALL))
        except (OSError, ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def found(self) -> dict[str, Mapping[str, Any]]:
        """The complete releases with their descriptions, oldest first."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return {}
        bodies = {name: body for name in names if (body := self.description(name)) is not None}
        return dict(sorted(bodies.items(), key=lambda one: (str(one[1].get("built_at", "")), one[0])))

    def taken(self) -> set[str]:
        """Every name that is used."""
        return {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()

    def on_disk(self) -> list[OnDisk]:
        bulky = (recipe.ENV, recipe.SOURCE)
        return [
            OnDisk(
                name, str(body.get("built_at", "")), any((self.place(name) / part).exists() for part in bulky)
            )
            for name, body in self.found().items()
        ]

    def runs(self, release: str) -> bool:
        """Whether its interpreter is there, as the launcher looks for it."""
        body = self.description(release)
        if body is None:
            return False
        place = self.place(release)
        python = Path(os.path.normpath(place / str(body.get("python", recipe.PYTHON))))
        return python.is_relative_to(place) and os.access(python, os.X_OK)

    def digest(self, release: str) -> str:
        place = self.place(release)
        names = [name for name in walk(place, ()) if name not in NOT_DIGESTED]
        return digest(place, names)

    def record(self) -> BootRecord | None:
        """The launcher's record; None when there is none yet. ValueError when it cannot be understood."""
        try:
            with plain.opened(self.home / "boot.json") as file:
                return parse(file.read(SMALL))
        except FileNotFoundError:
            return None

    def journal(self) -> list[dict[str, Any]]:
        """The newest entries of the launcher's journal, oldest first."""
        try:
            with plain.opened(self.home / "launcher.ndjson") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL))
                lines = file.read(TAIL).split(b"\n")
        except OSError:
            return []
        return [entry for line in lines if (entry := _entry(line)) is not None]

    # -- making

    def begin(self, release: str) -> Path:
        """An empty folder with the mark."""
        if not self.folder.is_dir():
            self.disk.make_folder(self.folder)
            sync_folder(self.disk, self.home)
        place = self.place(release)
        self.disk.make_folder(place)
        write_file(
            self.disk, place / MARK, b"A release is being made here, or was and did not come to its end.\n"
        )
        sync_folder(self.disk, place)
        sync_folder(self.disk, self.folder)
        return place

    def seal(self, release: str, description: Mapping[str, Any], log: str) -> None:
        """All is there: make it durable, and only then a release."""
        place = self.place(release)
        write_file(self.disk, place / recipe.LOG, log.encode("utf-8", "replace"))
        self.disk.sync_tree(place)
        text = json.dumps(description, indent=1) + "\n"
        replace_file(self.disk, place / recipe.DESCRIPTION, text.encode())
        self.disk.unlink(place / MARK)
        sync_folder(self.disk, place)

    # -- clearing

    def discard(self, release: str) -> None:
        """It is no release any more when this begins to remove it."""
        self._away(self.place(release), release)

    def strip(self, release: str) -> None:
        """Only what it was and how it was made stays."""
        for part in (recipe.ENV, recipe.SOURCE):
            path = self.place(release) / part
            if path.is_dir():
                self._away(path, f"{release}-{part}")

    def clear(self) -> list[str]:
        """Whatever an earlier life left unfinished; the names. Only for the one who may make releases."""
        cleared = []
        for name in sorted(self.taken()):
            path = self.place(name)
            if name.startswith(GONE):
                self.disk.remove_tree(path)
            elif path.is_symlink() or not path.is_dir():
                continue
            elif (path / recipe.DESCRIPTION).exists():
                if (path / MARK).exists():
                    self.disk.unlink(path / MARK)
            elif (path / MARK).exists() or not any(path.iterdir()):
                self.discard(name)
                cleared.append(name)
        return cleared

    def _away(self, path: Path, name: str) -> None:
        gone = self.folder / f"{GONE}{name}"
        if gone.exists():
            self.disk.remove_tree(gone)
        self.disk.rename(path, gone)
        sync_folder(self.disk, path.parent)
        self.disk.remove_tree(gone)


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
