"""The one place where git is run: the user's own, so that keys, helpers and signing work as they do by hand.

The repository decides nothing but its contents. No hook and no program that its configuration or attributes name is run
(`att.git.settings`), its `.git` does not lead elsewhere (`att.git.place`), nothing asks at a terminal, no pager, editor or other
language comes in between, and a path is a path, never a pattern. Whoever does not say which `protocols` may be used talks to
nobody: neither a remote nor a lazy fetch. What goes in has a bound, and so has what comes out; git and all of its session is
ended at the time limit and when the caller is cancelled. Credentials reach git by its environment, and no error text.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from att.event.redact import hide
from att.git import process, settings
from att.git.errors import (
    GitFailed,
    GitMissing,
    GitTimedOut,
    OutputTooLarge,
    RemoteRefused,
    RepositoryElsewhere,
)
from att.git.place import LeadsElsewhere, Place, find
from supervisor.parent import marks

MIB = 1024 * 1024
NETWORK = ("https", "http", "ssh", "git")
"""The protocols of remotes that are not on this machine; `file` is for paths that the caller has found to be allowed."""
_KEPT = frozenset({"GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_EXEC_PATH"})
_KEPT |= {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"}
_DIFFING = frozenset({"diff", "log", "show", "diff-tree", "diff-index", "diff-files"})
_RECEIVE = (
    "git -c core.hooksPath=/dev/null -c receive.denyCurrentBranch=refuse -c receive.autogc=false receive-pack"
)
"""Who takes a push to a repository on this machine: it may be a downloaded one, so none of its hooks runs."""
_LISTING = 4 * MIB


@dataclass(frozen=True, slots=True)
class Done:
    """What git answered. `cut`: there was more than the limit, and git was ended."""

    code: int
    out: bytes
    err: str
    cut: bool = False

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "replace")

    @property
    def lines(self) -> list[str]:
        """As git means lines: a name may hold what else ends one elsewhere (U+0085, U+2028)."""
        return self.text.removesuffix("\n").split("\n") if self.out else []


async def git(
    folder: Path,
    *words: str,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    limit: int = 32 * MIB,
    check: bool = True,
    cut: bool = False,
    protocols: Collection[str] = (),
    config: Sequence[tuple[str, str]] = (),
    on_said: Callable[[str], None] | None = None,
) -> Done:
    """Run git in a repository's root (its work tree or a bare one), or in a folder that is none, for `init` and `clone`.

    `check`: `GitFailed` unless it ends with 0. `cut`: an answer beyond `limit` is cut there; else `OutputTooLarge`.
    `config` wins over every configuration. What comes from outside stands behind `--` or `--end-of-options`.
    """
    base = _environment(protocols)
    place = await asyncio.to_thread(_place, folder)
    base |= _whereabouts(folder, place)
    entries = await _entries(folder, base, timeout)
    if "file" in protocols and settings.serves_itself(entries):
        raise RemoteRefused(
            "The repository's configuration names programs of its own that are to serve its remotes."
        )
    base["GIT_SSH_COMMAND"] = base.get("GIT_SSH_COMMAND") or settings.ssh_command(entries)
    told = [*settings.ALWAYS, *settings.set_back(entries), *settings.identity(entries), *config]
    done = await _run(
        (*_FIRST, *_with_flags(words, "file" in protocols)),
        folder,
        {**base, **_numbered(told), **(env or {})},
        stdin=stdin,
        timeout=timeout,
        limit=limit,
        on_said=on_said,
    )
    if done.overflowed and not cut:
        raise OutputTooLarge(f"git {words[0]} answers more than {limit} bytes.")
    err = hide(done.said.decode("utf-8", "replace")).strip()
    if check and done.code != 0 and not done.overflowed:
        raise GitFailed(f"git {words[0]} said: {_last(err) or done.code}", git_code=done.code, err=err)
    return Done(done.code, done.out, err, done.overflowed)


_FIRST = ("git", "--no-pager", "--literal-pathspecs")


def _with_flags(words: tuple[str, ...], local: bool) -> tuple[str, ...]:
    if words[0] == "push" and local:
        return ("push", f"--receive-pack={_RECEIVE}", *words[1:])
    if words[0] in _DIFFING:  # else an attribute can name a program
        return (words[0], "--no-ext-diff", "--no-textconv", *words[1:])
    return words


def _place(folder: Path) -> Place | None:
    try:
        return find(folder)
    except LeadsElsewhere as error:
        raise RepositoryElsewhere(f"{error}.") from error
    except OSError as error:
        raise GitFailed(f"{error.filename or folder}: {error.strerror}.", err=str(error)) from error


def _whereabouts(folder: Path, place: Place | None) -> dict[str, str]:
    """git is told where the repository is, so that it looks for none and takes nobody's word for the work tree."""
    if place is None:
        return {"GIT_CEILING_DIRECTORIES": os.path.realpath(folder.parent)}
    found = {"GIT_DIR": str(place.git_dir)}
    return found if place.work_tree is None else {**found, "GIT_WORK_TREE": str(place.work_tree)}


def _environment(protocols: Collection[str]) -> dict[str, str]:
    """The daemon's own, without what would point git elsewhere or make it ask."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "ATT_")) or k in _KEPT}
    return kept | {
        **marks(),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_ALLOW_PROTOCOL": ":".join(protocols) or "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_PROXY_COMMAND": "",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_EDITOR": "true",
        "GIT_SEQUENCE_EDITOR": "true",
        "GIT_PAGER": "cat",
        "GIT_ADVICE": "0",
        "GIT_MERGE_AUTOEDIT": "no",
        "LC_ALL": "C",
        "LANGUAGE": "",
    }


def _numbered(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Configuration by environment: it stands in no argument that others can read."""
    found = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


async def _entries(folder: Path, env: Mapping[str, str], timeout: float) -> list[settings.Entry]:
    """All configuration that is in force; reading it runs nothing."""
    words = ("git", "config", "--list", "--show-scope", "-z", "--includes")
    done = await _run(words, folder, env, stdin=None, timeout=timeout, limit=_LISTING)
    if done.code != 0:
        said = hide(done.said.decode("utf-8", "replace")).strip()
        raise GitFailed(f"git config said: {_last(said)}", git_code=done.code, err=said)
    return settings.parsed(done.out)


async def _run(
    argv: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    *,
    stdin: bytes | None,
    timeout: float,
    limit: int,
    on_said: Callable[[str], None] | None = None,
) -> process.Ended:
    try:
        return await process.run(
            argv, cwd=folder, env=env, stdin=stdin, timeout=timeout, limit=limit, on_said=on_said
        )
    except FileNotFoundError as error:
        if not await asyncio.to_thread(folder.is_dir):
            raise GitFailed(f"{folder} is gone.", err=str(error)) from error
        raise GitMissing("There is no git on the PATH of the daemon.") from error
    except TimeoutError as error:
        raise GitTimedOut(f"git was not done after {timeout:g} s.") from error


def _last(said: str) -> str:
    """The lines in which git says what is wrong."""
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:", "remote:", "ssh:"))]
    return " ".join((lines or said.splitlines())[-3:])[:600]
