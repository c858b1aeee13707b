"""Who keeps the processes: the interface. Its form within this process is in local.py.

A keeper makes a process on word, signals it on word, says when it ended, and ends everything that belongs to a run. It
decides nothing: when to start again is the runner's business. It names processes by run id only, so that no reused process id
is ever signalled, and it hands the output of a run straight to the log. Another form of the same interface speaks to the
launcher; so nothing here may need the caller and the process to share anything but values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SpawnOrder:
    """What to run. `env` is the whole environment; the keeper adds its two markers and nothing else."""

    run_id: str
    command: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)  # it may hold secrets
    log: str  # id of the log that takes stdout and stderr
    socket: str = ""  # name of a held listening socket, given as descriptor 3


@dataclass(frozen=True, slots=True)
class Spawned:
    run_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a run's first process: by itself with `code`, or by `signal`. One of the two is None."""

    run_id: str
    pid: int
    code: int | None
    signal: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was found alive and ended: `ended` processes, of which `killed` had to be killed. `pids` in the order found."""

    ended: int = 0
    killed: int = 0
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """A run the keeper knows: alive while `exit` is None; afterwards until it is acknowledged."""

    run_id: str
    pid: int
    log: str
    exit: Exit | None


class Keeper(Protocol):
    """All methods may be called from the loop's thread only. A run is known from `spawn` until `acknowledge`."""

    id: str  # of the home: what one life left is found by it in the next

    async def spawn(self, order: SpawnOrder) -> Spawned:
        """Raises CommandNotFound, CommandNotExecutable, WorkingDirectoryMissing, SpawnFailed, RunExists, UnknownSocket."""
        ...

    async def signal(self, run_id: str, signum: int) -> bool:
        """To the first process of the run (never to another, also not after its end). False when it has ended."""
        ...

    async def exited(self, run_id: str) -> Exit:
        """Returns when the first process has ended; at once when it has. Any number of callers. Raises UnknownRun."""
        ...

    async def members(self, run_id: str) -> tuple[int, ...]:
        """Process ids of all that belongs to the run now, the first process first."""
        ...

    async def clear(self, run_id: str, grace: float = 0.0) -> Cleared:
        """Ends everything that belongs to the run, also the first process: SIGTERM, `grace` seconds, SIGKILL, and again
        until nothing is found (`grace` 0: SIGKILL at once). Says what it found beside the first process."""
        ...

    async def acknowledge(self, run_id: str) -> None:
        """The exit has been noted by whom it concerns; the keeper may forget the run. Raises UnknownRun while it lives."""
        ...

    async def release(self, run_id: str) -> None:
        """Lets go of the run's pipes once what they hold is taken, though somebody who is none of the run holds them still."""
        ...

    async def retire(self, log: str) -> bool:
        """Nothing will write to this log for some time: what is held for it is given back, when all of it is kept."""
        ...

    async def runs(self) -> tuple[Run, ...]: ...

    async def listen(self, name: str, host: str, port: int) -> int:
        """Holds a listening socket under this name (port 0: any free one) and returns its port. Raises CannotListen.
        The same name and address again: the one that is held."""
        ...

    async def close_socket(self, name: str) -> None:
        """Raises UnknownSocket."""
        ...

    async def sweep(self) -> Cleared:
        """Ends what an earlier life of this home left behind. To be called once, before the first spawn."""
        ...

    async def aclose(self) -> None:
        """Ends all runs and closes all sockets. Nothing of ours is left."""
        ...
