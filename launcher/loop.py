"""The launcher at work: turns signals, deaths, answers and messages into events, and does what
`launcher.boot` then asks for.

It decides nothing itself. One thread, one poll. The order at an exit of a daemon: reaped, its leftovers
ended, then the event.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping

from launcher import events as ev
from launcher.answer import Answerer
from launcher.births import Births, NotBorn
from launcher.boot import Boot
from launcher.clearing import Clearing, clear_life
from launcher.events import State as Now
from launcher.home import ConfigWatch, Home, Program
from launcher.journal import Journal
from launcher.keeper import Keeper
from launcher.life import Life
from launcher.notes import Notes
from launcher.notify import Notifier, watchdog_period
from launcher.poller import Poller, Timer
from launcher.protocol import child, kin
from launcher.protocol.lock import HomeLock
from launcher.protocol.messages import Message
from launcher.protocol.sockets import Socket
from launcher.protocol.words import Any
from launcher.record import parse
from launcher.replace import BROKEN_CODE, Code, Self, State, descriptors, inherit
from launcher.settings import Settings
from launcher.system import address_text, is_stopped, status_text, terminal_is_gone
from launcher.talk import Talk
from launcher.verdict import Kind, kind_of

VERSION = "0.1.0"
APP_GRACE = 10.0
SAVE_AGAIN = 2.0


class Launcher:
    """Built around a home whose lock is held and a socket that listens; `run` gives the exit code."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        lock: HomeLock,
        listener: Socket,
        env: Mapping[str, str],
        code: Code,
        say: Callable[[str], None],
        state: State | None = None,
    ) -> None:
        """`state`: what this process knew while it ran other code."""
        self._home, self._lock, self._listener, self._env = home, lock, listener, env
        self._notes = Notes(Journal(home.journal_path, home.disk), say)
        self._notifier = Notifier(env)
        self._poller = Poller()
        self._answerer = Answerer(self._poller, listener)
        self._keeper = Keeper(self._poller, self._tell)
        program = Program(sys.executable, settings.module)
        self._births = Births(self._poller, home, settings, program, listener, env, self._health, self._heard)
        self._code = Self(self._poller, code, self._state, self._note, self._not_replaced)
        self._hurry: Callable[[], None] | None = None
        self._active: Life | None = None
        self._standby: Life | None = None
        self._timer: Timer | None = None
        self._save_again: Timer | None = None
        self._exit: int | None = None
        self._config = ConfigWatch(self._poller, home, lambda: self._step(ev.RetryAsked()))
        self._came_from = state
        record, why = home.load() if state is None else (parse(state["record"]), "")
        self._boot = Boot(record, settings.limits)
        self._talk = Talk(
            VERSION, self._boot, home, self._keeper, lambda: self._active, self._step, self._replace_by
        )
        if state is not None:
            self._resume(state)
            return
        self._note("launcher_started", reason=f"pid {os.getpid()}, version {VERSION}")
        self._note("listening", reason=address_text(listener))
        if why:
            self._note("record_rebuilt", record.current, why)

    def run(self) -> int:
        steps = self._begin
        while self._exit is None:
            try:
                steps()
            except Exception as error:
                if not self._code.fault(error):
                    self._exit = BROKEN_CODE
            steps = self._poller.once
        self._note("launcher_left", reason=f"code {self._exit}")
        self._poller.close()
        self._notes.close()
        self._notifier.close()
        return self._exit

    def _begin(self) -> None:
        self._poller.on_signals((signal.SIGTERM, signal.SIGINT), self._stop_asked)
        self._poller.on_signals((signal.SIGHUP,), self._retry_asked)
        self._poller.on_signals(
            (signal.SIGUSR2,), lambda _number: self._replace_by(self._code.newest(self._home.launcher_path))
        )
        self._poller.on_signals((signal.SIGCHLD,), lambda _number: self._reap())
        child.become_subreaper()
        period = watchdog_period(self._env, os.getpid())
        if period is not None:
            self._watchdog(period)
        if self._came_from is not None:
            self._go_on(self._came_from)
            return
        self._save(ev.Save())  # one that was made anew is on disk before anything is started from it
        self._scan()
        self._step(ev.Begin())

    # -- its own code

    def _state(self) -> State:
        """All that is known and not on disk; by `launcher.replace` it goes to other code."""
        return {
            "launcher": VERSION,
            "listener": self._listener.fileno(),
            "lock": self._lock.fileno(),
            "run_path": self._home.run_path,
            "lives": self._births.count,
            "record": self._boot.record.dump(),
            "boot": self._boot.known(),
            "answering": self._answerer.reason if self._answerer.active else "",
            "config": self._config.stamp,
            "journal": self._notes.state(),
            "keeper": self._keeper.state(),
            "active": None if self._active is None else self._active.state(),
            "standby": None if self._standby is None else self._standby.state(),
            "unanswered": self._talk.state(),
        }

    def _resume(self, state: State) -> None:
        inherit(descriptors(state), False)
        self._boot.resume(state["boot"])
        self._notes.resume(state["journal"])
        self._births.count = state["lives"]
        self._code.resume(state)
        self._keeper.resume(state["keeper"])
        self._active = self._births.resumed(state["active"])
        self._standby = self._births.resumed(state["standby"])

    def _go_on(self, state: State) -> None:
        """What was on its way when the code was changed."""
        self._came_from = None
        if state["failed"]:
            self._not_replaced(state["failed"])
        elif state["fault"]:
            self._note("resumed", reason=f"after a fault, version {VERSION}")
        else:
            self._note("replaced", reason=f"version {state['launcher']} by {VERSION}, {self._code.code.path}")
            self._tell({"type": "replaced", "launcher": VERSION})
        if state["answering"]:
            self._answer(ev.Answer(state["answering"]))
            self._config.stamp = state["config"]
        self._reap()
        self._put_right()
        self._talk.resume(state["unanswered"])
        for number in state["signals"]:
            if number != signal.SIGCHLD:
                os.kill(os.getpid(), number)

    def _put_right(self) -> None:
        """What was decided, and a fault in the code has kept from being done."""
        boot = self._boot
        if boot.state is Now.LEFT:
            self._leave(ev.Leave(boot.leave_code))
            return
        if boot.active is not None and self._active is None:
            if boot.standby is None and self._standby is not None:
                self._activate(ev.Activate())
            else:
                self._step_later(ev.Died(Kind.KILLED, "it was never started", app=self._keeper.alive))
        if boot.standby is not None and self._standby is None:
            self._step_later(ev.StandbyLost(Kind.KILLED, "it was never started"))
        self._set_timer()

    def _replace_by(self, path: str) -> None:
        if self._boot.state in (Now.LEAVING, Now.LEFT):
            self._not_replaced("the launcher is leaving")
        else:
            self._code.replace(path)

    def _not_replaced(self, reason: str) -> None:
        self._note("replace_failed", reason=reason)
        self._tell({"type": "refused", "of": "replace", "reason": reason})

    # -- events in

    def _step(self, event: ev.Event) -> None:
        for action in self._boot.step(event, self._poller.clock()):
            ACTIONS[type(action)](self, action)
        self._set_timer()
        self._notifier.send(
            f"STATUS={self._boot.state.value}: {self._boot.active or self._boot.record.current}"
        )

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._boot.deadline
        if deadline is not None and self._exit is None:
            self._timer = self._poller.at(deadline, lambda: self._step(ev.Tick()))

    def _stop_asked(self, number: int) -> None:
        self._notes.say(f"{signal.Signals(number).name}: stopping")
        self._notifier.send("STOPPING=1")
        if self._boot.state is Now.LEFT:  # only the app is still being ended
            if self._hurry is not None:
                self._hurry()
            return
        self._step(ev.StopAsked())

    def _retry_asked(self, number: int) -> None:
        if terminal_is_gone():
            self._stop_asked(number)
            return
        if self._boot.state is Now.LEFT:
            return
        self._scan()
        self._step(ev.RetryAsked())

    def _scan(self) -> None:
        """Releases that have appeared since the record was written, and no daemon told us of."""
        known = self._boot.record.releases
        for release in self._home.releases():
            if release not in known:
                self._step(ev.Staged(release))

    def _reap(self) -> None:
        """A dead daemon is reaped once all that it left is gone, a run when it is cleared, any orphan at once."""
        lives = [life for life in (self._active, self._standby) if life is not None and life.pid]
        for life in lives:
            if not life.dying and child.look_at_exit(life.pid) is not None:
                self._clear_life(life)
        had_app = self._keeper.alive
        self._keeper.look_for_exits()
        self._code.look()
        ours = self._keeper.children() | self._code.children() | {life.pid for life in lives}
        for pid in set(kin.children(os.getpid())) - ours:
            child.reap(pid)
        if had_app and not self._keeper.alive and self._boot.state is Now.ANSWERING:
            self._step(ev.AppGone())

    def _clear_life(self, life: Life) -> None:
        life.dying = True
        clear_life(self._poller, life.birth.boot_id, life.pid, lambda left: self._died(life, left))

    def _died(self, life: Life, cleared: Clearing) -> None:
        if cleared.ended:
            left = ", some of them are still there" if cleared.left else ""
            self._note("cleared", life.birth.release, f"{len(cleared.ended)} processes were left{left}")
        code, number = child.look_at_exit(life.pid) or (0, None)
        child.reap(life.pid)
        status = -number if number else code or 0
        kind = kind_of(status)
        if kind is Kind.KILLED and life.ended and not life.stopped:
            kind = Kind.HUNG
        life.buried()
        text = f"{status_text(status)}{' after ' + life.last_why if life.last_why and life.ended else ''}"
        if life is self._active:
            self._active = None
            self._step(ev.Died(kind, text, app=self._keeper.alive, outside=life.stopped))
        else:
            self._standby = None
            self._step(ev.StandbyLost(kind, text, outside=life.stopped))

    def _health(self, life: Life, well: bool, why: str) -> None:
        if life is self._standby:
            if well:
                self._step(ev.StandbyHealthy())
            else:
                life.end(force=True)
        elif well:
            self._step(ev.Healthy())
            self._notifier.send("READY=1")
        else:
            self._step(ev.Unhealthy(why, outside=is_stopped(life.pid)))

    def _answer_no_more(self) -> None:
        self._answerer.stop()
        self._config.stop()

    def _watchdog(self, period: float) -> None:
        self._notifier.send("WATCHDOG=1")
        self._poller.after(period, lambda: self._watchdog(period))

    def _heard(self, life: Life, message: Message, fds: list[int]) -> None:
        self._talk.heard(life, message, fds)

    # -- actions out

    def _save(self, _action: ev.Save) -> None:
        if self._save_again is not None:
            self._save_again.cancel()
        try:
            self._home.save(self._boot.record)
            self._notes.complain("")
        except OSError as error:  # what is on disk is older but whole; running goes before remembering
            self._notes.complain(f"the boot record cannot be written: {error}")
            self._save_again = self._poller.after(SAVE_AGAIN, lambda: self._save(ev.Save()))

    def _spawn(self, action: ev.Spawn) -> None:
        self._answer_no_more()
        life = self._born(action.release, action.safe, standby=False)
        if isinstance(life, NotBorn):
            self._step_later(ev.Died(life.kind, life.why, app=self._keeper.alive))
        else:
            self._active = life

    def _spawn_standby(self, action: ev.SpawnStandby) -> None:
        life = self._born(action.release, False, standby=True)
        if isinstance(life, NotBorn):
            self._step_later(ev.StandbyLost(life.kind, life.why))
        else:
            self._standby = life

    def _step_later(self, event: ev.Event) -> None:
        """After the actions that are being done."""
        self._poller.after(0, lambda: self._step(event))

    def _born(self, release: str, safe: bool, standby: bool) -> Life | NotBorn:
        life = self._births.born(release, safe, standby)
        if isinstance(life, Life):
            mode = "safe mode" if safe else "standby" if standby else ""
            self._note(
                "started",
                release,
                f"pid {life.pid}{', ' + mode if mode else ''}",
                boot_id=life.birth.boot_id,
            )
        return life

    def _activate(self, _action: ev.Activate) -> None:
        self._answer_no_more()
        self._active, self._standby = self._standby, None
        if self._active is not None:
            self._active.send({"type": "activate"})
            self._active.again()

    def _tell(self, message: Message) -> None:
        if self._active is not None:
            self._active.send(message)

    def _end(self, action: ev.End) -> None:
        if self._active is not None:
            self._active.end(action.force)

    def _end_standby(self, action: ev.EndStandby) -> None:
        if self._standby is not None:
            self._standby.end(action.force)

    def _answer(self, action: ev.Answer) -> None:
        self._answerer.start(action.reason)
        self._notifier.send(
            "READY=1"
        )  # it answers; without this the service manager would end us, and the app with us
        self._config.begin()

    def _leave(self, action: ev.Leave) -> None:
        self._answer_no_more()

        def done() -> None:
            self._exit = action.code

        self._hurry = self._keeper.end_all(APP_GRACE, done)

    def _note(self, event: str, release: str | None = None, reason: str = "", **more: object) -> None:
        entry = self._notes.add(event, release, reason, **more)
        if self._active is not None and self._active.spoken:
            self._active.send({"type": "journal", "entry": entry})


ACTIONS: dict[type[Any], Callable[[Launcher, Any], None]] = {
    ev.Save: Launcher._save,
    ev.Spawn: Launcher._spawn,
    ev.SpawnStandby: Launcher._spawn_standby,
    ev.Activate: Launcher._activate,
    ev.Drain: lambda launcher, _: launcher._tell({"type": "drain"}),
    ev.Reload: lambda launcher, _: launcher._tell({"type": "reload"}),
    ev.End: Launcher._end,
    ev.EndStandby: Launcher._end_standby,
    ev.Answer: Launcher._answer,
    ev.Leave: Launcher._leave,
    ev.Note: lambda launcher, action: launcher._note(*action),
}
