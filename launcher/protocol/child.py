"""How one process is made: its own session, a clean signal state, its directory and environment, and no descriptor too many.

Everything a keeper starts comes from here, in the daemon and in the launcher, so this is stdlib only. The marks put into the
environment are how kin.py finds again whatever the process started, however far it ran away.

`posix_spawn` tells at once why a program cannot be executed, and the parent's size does not matter to it (no fork of a large
process). Python's own lacks the directory. The launcher, which is one thread and must stay small, changes its own directory for
that moment (`alone`). The daemon calls the C library's through ctypes, which also closes all other descriptors; where that lacks
the calls, a shell changes the directory a little slower, and what is not close-on-exec stays open (`NATIVE` False).
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
from collections.abc import Mapping, Sequence

from launcher.protocol.words import Any, NamedTuple, suppress

RUN_MARK = "ATT_RUN"
KEEPER_MARK = "ATT_KEEPER"
SUBREAPER = "ATT_SUBREAPER"  # the process that is one; in its own environment only
SOCKET_FD = 3
PIPE_BYTES = 1 << 20
MOST_FDS = 1 << 16  # looked at one by one where the system does not list them
FIRST_SAFE_FD = 10  # descriptors below may be overwritten while the child's are put in place
PR_SET_CHILD_SUBREAPER = 36
SETSIGDEF, SETSIGMASK, SETSID = 0x04, 0x08, 0x80
CLEAN = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}  # back to what they do by default


class CannotSpawn(Exception):
    """`what`: command (not there), permission (there, but cannot be executed), directory, or system (anything else)."""

    def __init__(self, what: str, path: str, number: int, message: str) -> None:
        super().__init__(message)
        self.what, self.path, self.errno = what, path, number


class Output(NamedTuple):
    """The two pipes of a child: `theirs` are closed here once it has them."""

    stdout: int
    stderr: int
    their_stdout: int
    their_stderr: int

    def close_theirs(self) -> None:
        os.close(self.their_stdout)
        os.close(self.their_stderr)

    def close(self) -> None:
        self.close_theirs()
        os.close(self.stdout)
        os.close(self.stderr)


def open_output() -> Output:
    """Two pipes with as much slack as the system gives. Raises OSError (no descriptors left) with nothing left open."""
    out_read, out_write = _pipe()
    try:
        err_read, err_write = _pipe()
    except OSError:
        os.close(out_read)
        os.close(out_write)
        raise
    return Output(out_read, err_read, out_write, err_write)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    if sys.platform == "linux":
        with suppress(OSError):  # the user's share of pipe memory is used up: the default size works too
            fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ends


def spawn(
    command: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    output: Output,
    marks: Mapping[str, str],
    listening: int | None = None,
    alone: bool = False,
) -> int:
    """The pid of the new process. It leads a session of its own; stdin is empty; a listening socket is descriptor 3.

    `alone`: nobody else in this process looks at its directory, and it has called `keep_descriptors`.
    """
    if not command or any("\0" in word for word in (*command, cwd, *env, *env.values())):
        raise CannotSpawn(
            "system", "", errno.EINVAL, "A command, directory or variable is empty or holds a NUL character."
        )
    if any(not name or "=" in name for name in env):
        raise CannotSpawn("system", "", errno.EINVAL, "A variable has no name, or one with = in it.")
    _check_directory(cwd)
    program = find_program(command[0], cwd, env.get("PATH", os.defpath))
    # One spelling for each variable: the marks take the place of what an outer keeper may have set.
    words = {**env, **marks}
    moved: list[int] = []
    fds = {
        1: _safe(output.their_stdout, moved),
        2: _safe(output.their_stderr, moved),
    }
    if listening is not None:
        fds[SOCKET_FD] = _safe(listening, moved)
    try:
        if alone and (pid := _spawn_alone(program, command, cwd, words, fds)) is not None:
            return pid
        make = _spawn_native if NATIVE else _spawn_portable
        return make(program, command, cwd, words, fds)
    except OSError as error:
        raise _explain(error, program, cwd) from None
    finally:
        for fd in moved:
            os.close(fd)


def find_program(name: str, cwd: str, path: str) -> str:
    """Where the child itself would find it: relative to its directory, on the PATH of its environment."""
    candidates = [name] if "/" in name else [os.path.join(folder or ".", name) for folder in path.split(":")]
    blocked = ""
    for candidate in candidates:
        place = os.path.join(cwd, candidate)
        try:
            mode = os.stat(place).st_mode
        except OSError as error:
            if error.errno == errno.EACCES:
                blocked = blocked or place
            continue
        if stat.S_ISREG(mode) and os.access(place, os.X_OK):
            return place
        blocked = blocked or place
    if blocked:
        raise CannotSpawn("permission", blocked, errno.EACCES, f"{blocked} cannot be executed.")
    where = "" if "/" in name else " on the PATH of the app"
    raise CannotSpawn("command", name, errno.ENOENT, f"There is no program {name}{where}.")


def _check_directory(cwd: str) -> None:
    try:
        if not stat.S_ISDIR(os.stat(cwd).st_mode):
            raise CannotSpawn("directory", cwd, errno.ENOTDIR, f"{cwd} is not a directory.")
    except OSError as error:
        raise CannotSpawn(
            "directory", cwd, error.errno or 0, f"The directory {cwd} cannot be used: {error.strerror}."
        ) from None
    if not os.access(cwd, os.X_OK):
        raise CannotSpawn("directory", cwd, errno.EACCES, f"The directory {cwd} must not be entered.")


def _explain(error: OSError, program: str, cwd: str) -> CannotSpawn:
    """Directory and program were there a moment ago; so this is about what is inside, or about the system."""
    number = error.errno or 0
    if number == errno.ENOENT:
        try:
            _check_directory(cwd)
        except CannotSpawn as gone:
            return gone
        return CannotSpawn(
            "command",
            program,
            number,
            f"{program} cannot be started: its interpreter (first line) is missing.",
        )
    if number in (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ELIBBAD, errno.EISDIR):
        return CannotSpawn(
            "permission", program, number, f"{program} cannot be executed: {os.strerror(number)}."
        )
    if number == errno.E2BIG:
        return CannotSpawn(
            "system", program, number, "Arguments and environment together are too large for the system."
        )
    return CannotSpawn("system", program, number, f"{program} could not be started: {os.strerror(number)}.")


def _safe(fd: int, moved: list[int]) -> int:
    """A low descriptor could be overwritten by another's place before it is put into its own."""
    if fd >= FIRST_SAFE_FD:
        return fd
    moved.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_SAFE_FD))
    return moved[-1]


