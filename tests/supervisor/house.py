"""What the tests of supervision share: stories on a loop, small programs to supervise, a log that only keeps the text."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec
from uuid import uuid4

from supervisor.keeper import SpawnOrder
from supervisor.local import LocalKeeper
from supervisor.logs.log import Log
from supervisor.runner import Runner, RunnerEvent
from supervisor.spec import AppSpec, ProbeKind, ProbeSpec, RestartSpec

P = ParamSpec("P")

# -I -S: quick to start, and nothing of the surroundings matters.
PYTHON = (sys.executable, "-I", "-S", "-c")
SLEEPER = "import signal\nprint('up', flush=True)\nsignal.pause()"
STUBBORN = (
    "import signal\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\nwhile True: signal.pause()"
)
# Forks twice with a session of its own, so that neither parent nor group nor session leads back to it; then says its pid.
RUNAWAY = """
import os, signal, sys
def run_away(clean=False):
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(w, str(os.getpid()).encode())
            os.close(w)
            if clean: os.execve(sys.executable, [sys.executable, '-I', '-S', '-c', 'import signal; signal.pause()'], {})
            while True: signal.pause()
        os._exit(0)
    os.wait()
    return int(os.read(r, 20))
print('runaway', run_away(), flush=True)
"""


def story(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """An async test, told to its end on a loop of its own."""

    @functools.wraps(test)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        async def whole() -> None:
            await test(*args, **kwargs)

        asyncio.run(whole())

    return told


class Pages:
    """Takes the output of runs and keeps it as text."""

    def __init__(self) -> None:
        self.text: dict[str, str] = {}
        self._open = 0
        self._lock = threading.Lock()

    def capture(self, run_id: str, stdout_fd: int, stderr_fd: int) -> None:
        self.text.setdefault(run_id, "")
        for fd in (stdout_fd, stderr_fd):
            threading.Thread(target=self._read, args=(run_id, fd), daemon=True).start()

    def _read(self, run_id: str, fd: int) -> None:
        with os.fdopen(fd, "rb", buffering=0) as pipe:
            while part := pipe.read(65536):
                with self._lock:
                    self.text[run_id] += part.decode(errors="replace")

    def of(self, run_id: str) -> str:
        return self.text.get(run_id, "")


def order(*command: str, run_id: str = "", cwd: Path = Path("/"), socket: str = "", **env: str) -> SpawnOrder:
    return SpawnOrder(
        run_id or f"run-{uuid4().hex[:8]}", command, cwd, {"PATH": os.environ["PATH"], **env}, "log", socket
    )


def python(program: str, run_id: str = "", socket: str = "", **env: str) -> SpawnOrder:
    return order(*PYTHON, program, run_id=run_id, socket=socket, **env)


def alive(pid: int) -> bool:
    """Whether a process with this number runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@asynccontextmanager
async def a_keeper(keeper_id: str = "") -> Any:
    pages = Pages()
    keeper = LocalKeeper(keeper_id or f"home-{uuid4().hex}", lambda _: pages)
    try:
        yield keeper, pages
    finally:
        await keeper.aclose()


class Stage:
    """A runner with a real keeper and a real log, and what it told."""

    def __init__(self, runner: Runner, keeper: LocalKeeper, log: Log, events: list[RunnerEvent]) -> None:
        self.runner, self.keeper, self.log, self.events = runner, keeper, log, events

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    async def pid(self) -> int:
        pid = (await self.runner.status(figures=False)).pid
        assert pid is not None
        return pid

    async def state(self) -> str:
        return (await self.runner.status(figures=False)).state.value

    async def lines(self, run_id: str | None = None) -> list[str]:
        page = await self.log.page("oldest", 1000)
        return [line.text for line in page.lines if run_id in (None, line.run)]


@asynccontextmanager
async def a_stage(folder: Path, spec: AppSpec) -> Any:
    log = Log.open("demo", folder / "log")
    keeper = LocalKeeper(f"home-{uuid4().hex}", lambda _: log)
    events: list[RunnerEvent] = []
    runner = Runner.open(spec, keeper, log, events.append)
    try:
        yield Stage(runner, keeper, log, events)
    finally:
        await runner.aclose()
        await keeper.aclose()
        await asyncio.to_thread(log.close)


def app(program: str, **more: Any) -> AppSpec:
    settings: dict[str, Any] = {"cwd": Path("/"), "env": {"PATH": os.environ["PATH"]}, "log": "demo", **more}
    return AppSpec(command=(*PYTHON, program), **settings)


async def is_state(stage: Stage, state: str) -> bool:
    return await stage.state() == state


async def no_runs(stage: Stage) -> bool:
    return await stage.keeper.runs() == ()


async def killed(stage: Stage) -> int:
    """Ends the first process the hard way; its number."""
    pid = await stage.pid()
    os.kill(pid, signal.SIGKILL)
    return pid


UP = ProbeSpec(ProbeKind.LOG, pattern="^up$")
NEVER_UP = ProbeSpec(ProbeKind.LOG, pattern="never said")
QUICK = RestartSpec(delays=(0.0, 0.01), jitter=0, intensity=3)
SLOW = RestartSpec(delays=(1000.0,), jitter=0)
