"""The project `held`: a repository with a remote, made once and copied into its place again before each question.

On `main` it holds two commits, and so does its remote; `side` is merged, `ahead` changes `a.txt` and is nowhere else, and
`ignored` is what `.gitignore` leaves out. A `Change` brings it into the state that an error needs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.att.project.repositories import git
from tests.contract.parity.programs import git_again
from tests.daemon import RunningDaemon

HELD = {"project_id": "held"}
FURTHER = "further.git"
Change = Callable[[Path], object]
Before = Callable[[RunningDaemon], None]


def held(*changes: Change, then: Before = git_again) -> Before:
    """As it was made, with these changes; `then` what git is to be like."""

    def before(daemon: RunningDaemon) -> None:
        git_again(daemon)
        model, projects = daemon.home.parent / "model", daemon.home / "projects"
        if not model.exists():
            _make(model)
        for each in model.iterdir():
            shutil.rmtree(projects / each.name, ignore_errors=True)
            shutil.copytree(each, projects / each.name, symlinks=True)
        if daemon.ask("GET", "/projects/held").status == 404:
            assert daemon.ask("POST", "/projects", {"path": str(projects / "held")}).status == 201
        for change in changes:
            change(projects / "held")
        then(daemon)

    return before


def _make(model: Path) -> None:
    folder, remote = model / "held", model / "held-remote.git"
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "--template=")
    commit(folder, {"a.txt": "one\n", ".gitignore": "ignored\n", "ignored": "", "data.bin": b"\0\xff"})
    git(folder, "branch", "side")
    git(folder, "switch", "-q", "-c", "ahead")
    commit(folder, {"a.txt": "one, ahead\n"})
    git(folder, "switch", "-q", "main")
    commit(folder, {"b.txt": "two\n", "folder/c.txt": "three\n"})
    git(model, "clone", "-q", "--bare", "--template=", str(folder), str(remote))
    git(remote, "branch", "-D", "ahead")
    git(folder, "remote", "add", "origin", "../held-remote.git")
    git(folder, "fetch", "-q")
    git(folder, "branch", "-q", "--set-upstream-to", "origin/main")
    git(folder, "repack", "-q", "-a", "-d")
    _make_further(remote, model.with_name(FURTHER))


def _make_further(remote: Path, further: Path) -> None:
    """The remote as it is when somebody else has pushed."""
    shutil.copytree(remote, further)
    other = further.with_suffix(".other")
    git(further.parent, "clone", "-q", str(further), str(other))
    commit(other, {"a.txt": "one, there\n"})
    git(other, "push", "-q", "origin", "main")
    shutil.rmtree(other)


def commit(folder: Path, files: dict[str, str | bytes]) -> None:
    write(files)(folder)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "a change")


def write(files: dict[str, str | bytes]) -> Change:
    def change(folder: Path) -> None:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def by_hand(*words: str) -> Change:
    return lambda folder: git(folder, *words)


def made(**files: str) -> Change:
    return lambda folder: commit(folder, {name.replace("_", "."): text for name, text in files.items()})


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


def no_repository(folder: Path) -> None:
    shutil.rmtree(folder / ".git")


def bare(folder: Path) -> None:
    """The folder is itself what `.git` is elsewhere."""
    for each in (folder / ".git").iterdir():
        each.rename(folder / each.name)
    (folder / ".git").rmdir()


def inner(folder: Path) -> None:
    """The repository is the one of the folder above."""
    no_repository(folder)
    git(folder.parent, "init", "-q")


def not_inner(daemon: RunningDaemon) -> None:
    shutil.rmtree(daemon.home / "projects" / ".git", ignore_errors=True)


def elsewhere(folder: Path) -> None:
    (folder / ".git").rename(folder / "other")
    (folder / ".git").symlink_to("other")


def damaged(folder: Path) -> None:
    (folder / ".git" / "config").write_text("[[[\n")


def too_far(folder: Path) -> None:
    """Where `.git` leads cannot even be looked at."""
    no_repository(folder)
    (folder / ".git").write_text("gitdir: " + "a" * 300)


def empty(folder: Path) -> None:
    """No commit yet."""
    git(folder, "symbolic-ref", "HEAD", "refs/heads/unborn")
    git(folder, "rm", "-q", "-r", "--cached", ".")


def detached(folder: Path) -> None:
    git(folder, "checkout", "-q", "--detach")


def locked(name: str) -> Change:
    return lambda folder: (folder / ".git" / f"{name}.lock").write_text("")


def merging(folder: Path) -> None:
    """A merge was begun, and nothing is in conflict."""
    commit_id = git(folder, "rev-parse", "HEAD")
    (folder / ".git" / "MERGE_HEAD").write_text(commit_id)


def in_conflict(folder: Path) -> None:
    """Both sides changed a.txt, and a merge stopped at that."""
    commit(folder, {"a.txt": "one, here\n"})
    try:
        git(folder, "merge", "-q", "ahead")
    except Exception as error:
        assert "CONFLICT" in str(getattr(error, "stdout", "")), error
        return
    raise AssertionError("there is no conflict")


def behind(folder: Path) -> None:
    """The remote has a commit that is not here, which changes a.txt."""
    remote = folder.with_name("held-remote.git")
    shutil.rmtree(remote)
    shutil.copytree(folder.parents[2] / FURTHER, remote)


def odd_branch(folder: Path) -> None:
    """The remote has a branch that is no commit."""
    remote = folder.with_name("held-remote.git")
    blob = git(remote, "rev-parse", "main:a.txt")
    (remote / "refs" / "heads" / "odd").write_text(blob)