# -- the native way ----------------------------------------------------------------------------------------------------------

BLOCK = 512  # bytes: more than posix_spawnattr_t, posix_spawn_file_actions_t or sigset_t have anywhere


def _native() -> bool:
    """Whether the C library has all the calls. ctypes is loaded when it is needed: it costs a megabyte."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        return name == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 34)
    except ValueError:  # another C library
        return False


NATIVE = sys.platform == "linux" and _native()


def _spawn_native(
    program: str, command: Sequence[str], cwd: str, env: Mapping[str, str], fds: Mapping[int, int]
) -> int:
    import ctypes

    libc, block = ctypes.CDLL(None), ctypes.c_char * BLOCK
    actions, attributes, mask, pid = block(), block(), block(), ctypes.c_int()
    _try(libc.posix_spawn_file_actions_init(actions))
    _try(libc.posix_spawnattr_init(attributes))
    try:
        libc.sigemptyset(mask)
        _try(libc.posix_spawnattr_setsigmask(attributes, mask))
        for number in CLEAN:
            libc.sigaddset(mask, int(number))
        _try(libc.posix_spawnattr_setsigdefault(attributes, mask))
        _try(libc.posix_spawnattr_setflags(attributes, ctypes.c_short(SETSIGDEF | SETSIGMASK | SETSID)))
        _try(libc.posix_spawn_file_actions_addopen(actions, 0, b"/dev/null", os.O_RDONLY, 0))
        for place, fd in fds.items():
            _try(libc.posix_spawn_file_actions_adddup2(actions, fd, place))
        _try(libc.posix_spawn_file_actions_addclosefrom_np(actions, max(fds) + 1))
        _try(libc.posix_spawn_file_actions_addchdir_np(actions, os.fsencode(cwd)))
        argv, envp = _strings(command), _strings([f"{name}={value}" for name, value in env.items()])
        _try(libc.posix_spawn(ctypes.byref(pid), os.fsencode(program), actions, attributes, argv, envp))
    finally:
        libc.posix_spawn_file_actions_destroy(actions)
        libc.posix_spawnattr_destroy(attributes)
    return pid.value


def _strings(words: Sequence[str]) -> Any:
    import ctypes

    return (ctypes.c_char_p * (len(words) + 1))(*(os.fsencode(word) for word in words), None)


def _try(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


# -- Python's own way ----------------------------------------------------------------------------------------------------------

Action = tuple[int, int, int] | tuple[int, int, str, int, int]


def keep_descriptors() -> None:
    """No process that is started from now on gets a descriptor that this one was born with, but those it is given."""
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # not every container has it
        numbers = list(range(min(os.sysconf("SC_OPEN_MAX"), MOST_FDS)))
    for number in numbers:
        if number > 2:
            with suppress(OSError):  # there is none, or no more: the one that the list was read from
                os.set_inheritable(number, False)


def _spawn_alone(
    program: str, command: Sequence[str], cwd: str, env: Mapping[str, str], fds: Mapping[int, int]
) -> int | None:
    """From the directory itself. None where the system's posix_spawn begins no sessions, or where there is no way back: into a
    directory that we must not enter."""
    try:
        here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    try:
        os.chdir(cwd)
        return _begin(program, command, env, _actions(fds))
    except NotImplementedError:
        return None
    finally:
        with suppress(OSError):  # closed to us in this moment; the process is there all the same
            os.fchdir(here)
        os.close(here)


def _actions(fds: Mapping[int, int]) -> list[Action]:
    actions: list[Action] = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
    return actions + [(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in fds.items()]


def _begin(program: str, words: Sequence[str], env: Mapping[str, str], actions: Sequence[Action]) -> int:
    return os.posix_spawn(
        program, list(words), env, file_actions=actions, setsid=True, setsigmask=[], setsigdef=CLEAN
    )


def _spawn_portable(
    program: str, command: Sequence[str], cwd: str, env: Mapping[str, str], fds: Mapping[int, int]
) -> int:
    script = 'cd "$1" || exit 126; shift; exec "$@"'
    return in_session("/bin/sh", ["sh", "-c", script, "sh", cwd, program, *command[1:]], env, _actions(fds))


BEGIN = """import os, signal, sys
for number in signal.SIGPIPE, signal.SIGXFSZ:
    signal.signal(number, signal.SIG_DFL)
