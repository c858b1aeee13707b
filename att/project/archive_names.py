"""What an archive may hold, entry by entry: names that stay inside, nothing but files, directories and links, and not too much.

An archive decides nothing but its contents: what it would tell git to run or where to look (hooks, config, other object stores)
is left out. Does no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from att.project.errors import ArchiveRefused, ArchiveTooLarge

MIB = 1 << 20
_GITS = frozenset(
    {"hooks", "config", "config.worktree", "commondir", "gitdir", "alternates", "http-alternates"}
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold."""

    entries: int = 50_000
    packed: int = 512 * MIB
    unpacked: int = 2048 * MIB
    ratio: int = 200
    free: int = 16 * MIB  # the ratio counts from here on
    path: int = 2048
    level: int = 100


LIMITS = Limits()


class Contents:
    """What was taken so far. `ArchiveRefused`, `ArchiveTooLarge` for what cannot be taken."""

    def __init__(self, packed: int, limits: Limits = LIMITS) -> None:
        self._packed = packed
        self._limits = limits
        self._kinds: dict[tuple[str, ...], str] = {}
        self.entries = 0
        self.size = 0

    def entry(self, name: str, kind: str) -> tuple[str, ...] | None:
        """Where an entry goes, as names; None when it is left out. `kind`: file, directory or link."""
        self.entries += 1
        if self.entries > self._limits.entries:
            raise ArchiveTooLarge(f"The archive has more than {self._limits.entries} entries.")
        parts = self._parts(name)
        if not parts or _is_gits(parts, kind):
            return None
        for length in range(1, len(parts)):
            if self._kinds.setdefault(parts[:length], "directory") != "directory":
                raise ArchiveRefused(f"{name[:200]!r} lies below something that is no directory.")
        before = self._kinds.setdefault(parts, kind)
        if len(self._kinds) > 4 * self._limits.entries:
            raise ArchiveTooLarge("The archive has too many directories.")
        if before != kind or (kind != "directory" and self._taken(parts)):
            raise ArchiveRefused(f"{name[:200]!r} is there twice.")
        return parts

    def count(self, size: int) -> None:
        """So many bytes more come out of it."""
        self.size += size
        if self.size > self._limits.unpacked:
            raise ArchiveTooLarge(f"The archive holds more than {self._limits.unpacked // MIB} MiB.")
        if self.size > self._limits.free and self.size > self._limits.ratio * max(self._packed, 1):
            raise ArchiveTooLarge(f"The archive grows to more than {self._limits.ratio} times its size.")

    def _taken(self, parts: tuple[str, ...]) -> bool:
        """Whether this very path was given before; remembers it."""
        key = (*parts, "")
        if key in self._kinds:
            return True
        self._kinds[key] = "taken"
        return False

    def _parts(self, name: str) -> tuple[str, ...]:
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        drive = parts and len(parts[0]) > 1 and parts[0][1] == ":"
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or drive:
            raise ArchiveRefused(f"{name[:200]!r} leads out of the archive.")
        long = (
            len(name.encode("utf-8", "surrogateescape")) > self._limits.path
            or len(parts) > self._limits.level
        )
        if long or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts):
            raise ArchiveRefused(f"{name[:80]!r}… is too long for a name.")
        return parts


def may_point_to(parts: tuple[str, ...], target: str) -> None:
    """`ArchiveRefused` when a link's target leads out by its words alone."""
    depth = len(parts) - 1
    if target.startswith("/") or not target or "\0" in target:
        raise ArchiveRefused(f"The link {'/'.join(parts)[:200]!r} leads out of the archive.")
    for part in target.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            raise ArchiveRefused(f"The link {'/'.join(parts)[:200]!r} leads out of the archive.")


def _is_gits(parts: tuple[str, ...], kind: str) -> bool:
    """Whether it is what would tell git to run something, or to look elsewhere."""
    folded = [part.casefold().rstrip(" .") for part in parts]
    if ".git" not in folded:
        return False
    first = folded.index(".git")
    if first == len(folded) - 1:
        return kind != "directory"
    if folded[first + 1] in ("refs", "logs"):  # the names of branches decide nothing
        return kind == "link"
    return kind == "link" or bool(_GITS.intersection(folded[first + 1 :]))
