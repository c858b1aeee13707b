"""One check: a clean copy of the commit, the command in it, and how that ended.

A command that was found (pytest) runs in the project's own environment (`.venv`), where it has one, and with the copy first on
PYTHONPATH, so that the copy is tested and not the project's folder that may be installed there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from att import shortrun
from att.event.redact import hide
from att.git.command import git
from att.git.forge.ci import PYTEST
from att.git.forge.models import Conclusion

NO_TESTS = 5
"""What pytest ends with when there are none."""
_COPY = 600.0
Ended = tuple[Conclusion, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Running:
    """`place`: a folder of the check's own. `project`: where the project's environment is looked for."""

    repository: Path
    sha: str
    project: Path
    place: Path
    command: tuple[str, ...]


async def run(
    wish: Running, timeout: float, environ: Mapping[str, str], heard: Callable[[str], None]
) -> Ended:
    """The conclusion, and what is to be kept of it."""
    tree = await _copy(wish)
    argv = _words(wish)
    heard(f"$ {' '.join(argv)}")
    try:
        code = await shortrun.run(
            argv,
            cwd=tree,
            env=environment(wish, tree, environ),
            on_line=lambda line: heard(hide(line)),
            timeout=timeout,
        )
    except TimeoutError:
        heard(f"ended after {timeout:g} s")
        return Conclusion.TIMED_OUT, {"reason": f"it was not done after {timeout:g} s"}
    except OSError as error:
        heard(f"{argv[0]}: {error.strerror}")
        return Conclusion.FAILURE, {"reason": f"{argv[0]} cannot be run: {error.strerror}"}
    if code == 0:
        return Conclusion.SUCCESS, {"exit_code": 0}
    if code == NO_TESTS and wish.command == PYTEST:
        return Conclusion.SKIPPED, {"exit_code": code, "reason": "there are no tests"}
    reason = f"it ended with {code}" if code > 0 else f"it was ended by {_signal(-code)}"
    return Conclusion.FAILURE, {"exit_code": code, "reason": reason}


async def _copy(wish: Running) -> Path:
    await asyncio.to_thread((wish.place / "tmp").mkdir, parents=True)
    words = ("clone", "--quiet", "--shared", "--no-checkout", "--", str(wish.repository), "copy")
    await git(wish.place, *words, protocols=("file",), timeout=_COPY)
    tree = wish.place / "copy"
    await git(tree, "remote", "remove", "origin")
    await git(tree, "checkout", "--quiet", "--detach", wish.sha, timeout=_COPY)
    return tree


def _words(wish: Running) -> tuple[str, ...]:
    if wish.command == PYTEST:
        own = wish.project / ".venv" / "bin" / "python"
        return (str(own) if os.access(own, os.X_OK) else "python3", *PYTEST[1:])
    return wish.command


def environment(wish: Running, tree: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's own, without what would point git or Python elsewhere."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("GIT_", "PYTHON"))}
    kept |= {"CI": "true", "TMPDIR": str(wish.place / "tmp"), "GIT_TERMINAL_PROMPT": "0"}
    bin_folder = wish.project / ".venv" / "bin"
    if bin_folder.is_dir():
        kept |= {
            "PATH": f"{bin_folder}:{kept.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(bin_folder.parent),
        }
    if wish.command == PYTEST:
        kept["PYTHONPATH"] = f"{tree}:{tree / 'src'}"
    return kept


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