os.setsid()
os.execv(sys.argv[1], sys.argv[2:])
"""


def in_session(program: str, words: Sequence[str], env: Mapping[str, str], actions: Sequence[Action]) -> int:
    """A process that leads a session of its own, with a clean signal state. Where the system's posix_spawn begins no sessions,
    a Python in between does, at the cost of its start."""
    try:
        return _begin(program, words, env, actions)
    except NotImplementedError:
        begin = [sys.executable, "-I", "-S", "-c", BEGIN, program, *words]
        return os.posix_spawn(
            sys.executable, begin, env, file_actions=actions, setsigmask=[], setsigdef=CLEAN
        )


# -- its end -----------------------------------------------------------------------------------------------------------------


def become_subreaper() -> bool:
    """Whatever a child leaves behind becomes our child, not init's. False where the system has no such thing. It lasts when
    this process executes other code, which then needs not ask for it."""
    if sys.platform != "linux":
        return False
    if os.environ.get(SUBREAPER) == str(os.getpid()):
        return True
    import ctypes

    done = int(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0
    if done:
        os.environ[SUBREAPER] = str(os.getpid())
    return done


def open_pidfd(pid: int) -> int | None:
    """A descriptor that stands for exactly this process. None where there are none (no such call, or no descriptor left);
    raises ProcessLookupError when there is no such process."""
    opener = getattr(os, "pidfd_open", None)
    if opener is None:
        return None
    try:
        return int(opener(pid))
    except ProcessLookupError:
        raise
    except OSError:
        return None


# Without waitid a look at an exit reaps: then the exit is kept here until it is asked for by `reap`.
WAITID = hasattr(os, "waitid")
_reaped: dict[int, int] = {}


def look_at_exit(pid: int) -> tuple[int | None, int | None] | None:
    """(code, signal) of a child that has ended, one of them None; None while it lives. Leaves it unreaped, so that its
    process id, group and session cannot go to anybody else until all that belongs to it is gone."""
    if WAITID:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if info is None:
            return None
        return (info.si_status, None) if info.si_code == os.CLD_EXITED else (None, info.si_status)
    if pid not in _reaped:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        _reaped[pid] = status
    code = os.waitstatus_to_exitcode(_reaped[pid])
    return (code, None) if code >= 0 else (None, -code)


def wait_for_exit(pid: int) -> None:
    """Blocks until the child has ended; it can be looked at afterwards."""
    if WAITID:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    else:
        _reaped[pid] = os.waitpid(pid, 0)[1]


def reap(pid: int) -> bool:
    """Takes an ended child off the process table; False while it lives or when it is no child of ours (any more)."""
    if pid in _reaped:
        del _reaped[pid]
        return True
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False
