"""The programs that the daemon finds, `git` among them: it can be taken away, or say for one command what git says only on a bad
day. What it is lies in the folder beside the daemon's home, and is put back by `git_again`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.daemon import RunningDaemon

NOBODY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
"""No configuration of whoever runs the tests."""
GIT = shutil.which("git") or "git"


def path(folder: Path) -> str:
    """A PATH with all that is on ours, in which `git` is ours to change."""
    ours = folder / "programs"
    ours.mkdir()
    found = []
    for each in map(Path, os.get_exec_path()):
        if not (each / "git").exists():
            found.append(str(each))
            continue
        for program in each.iterdir():
            if not os.path.lexists(ours / program.name):
                (ours / program.name).symlink_to(program)
    return os.pathsep.join([str(ours), *found])


def _git(daemon: RunningDaemon) -> Path:
    there = daemon.home.parent / "programs" / "git"
    there.unlink(missing_ok=True)
    return there


def git_again(daemon: RunningDaemon) -> None:
    _git(daemon).symlink_to(GIT)


def no_git(daemon: RunningDaemon) -> None:
    _git(daemon)


def git_says(command: str, said: str) -> Callable[[RunningDaemon], None]:
    """git ends this command with an error in these words."""
    return _does(command, f"echo {said!r} >&2\n    exit 128")


def git_is_endless(command: str) -> Callable[[RunningDaemon], None]:
    """git's answer to this command has no end."""
    return _does(command, "exec cat /dev/zero")


def _does(command: str, what: str) -> Callable[[RunningDaemon], None]:
    def change(daemon: RunningDaemon) -> None:
        program = _git(daemon)
        program.write_text(
            f'#!/bin/sh\ncase " $* " in\n*" --literal-pathspecs {command} "*)\n    {what};;\nesac\nexec {GIT} "$@"\n'
        )
        program.chmod(0o755)

    return change
