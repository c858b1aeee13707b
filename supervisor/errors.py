"""What can go wrong in supervision, as a short tree of typed errors. `att.runtime` translates them for its doors.

Each has a stable `code`; the message is one sentence for a person. Nothing here knows HTTP.
"""

from __future__ import annotations

from typing import ClassVar


class SupervisorError(Exception):
    """Something that was asked of the supervisor cannot be done."""

    code: ClassVar[str] = "supervisor_error"


class AlreadyRunning(SupervisorError):
    """A start was asked for while the app runs or is starting."""

    code = "runtime_already_running"


class NotRunning(SupervisorError):
    """A stop was asked for while nothing runs."""

    code = "runtime_not_running"


class RunnerClosed(SupervisorError):
    """The runner has been closed; make a new one."""

    code = "runner_closed"


class WaitTimedOut(SupervisorError):
    """What was waited for has not come about in time. Nothing was undone: the app goes on as it was."""

    code = "wait_timed_out"


class StartFailed(SupervisorError):
    """The run ended, or was ended, before it was what the start had been asked to wait for."""

    code = "start_failed"

    def __init__(self, message: str, *, exit_code: int | None = None, exit_signal: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.exit_signal = exit_signal


class StartCancelled(SupervisorError):
    """A stop was asked for while the start was still being waited for."""

    code = "start_cancelled"


class SpawnFailed(SupervisorError):
    """The process could not be made. `path` is what the system complained about."""

    code = "spawn_failed"

    def __init__(self, message: str, *, path: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.errno = errno


class CommandNotFound(SpawnFailed):
    """No such program, neither at the path given nor on the PATH of the app's environment."""

    code = "command_not_found"


class CommandNotExecutable(SpawnFailed):
    """The program is there but must not, or cannot, be executed."""

    code = "command_not_executable"


class WorkingDirectoryMissing(SpawnFailed):
    """The directory to start in does not exist, or is none, or must not be entered."""

    code = "working_directory_missing"


class UnknownRun(SupervisorError):
    """The keeper has no run of this id."""

    code = "unknown_run"


class RunExists(SupervisorError):
    """The keeper already has a run of this id."""

    code = "run_exists"


class UnknownSocket(SupervisorError):
    """The keeper holds no listening socket of this name."""

    code = "unknown_socket"


class CannotListen(SupervisorError):
    """The address cannot be listened on (in use, not ours, not allowed)."""

    code = "cannot_listen"

    def __init__(self, message: str, *, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class LogInUse(SupervisorError):
    """A run writes to the log."""

    code = "log_in_use"
