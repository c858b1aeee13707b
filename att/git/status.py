"""How the working tree is: `git status --porcelain=v2 -z`, asked and understood.

Nothing is written by the asking, and no git is started inside of submodules: of those only another commit is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from att.git.models import AskGitStatus, Change, ChangedFile, ConflictedFile, GitStatus
from att.git.repository import Repository

CHANGES: dict[str, Change] = {
    "A": "added",
    "M": "modified",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "T": "type_changed",
    "U": "unmerged",
}
_CONFLICTS = {
    "DD": "both deleted",
    "AU": "added by us",
    "UD": "deleted by them",
    "UA": "added by them",
    "DU": "deleted by us",
    "AA": "both added",
    "UU": "both modified",
}


def path_of(raw: bytes) -> str:
    r"""A path as text; bytes that are no text stand as `\xff`."""
    return raw.decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class Told:
    """What the porcelain says."""

    branch: str | None = None
    commit: str | None = None
    upstream: str | None = None
    ahead: int | None = None
    behind: int | None = None
    staged: list[ChangedFile] = field(default_factory=list)
    unstaged: list[ChangedFile] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)
    conflicts: list[ConflictedFile] = field(default_factory=list)


def parse(porcelain: bytes) -> Told:
    """The entries of porcelain v2 with NULs; an unfinished one at the end is left out."""
    told = Told()
    records = iter(porcelain.split(b"\0")[:-1])
    for record in records:
        kind, _, rest = record.partition(b" ")
        if kind == b"#":
            _header(told, rest.decode("utf-8", "replace"))
        elif kind == b"1":
            state, *_, path = rest.split(b" ", 7)
            _changed(told, state.decode(), path_of(path), None)
        elif kind == b"2":
            state, *_, path = rest.split(b" ", 8)
            _changed(told, state.decode(), path_of(path), path_of(next(records, b"")))
        elif kind == b"u":
            state, *_, path = rest.split(b" ", 9)
            told.conflicts.append(
                ConflictedFile(path=path_of(path), conflict=_CONFLICTS.get(state.decode(), "unmerged"))
            )
        elif kind == b"?":
            told.untracked.append(path_of(rest))
    return told


def _header(told: Told, line: str) -> None:
    name, _, value = line.partition(" ")
    if name == "branch.oid":
        told.commit = None if value == "(initial)" else value
    elif name == "branch.head":
        told.branch = None if value == "(detached)" else value
    elif name == "branch.upstream":
        told.upstream = value
    elif name == "branch.ab":
        ahead, behind = value.split()
        told.ahead, told.behind = int(ahead), -int(behind)


def _changed(told: Told, state: str, path: str, old: str | None) -> None:
    for letter, entries in ((state[0], told.staged), (state[1], told.unstaged)):
        if letter != ".":
            moved = old if letter in "RC" else None
            entries.append(ChangedFile(path=path, change=CHANGES.get(letter, "unknown"), old_path=moved))


async def status(repository: Repository, ask: AskGitStatus) -> GitStatus:
    """The state of the repository now."""
    done = await repository.run(
        *("status", "--porcelain=v2", "-z", "--branch", "--ahead-behind", "--renames"),
        *(f"--untracked-files={ask.untracked}", "--ignore-submodules=dirty"),
        cut=True,
    )
    told = parse(done.out)
    lists = (told.staged, told.unstaged, told.untracked, told.conflicts)
    detached = told.branch is None and await repository.branch() is None
    return GitStatus(
        project_id=ask.project_id,
        branch=told.branch,
        commit=told.commit,
        detached=detached,
        upstream=told.upstream,
        ahead=told.ahead,
        behind=told.behind,
        clean=not any(lists),
        in_progress=repository.under_way(),
        staged=told.staged[: ask.limit],
        unstaged=told.unstaged[: ask.limit],
        untracked=told.untracked[: ask.limit],
        conflicts=told.conflicts[: ask.limit],
        truncated=done.cut or any(len(entries) > ask.limit for entries in lists),
    )
