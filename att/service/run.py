"""Running the programs of the service manager, each within a time, and telling what they said when they refuse."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from att.service.errors import CommandFailed

LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return (self.err.strip() or self.out.strip() or f"exit code {self.code}").splitlines()[-1]


class Runner:
    """Programs are looked up on the PATH of `environ`, which they are also given."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {**environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}

    def has(self, program: str) -> bool:
        return shutil.which(program, path=self._environ.get("PATH")) is not None

    def ask(self, *words: str, limit: float = LIMIT, account: str | None = None) -> Done:
        """What the program said, whatever its exit code; CommandFailed when it cannot be run or takes too long."""
        try:
            done = subprocess.run(
                [shutil.which(words[0], path=self._environ.get("PATH")) or words[0], *words[1:]],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
                cwd="/",
                user=account,
                group=None if account is None else _group(account),
                extra_groups=None if account is None else [],
            )
        except OSError as error:
            raise _failed(words, error.strerror or str(error)) from None
        except subprocess.TimeoutExpired:
            raise _failed(words, f"it has not ended within {limit:g} s") from None
        return Done(done.returncode, done.stdout, done.stderr)

    def do(self, *words: str, limit: float = LIMIT) -> Done:
        """The same; CommandFailed also for an exit code that is not 0."""
        done = self.ask(*words, limit=limit)
        if done.code != 0:
            raise _failed(words, done.said)
        return done


def _group(account: str) -> int:
    import pwd

    return pwd.getpwnam(account).pw_gid


def _failed(words: tuple[str, ...], said: str) -> CommandFailed:
    command = " ".join(words)
    return CommandFailed(f"`{command}`: {said}", command=command, output=said)
