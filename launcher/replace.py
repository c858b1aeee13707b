"""The launcher replaces itself: the same process goes on with other code, and keeps its children, its
descriptors and all that it knows.

What it knows goes through a memory file (`Launcher.state`, with a number for its format: fields are only
added; another number means that there is no way back). New code is first tried in a child (`--self-check`):
it must load and understand that state. When it cannot take over all the same, or fails again and again
soon after, the code before is executed again. The file of a zip stays open, so that the code before is
there even when the file has been replaced.

An exception that nobody expected goes the same way: it is journalled, and the same code starts afresh with
what is known; too often in a minute, and it is the code before, or the end with code 70.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping

from launcher.life import spawn
from launcher.notify import without_private
from launcher.poller import Poller, Timer
from launcher.protocol import child, notation
from launcher.protocol.ring import memory_file
from launcher.protocol.words import Any, NamedTuple

FORMAT = 1
STATE_FD = "ATT_LAUNCHER_STATE"
CHECK_LIMIT = 10.0
FAULTS, FAULTS_WITHIN = 3, 60.0
BROKEN_CODE = 70
BLOCKED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD})

State = dict[str, Any]


class NoStateError(Exception):
    """What was handed over cannot be gone on with."""


class Code(NamedTuple):
    """Where launcher code is: a zip (held open), or the `__main__.py` of a package."""

    path: str
    fd: int | None

    @property
    def script(self) -> str:
        """The path while it still is the file that was opened, else the descriptor."""
        if self.fd is None:
            return self.path
        try:
            if os.path.samestat(os.stat(self.path), os.fstat(self.fd)):
                return self.path
        except OSError:
            return f"/dev/fd/{self.fd}"
        return f"/dev/fd/{self.fd}"


def code_at(path: str) -> Code:
    """The code of a zip, or of a package's folder; OSError when there is none."""
    path = os.path.abspath(path)
    if os.path.isdir(path):
        path = os.path.join(path, "__main__.py")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if os.path.basename(path) != "__main__.py":
        return Code(path, fd)
    os.close(fd)
    return Code(path, None)


