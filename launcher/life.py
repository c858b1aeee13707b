"""One daemon process, from its birth to its last word: started here, spoken to and asked for its health;
nothing is decided here.

What it is (release, boot id, safe mode, standby) is fixed when it is born. It is signalled only before it
has been reaped, so the pid is always its own.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from launcher.disk import Disk
from launcher.health import Answer, Question, Tally
from launcher.home import Program
from launcher.notify import without_private
from launcher.output import LifeLog
from launcher.poller import READ, WRITE, Poller, Timer
from launcher.protocol import messages
from launcher.protocol.channel import Channel, ClosedError, FullError, pair
from launcher.protocol.child import SUBREAPER, Action, in_session
from launcher.protocol.messages import BadMessageError, Message
from launcher.protocol.words import Any, NamedTuple, suppress
from launcher.record import INSTALLED
from launcher.system import is_stopped

LISTEN_AT, CONTROL_AT = 3, 4
PRIVATE = messages.PRIVATE | {SUBREAPER}
HIGH = 64  # descriptors are first moved out of the way of the numbers they get in the child
BAD_MESSAGES = 100
STARTUP_PERIODS = (0.01, 0.1)  # of the first questions: while it is young, and later
YOUNG = 3.0


class Birth(NamedTuple):
    """All that a life is born with."""

    release: str
    boot_id: str
    program: Program
    arguments: tuple[str, ...]
    safe: bool
    standby: bool
    home: str
    health_socket: str
    log: str

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Birth:
        more = {"program": Program(*state["program"]), "arguments": tuple(state["arguments"])}
        return cls(**{**state, **more})


class Pace(NamedTuple):
    """How health is asked. One failure is followed by the next question at once-ish, not after a period."""

    period: float
    timeout: float
    failures: int = 3

    @classmethod
    def for_hang(cls, seconds: float) -> Pace:
        """So that a daemon which hangs right after a good answer is found out in about 60 % of `seconds`."""
        return cls(period=seconds * 0.12, timeout=seconds * 0.15)


class Life:
    """`on_health(life, well, why)`, `on_message(life, message, fds)` are called from the loop."""

    def __init__(
        self,
        poller: Poller,
        disk: Disk,
        birth: Birth,
        pace: Pace,
        on_health: Callable[[Life, bool, str], None],
        on_message: Callable[[Life, Message, list[int]], None],
    ) -> None:
        self.birth, self.pid = birth, 0
        self.born = poller.clock()
        self.ended = False  # by us
        self.stopped = False  # by somebody else, when we ended it
        self.dying = False  # it has ended; what it left is being ended
        self.spoken = False  # a version was agreed on
        self.last_why = ""
        self._poller, self._disk, self._pace = poller, disk, pace
        self._on_health, self._on_message = on_health, on_message
        self._tally = Tally(failures=pace.failures)
        self._was_well = False
        self._question: Question | None = None
        self._timer: Timer | None = None
        self._bad = 0
        self._channel: Channel | None = None
        self._log: LifeLog | None = None

    def start(self, listener: int, listen: str, env: Mapping[str, str], show: int | None) -> None:
        """Start the process; OSError when there is nothing that can be started."""
        ours, theirs = pair()
        read, write = os.pipe()
        try:
            self.pid = spawn(
                self._command(),
                self._environment(env, listen),
                {0: None, 1: write, 2: write, LISTEN_AT: listener, CONTROL_AT: theirs.fileno()},
            )
        except OSError:
            ours.close()
            os.close(read)
            raise
        finally:
            theirs.close()
            os.close(write)
        self._channel = Channel(ours)
        self._log = LifeLog(self._disk, self.birth.log, read, show)
        self._poller.watch(read, READ, self._output)
        self._watch_channel()
        self._timer = self._poller.after(STARTUP_PERIODS[0], self._ask)

    def state(self) -> dict[str, Any]:
        """What `resume` needs after this process has executed other code."""
        return {
            "birth": self.birth._asdict() | {"program": list(self.birth.program)},
            "pid": self.pid,
            "born": self.born,
            "ended": self.ended,
            "stopped": self.stopped,
            "spoken": self.spoken,
            "last_why": self.last_why,
            "was_well": self._was_well,
            "tally": self._tally.counts(),
            "bad": self._bad,
            "channel": None if self._channel is None else self._channel.state(),
            "log": None if self._log is None else self._log.state(),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """To be called instead of `start`, on one that was made with the same birth."""
        self.pid, self.born, self.ended = state["pid"], state["born"], state["ended"]
        self.stopped = state.get("stopped", False)
        self.spoken, self.last_why, self._bad = state["spoken"], state["last_why"], state["bad"]
        self._was_well = state["was_well"]
        self._tally.resume(state["tally"])
        if state["channel"] is not None:
            self._channel = Channel.resume(state["channel"])
            self._watch_channel()
        if state["log"] is not None:
            self._log = LifeLog.resume(self._disk, self.birth.log, state["log"])
            self._poller.watch(self._log.pipe, READ, self._output)
        self._timer = self._poller.after(0, self._ask)

    def _command(self) -> list[str]:
        # a release is its own environment: nothing that happens to lie in the current folder is taken for it
        safe = [] if self.birth.release == INSTALLED else ["-P"]
        return [self.birth.program.python, *safe, "-m", self.birth.program.module, *self.birth.arguments]

    def _environment(self, env: Mapping[str, str], listen: str) -> dict[str, str]:
        birth = self.birth
        clean = {key: value for key, value in without_private(env).items() if key not in PRIVATE}
        clean |= {
            messages.HOME: birth.home,
            messages.LISTEN: listen,
            messages.LAUNCHER_FD: str(CONTROL_AT),
            messages.LISTEN_FD: str(LISTEN_AT),
            messages.BOOT_ID: birth.boot_id,
            messages.RELEASE: birth.release,
            messages.HEALTH_SOCKET: birth.health_socket,
        }
        return (
            clean
            | ({messages.SAFE_MODE: "1"} if birth.safe else {})
            | ({messages.STANDBY: "1"} if birth.standby else {})
        )

    # -- signals

    def end(self, force: bool) -> None:
        self.ended = True
        self.stopped = force and is_stopped(self.pid)
        self.signal(signal.SIGKILL if force else signal.SIGTERM)
        if not force:
            self.signal(signal.SIGCONT)  # a stopped one hears nothing before it goes on

    def signal(self, number: int) -> None:
        if self.pid and not self.dying:
            os.kill(self.pid, number)

    def buried(self) -> None:
        """It has been reaped: nothing of it is used any more."""
        self.pid = 0
        if self._timer is not None:
            self._timer.cancel()
        if self._question is not None:
            self._drop_question()
        if self._log is not None:
            self._poller.forget(self._log.pipe)
            self._log.close()
            self._log = None
        self._close_channel()
        with suppress(OSError):  # it never made one, or took it away itself
            os.unlink(self.birth.health_socket)

    # -- messages

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """A daemon that does not read loses the message: health will tell what is wrong with it."""
        if self._channel is None:
            return
        try:
            self._channel.send(message, fds)
        except (FullError, BadMessageError):
            return
        except ClosedError:
            self._close_channel()
            return
        self._watch_channel()

    def _watch_channel(self) -> None:
        if self._channel is not None:
            self._poller.watch(
                self._channel.fileno(), READ | (WRITE if self._channel.sending else 0), self._talk
            )

    def _talk(self, mask: int) -> None:
        if self._channel is None:
            return
        try:
            if mask & WRITE:
                self._channel.flush()
            if mask & ~WRITE and (came := self._channel.receive()) is not None:
                self._on_message(self, *came)
        except BadMessageError:
            self._bad += 1
            if self._bad >= BAD_MESSAGES:
                self._close_channel()
        except ClosedError:
            self._close_channel()
        self._watch_channel()

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._poller.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def _output(self, _mask: int) -> None:
        if self._log is not None and not self._log.step():
            self._poller.forget(self._log.pipe)

    # -- health

    def ask_now(self) -> None:
        if self._question is None:
            self._ask()

    def again(self) -> None:
        """Its part has changed: what was known of its health counts no more."""
        self._tally, self._was_well = Tally(failures=self._pace.failures), False
        self.ask_now()

    def _ask(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.pid or self._question is not None:
            return
        try:
            question = Question(self.birth.health_socket, self.birth.release, self.birth.boot_id)
        except OSError:  # no descriptor is left to us: that says nothing about the daemon
            self._timer = self._poller.after(self._pace.period, self._ask)
            return
        if question.answer is not None:
            self._answered(question.answer)
            return
        self._question = question
        self._timer = self._poller.after(self._pace.timeout, self._too_late)
        self._poller.watch(question.socket.fileno(), WRITE, self._question_ready)

    def _question_ready(self, _mask: int) -> None:
        question = self._question
        if question is None:
            return
        fd = question.socket.fileno()
        question.ready()
        if question.answer is not None:
            self._poller.forget(fd)
            self._question = None
            self._answered(question.answer)
        elif not question.sending:
            self._poller.watch(fd, READ, self._question_ready)

    def _too_late(self) -> None:
        self._drop_question()
        self._answered(Answer(f"no answer within {self._pace.timeout:g} s"))

    def _drop_question(self) -> None:
        if self._question is not None:
            self._poller.forget(self._question.socket.fileno())
            self._question.end(Answer("given up"))
            self._question = None

    def _answered(self, answer: Answer) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended:  # what comes after is our doing
            self.last_why = answer.why
        changed = self._tally.add(answer.well)
        was_well = self._tally.state is True
        young = self._poller.clock() - self.born < YOUNG
        unwell = self._pace.period / 8 if was_well else STARTUP_PERIODS[0 if young else 1]
        wait = self._pace.period if answer.well else unwell
        self._timer = self._poller.after(wait, self._ask)
        self._was_well = self._was_well or answer.well
        if (
            changed is not None and self._was_well
        ):  # not to be well yet is no news: a start has its own time limit
            self._on_health(self, changed, answer.why)


def spawn(command: Sequence[str], env: Mapping[str, str], fds: Mapping[int, int | None]) -> int:
    """Start `command` in a session of its own, with exactly these descriptors (None.

    /dev/null), a clean mask and default signals.
    """
    high: list[int] = []
    actions: list[Action] = []
    try:
        for number, fd in fds.items():
            if fd is None:
                actions.append((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0))
            else:
                high.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH))
                actions.append((os.POSIX_SPAWN_DUP2, high[-1], number))
        return in_session(command[0], command, env, actions)
    finally:
        for fd in high:
            os.close(fd)
