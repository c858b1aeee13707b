"""Making a repository, staging and committing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from att.confine import TEMPORARY
from att.confine_errors import PathOutsideProject
from att.confine_walk import is_git, parts_of
from att.git import log, names
from att.git.command import git
from att.git.errors import (
    EmptyMessage,
    GitFailed,
    InvalidAuthor,
    InvalidMessage,
    MergeConflict,
    NotARepository,
    NothingStaged,
    NothingToAmend,
    RepositoryAbove,
    RepositoryExists,
)
from att.git.models import AddFiles, Commit, MakeCommit
from att.git.repository import Repository, open_repository
from att.git.said import problem_of
from att.problems import InvalidRequest

_AUTHOR = re.compile(r"[^<>\x00\n]*[^<>\x00\n\s][^<>\x00\n]* <[^<>\x00\n]*>")
_ARGUMENTS = 100_000


async def init(folder: Path, branch: str) -> Repository:
    """Make the folder a repository, with nothing committed."""
    names.branch(branch, field="branch")
    try:
        await open_repository(folder)
    except (NotARepository, RepositoryAbove):
        pass
    else:
        raise RepositoryExists("The project is a repository already.")
    try:
        await git(folder, "init", "--quiet", "--template=", f"--initial-branch={branch}", ".")
    except GitFailed as failed:
        raise problem_of(failed) from failed
    return await open_repository(folder)


async def add(repository: Repository, ask: AddFiles) -> None:
    """Stage paths, or all."""
    if bool(ask.path) == ask.all:
        message = "either paths or `all` is needed"
        raise InvalidRequest(f"{message.capitalize()}.", fields=[{"field": "path", "message": message}])
    await _stage(repository, ask.path, "--all", *(["--force"] if ask.force else []))


async def _stage(repository: Repository, paths: Sequence[str], *flags: str) -> None:
    words = ("add", *flags)
    if paths:
        listed = b"\0".join(confined(path).encode("utf-8", "surrogateescape") for path in paths)
        await repository.run(*words, "--pathspec-from-file=-", "--pathspec-file-nul", stdin=listed)
    else:
        await repository.run(*words, "--", ".")
        await _without_drafts(repository)


async def _without_drafts(repository: Repository) -> None:
    """Not what the code room is writing just now, nor what a kill left of it."""
    listed = (await repository.run("ls-files", "-z")).out.split(b"\0")
    drafts = [path for path in listed if path.rpartition(b"/")[2].startswith(TEMPORARY.encode())]
    if drafts:
        words = ("rm", "--cached", "--quiet", "--force", "--pathspec-from-file=-", "--pathspec-file-nul")
        await repository.run(*words, stdin=b"\0".join(drafts))


def confined(path: str) -> str:
    """The path, if it lies in the project and not in git's own."""
    if any(is_git(part) for part in parts_of(path)):
        raise PathOutsideProject(f"{path[:200]!r} belongs to git itself.")
    return path


async def commit(repository: Repository, ask: MakeCommit) -> Commit:
    """Commit, and answer what was made."""
    message = _message(ask)
    _must_fit(ask)
    await _must_have_no_conflicts(repository)
    before = await repository.head()
    if ask.amend and before is None:
        raise NothingToAmend("HEAD names no commit yet.")
    if message is None and before is not None:
        message = await _message_of(repository, before)
    if ask.path:
        repository.must_be_at_rest()
        await _stage(repository, ask.path, "--all")
    elif ask.all:
        await _stage(repository, [], "--update")
    if not (ask.allow_empty or ask.amend or repository.under_way()):
        await _must_be_staged(repository, ask.path)
    words = ["commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--no-post-rewrite"]
    words += ["--file=-"] if message is not None else ["--no-edit"]
    words += ["--allow-empty"] if ask.allow_empty or ask.amend else []
    words += ["--amend"] if ask.amend else []
    words += [f"--author={ask.author}"] if ask.author else []
    words += ["--only", "--", *ask.path] if ask.path else []
    await repository.run(*words, stdin=None if message is None else message.encode())
    return await log.one(repository, await repository.commit_of("HEAD"))


def _message(ask: MakeCommit) -> str | None:
    if ask.message is None and ask.amend:
        return None
    if not (ask.message or "").strip():
        raise EmptyMessage("The message is empty.", fields=[{"field": "message", "message": "is empty"}])
    if not kept(ask.message or ""):
        why = "holds NUL or a character that is none"
        raise InvalidMessage(f"The message {why}.", fields=[{"field": "message", "message": why}])
    return ask.message


async def _message_of(repository: Repository, commit: str) -> str | None:
    """The message as it is (git itself would strip it); None when it is no text that git would keep."""
    message = (await log.one(repository, commit)).message
    return message if message and "\ufffd" not in message and kept(message) else None


def kept(text: str) -> bool:
    """Whether git keeps the text as it is: no NUL ends it, and none of Unicode's non-characters makes git take it for Latin-1."""
    codes = map(ord, text)
    return not any(code == 0 or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF for code in codes)


def _must_fit(ask: MakeCommit) -> None:
    if ask.author is not None and not (_AUTHOR.fullmatch(ask.author) and kept(ask.author)):
        fields = [{"field": "author", "message": "not `Name <address>`"}]
        raise InvalidAuthor("The author is not written as `Name <address>`.", fields=fields)
    wrong = ""
    if ask.all and ask.path:
        wrong = "does not go with `all`"
    elif sum(len(path.encode()) + 1 for path in ask.path) > _ARGUMENTS:
        wrong = f"is longer than {_ARGUMENTS} bytes in all"
    if wrong:
        raise InvalidRequest(f"path {wrong}.", fields=[{"field": "path", "message": wrong}])


async def _must_have_no_conflicts(repository: Repository) -> None:
    files = await conflicts(repository)
    if files:
        raise MergeConflict(
            f"{len(files)} files have conflicts that are not resolved.",
            hint="Resolve them, and stage them with `att git add`.",
            files=files,
        )


async def conflicts(repository: Repository) -> list[str]:
    """The files that are not merged."""
    done = await repository.run("ls-files", "--unmerged", "-z")
    paths = (entry.partition(b"\t")[2] for entry in done.out.split(b"\0") if entry)
    return list(dict.fromkeys(path.decode("utf-8", "backslashreplace") for path in paths))[:100]


async def _must_be_staged(repository: Repository, paths: Sequence[str]) -> None:
    """git itself would look into submodules to tell why there is nothing."""
    done = await repository.run("diff", "--cached", "--quiet", "--end-of-options", "--", *paths, check=False)
    if done.code == 0:
        raise NothingStaged("Nothing is staged" + (" of these paths." if paths else "."))