def command(code: Code, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", code.script, *arguments]


# -- through the memory file


def written(state: State) -> int:
    data = notation.dumps(state).encode()
    fd = memory_file("att-launcher", len(data))
    os.pwrite(fd, data, 0)
    return fd


def handed_over(env: dict[str, str] | os._Environ[str]) -> State | None:
    """What the code before us has left, if it has; NoStateError when it cannot be understood."""
    number = env.pop(STATE_FD, None)
    if number is None:
        return None
    try:
        fd = int(number)
        state = notation.loads(os.pread(fd, os.fstat(fd).st_size, 0))
        os.close(fd)
    except (OSError, ValueError) as error:
        raise NoStateError(f"the state cannot be read: {error}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise NoStateError(f"not a state of format {FORMAT}")
    return state


def descriptors(state: State) -> set[int]:
    """All that must stay open."""
    found = [state["listener"], state["lock"]]
    found += [code["fd"] for code in (state["code"], state["before"]) if code is not None]
    for life in (state["active"], state["standby"]):
        if life is not None:
            channel, log = life["channel"] or {}, life["log"] or {}
            found += [channel.get("fd"), *channel.get("in_fds", ()), log.get("pipe"), log.get("fd")]
            found += [fd for _, fds in channel.get("out", ()) for fd in fds]
    for tap in state["keeper"]["taps"].values():
        found += [tap["ring"], tap["acks"], *tap["bell"], *tap["room"]]
        found += [source[0] for source in tap["capture"]["sources"]]
    found += [fd for fd, _ in state["keeper"]["sockets"].values()]
    return {fd for fd in found if fd is not None}


def inherit(fds: set[int], on: bool) -> None:
    for fd in fds:
        os.set_inheritable(fd, on)


def execute(code: Code, state: State) -> str:
    """This process goes on with `code`. Signals wait meanwhile. Comes back, with the reason, only when that failed."""
    fds = descriptors(state) | ({code.fd} if code.fd is not None else set())
    try:
        fd = written(state)
    except OSError as error:
        return f"the state cannot be written: {error}"
    try:
        inherit(fds | {fd}, True)
        os.execve(sys.executable, command(code, *sys.argv[1:]), os.environ | {STATE_FD: str(fd)})  # noqa: S606
    except OSError as error:
        os.close(fd)
        inherit(fds, False)
        return f"{code.path} cannot be executed: {error}"


def fall_back(state: State, reason: str) -> str:
    """We could not take over: the code before us goes on."""
    if state["before"] is None:
        return "there is no code to go back to"
    before = Code(state["before"]["path"], state["before"]["fd"])
    return execute(before, state | {"code": state["before"], "before": None, "failed": reason})


class Trial:
    """New code in a child. `done(version, why)`: the version is empty when it is not fit, and `why` says so."""

    def __init__(self, poller: Poller, code: Code, state: State, done: Callable[[str, str], None]) -> None:
        self._done = done
        fd = written(state)
        self._pipe, write = os.pipe()
        fds: dict[int, int | None] = {0: None, 1: write, 2: write, 3: fd}
        line = command(code, "--self-check")
        if code.fd is not None and line[3] != code.path:
            fds[4] = code.fd
            line[3] = "/dev/fd/4"
        try:
            self.pid = spawn(line, without_private(os.environ) | {STATE_FD: "3"}, fds)
        finally:
            os.close(write)
            os.close(fd)
        self._timer: Timer = poller.after(CHECK_LIMIT, self._too_late)
        self._late = False

    def _too_late(self) -> None:
        self._late = True
        os.kill(self.pid, signal.SIGKILL)

    def look(self) -> None:
        """To be called when a child may have ended."""
        ended = child.look_at_exit(self.pid)
        if ended is None:
            return
        child.reap(self.pid)
        self._timer.cancel()
        os.set_blocking(self._pipe, False)
        try:
            said = os.read(self._pipe, 1 << 16).decode(errors="replace").strip()
        except BlockingIOError:
            said = ""
        os.close(self._pipe)
        if ended == (0, None) and said:
            self._done(said.split("\n")[-1][:100], "")
        elif self._late:
            self._done("", f"it did not say that it is fit within {CHECK_LIMIT:g} s")
        else:
            how = f"exit code {ended[0]}" if ended[0] is not None else f"signal {ended[1]}"
            self._done("", f"it is not fit ({how}): {said[-300:]}")


class Self:
    """The launcher's own code. `state()` is all that is known; `note` journals; `refuse(reason)` journals, and
    tells the daemon, that all stays as it is."""

    def __init__(
        self,
        poller: Poller,
        code: Code,
        state: Callable[[], State],
        note: Callable[..., None],
        refuse: Callable[[str], None],
    ) -> None:
        self._poller, self.code, self._state = poller, code, state
        self._note, self._refuse = note, refuse
        self.before: Code | None = None
        self._faults: list[float] = []
        self._trial: Trial | None = None
        self._before_format = FORMAT

    def resume(self, state: Mapping[str, Any]) -> None:
        self.code = Code(state["code"]["path"], state["code"]["fd"])
        if state["before"] is not None:
            self.before = Code(state["before"]["path"], state["before"]["fd"])
            self._before_format = state["before"].get("format")
        self._faults = state["faults"]

    def state(self, code: Code, before: Code | None) -> State:
        return {
            "format": FORMAT,
            "code": code._asdict(),
            "before": None if before is None else before._asdict() | {"format": FORMAT},
            "faults": self._faults,
        }

    def children(self) -> set[int]:
        return set() if self._trial is None else {self._trial.pid}

    def look(self) -> None:
        if self._trial is not None:
            self._trial.look()

    def newest(self, usual: str) -> str:
        """Where newer code is looked for when nobody says where."""
        return usual if os.path.exists(usual) else self.code.path

    def replace(self, path: str) -> None:
        """Try the code at `path`, and go on with it when it is fit."""
        if self._trial is not None:
            self._refuse("other code is being tried")
            return
        self._note("replacing", reason=path)
        try:
            code = code_at(path)
        except OSError as error:
            self._refuse(f"there is no code at {path}: {error.strerror}")
            return

        def done(version: str, why: str) -> None:
            self._trial = None
            if version:
                why = self._go(code, self.code)
            if code.fd is not None:
                os.close(code.fd)
            self._refuse(why)

        try:
            self._trial = Trial(self._poller, code, self._state() | self.state(code, self.code), done)
        except OSError as error:
            if code.fd is not None:
                os.close(code.fd)
            self._refuse(f"it cannot be tried: {error}")

    def _go(self, code: Code, before: Code | None, failed: str = "", fault: bool = False) -> str:
        """Nothing between the state and the execution may change anything; why it failed, if it did."""
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        arrived = self._poller.arrived()
        state = self._state() | self.state(code, before)
        state |= {"signals": arrived, "failed": failed, "fault": fault}
        why = execute(code, state)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
        for number in arrived:
            os.kill(os.getpid(), number)
        return why

    def fault(self, error: Exception) -> bool:
        """An exception that nobody expected. Comes back with True to go on in place, False when it is too much."""
        now = self._poller.clock()
        self._faults = [*(at for at in self._faults if now - at < FAULTS_WITHIN), now]
        self._note("launcher_fault", reason=told(error))
        if len(self._faults) <= FAULTS:
            why = self._go(self.code, self.before, fault=True)
        elif self.before is not None and self._before_format == FORMAT:
            self._faults = []
            why = self._go(
                self.before, None, failed=f"{self.code.path} failed {FAULTS + 1} times: {told(error)}"
            )
        else:
            return False
        self._refuse(why)
        return True


def told(error: BaseException) -> str:
    """The exception and where it came from, innermost last. By hand: `traceback` costs a megabyte."""
    places, frame = [], error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    return f"{type(error).__name__}: {error} ({' > '.join(places[-6:])})"[:1000]
