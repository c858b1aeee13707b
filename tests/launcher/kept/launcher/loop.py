"""The launcher at work: turns signals, deaths, answers and messages into events, and does what
`launcher.boot` then asks for.

It decides nothing itself. One thread, one poll. The order at an exit of a daemon: reaped, its leftovers
ended, then the event.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from launcher import events as ev
from launcher import output
from launcher.answer import Answerer
from launcher.boot import Boot
from launcher.clearing import Clearing, LifeFamily
from launcher.events import State
from launcher.home import Home, MissingReleaseError, Program
from launcher.journal import Journal
from launcher.keeper import REQUESTS, Keeper
from launcher.life import Birth, Life, Pace
from launcher.notify import Notifier, watchdog_period
from launcher.poller import Poller, Timer
from launcher.protocol import child, kin, messages
from launcher.protocol.messages import Message
from launcher.record import is_release_name
from launcher.settings import Settings
from launcher.system import address_text, is_stopped, status_text, terminal_is_gone
from launcher.verdict import Kind, kind_of

VERSION = "0.1.0"
CONFIG_PERIOD = 2.0
LEFTOVERS_LIMIT = 3.0  # who hangs in the kernel for longer must not keep the next life from starting
APP_GRACE = 10.0


class Launcher:
    """Built around a home whose lock is held and a socket that listens; `run` gives the exit code."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        listener: socket.socket,
        env: Mapping[str, str],
        python: str,
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._home, self._listener, self._env = settings, home, listener, env
        self._default = Program(python, settings.module)
        self._say = say
        self._pace = Pace.for_hang(settings.hang)
        self._journal = Journal(home.journal_path, home.disk)
        self._notifier = Notifier(env)
        self._poller = Poller()
        self._answerer = Answerer(self._poller, listener)
        self._keeper = Keeper(self._poller, self._tell)
        self._hurry: Callable[[], None] | None = None
        self._active: Life | None = None
        self._standby: Life | None = None
        self._lives = 0
        self._timer: Timer | None = None
        self._code: int | None = None
        self._config = home.config_stamp()
        self._complaint = ""
        record, why = home.load()
        self._boot = Boot(record, settings.limits)
        self._note("launcher_started", reason=f"pid {os.getpid()}, version {VERSION}")
        self._note("listening", reason=address_text(listener))
        if why:
            self._note("record_rebuilt", record.current, why)

    def run(self) -> int:
        self._poller.on_signals((signal.SIGTERM, signal.SIGINT), self._stop_asked)
        self._poller.on_signals((signal.SIGHUP,), self._retry_asked)
        self._poller.on_signals((signal.SIGCHLD,), lambda _number: self._reap())
        child.become_subreaper()
        period = watchdog_period(self._env, os.getpid())
        if period is not None:
            self._watchdog(period)
        self._save(ev.Save())  # one that was made anew is on disk before anything is started from it
        self._scan()
        self._step(ev.Begin())
        while self._code is None:
            self._poller.once()
        self._note("launcher_left", reason=f"code {self._code}")
        self._poller.close()
        self._journal.close()
        self._notifier.close()
        return self._code

    # -- events in

    def _step(self, event: ev.Event) -> None:
        for action in self._boot.step(event, self._poller.clock()):
            ACTIONS[type(action)](self, action)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._boot.deadline
        if deadline is not None and self._code is None:
            self._timer = self._poller.at(deadline, lambda: self._step(ev.Tick()))
        self._notifier.send(
            f"STATUS={self._boot.state.value}: {self._boot.active or self._boot.record.current}"
        )

    def _stop_asked(self, number: int) -> None:
        self._say(f"{signal.Signals(number).name}: stopping")
        self._notifier.send("STOPPING=1")
        if self._boot.state is State.LEFT:  # only the app is still being ended
            if self._hurry is not None:
                self._hurry()
            return
        self._step(ev.StopAsked())

    def _retry_asked(self, number: int) -> None:
        if terminal_is_gone():
            self._stop_asked(number)
            return
        if self._boot.state is State.LEFT:
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
        ours = self._keeper.children() | {life.pid for life in lives}
        for pid in set(kin.children(os.getpid())) - ours:
            child.reap(pid)
        if had_app and not self._keeper.alive and self._boot.state is State.ANSWERING:
            self._step(ev.AppGone())

    def _clear_life(self, life: Life) -> None:
        life.dying = True
        family = LifeFamily(life.birth.boot_id, life.pid)

        def done(clearing: Clearing) -> None:
            if clearing.ended:
                left = ", some of them are still there" if clearing.left else ""
                self._note("cleared", life.birth.release, f"{len(clearing.ended)} processes were left{left}")
            self._died(life)

        Clearing(self._poller, family, 0.0, done, spare=life.pid, limit=LEFTOVERS_LIMIT)

    def _died(self, life: Life) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(life.pid, 0)[1])
        kind = kind_of(status)
        if kind is Kind.KILLED and life.ended:
            kind = Kind.HUNG
        self._bury(life)
        text = f"{status_text(status)}{' after ' + life.last_why if life.last_why and life.ended else ''}"
        if life is self._active:
            self._active = None
            self._step(ev.Died(kind, text, app=self._keeper.alive))
        else:
            self._standby = None
            self._step(ev.StandbyLost(kind, text))

    def _bury(self, life: Life) -> None:
        life.buried()
        try:
            os.unlink(life.birth.health_socket)
        except OSError:
            return  # it never made one, or took it away itself

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

    def _message(self, life: Life, message: Message, fds: list[int]) -> None:
        handler = MESSAGES.get(message["type"])
        try:
            if handler is not None:
                handler(self, life, message)
            elif message["type"] in REQUESTS:
                self._request(life, message, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _request(self, life: Life, message: Message, fds: list[int]) -> None:
        number = message.get("n")

        def reply(fds: Sequence[int] = (), **fields: object) -> None:
            life.send({"type": "reply", "n": number, **fields}, fds)

        if life is self._active and isinstance(number, int):
            self._keeper.serve(message, fds, reply)
        else:
            reply(error={"kind": "bad_request", "text": "only the active daemon, with a number"})

    def _hello(self, life: Life, message: Message) -> None:
        version = messages.common_version(message.get("protocol"))
        if version is None:
            life.send({"type": "refused", "of": "hello", "reason": "no version of the protocol in common"})
            return
        life.spoken = True
        welcome = {"type": "welcome", "protocol": version, "boot_id": life.birth.boot_id, "launcher": VERSION}
        life.send(welcome | {"record": json.loads(self._boot.record.dump())})
        life.ask_now()

    def _stage(self, life: Life, message: Message) -> None:
        release = message.get("release")
        if not isinstance(release, str) or not is_release_name(release):
            life.send({"type": "refused", "of": "stage", "reason": "no name of a release"})
        elif self._home.release_body(release) is None:
            life.send({"type": "refused", "of": "stage", "reason": f"{release} has no readable release.json"})
        else:
            self._step(ev.Staged(release))

    def _switch(self, life: Life, message: Message) -> None:
        release = message.get("release")
        if not isinstance(release, str) or not is_release_name(release) or life is not self._active:
            life.send(
                {"type": "refused", "of": "switch", "reason": "only the active daemon, by name of a release"}
            )
        else:
            self._step(ev.SwitchAsked(release))

    def _watch_config(self) -> None:
        """While nothing but a wrong configuration keeps the daemon down."""
        if not self._answerer.active:
            return
        stamp, before = self._home.config_stamp(), self._config
        self._config = stamp
        self._poller.after(CONFIG_PERIOD, self._watch_config)
        if stamp != before:
            self._step(ev.RetryAsked())

    def _watchdog(self, period: float) -> None:
        self._notifier.send("WATCHDOG=1")
        self._poller.after(period, lambda: self._watchdog(period))

    # -- actions out

    def _save(self, _action: ev.Save) -> None:
        try:
            self._home.save(self._boot.record)
            self._complain("")
        except OSError as error:  # what is on disk is older but whole; running goes before remembering
            self._complain(f"the boot record cannot be written: {error}")

    def _spawn(self, action: ev.Spawn) -> None:
        self._answerer.stop()
        life = self._born(action.release, action.safe, standby=False)
        if isinstance(life, str):
            self._step_later(ev.Died(Kind.MISSING, life, app=self._keeper.alive))
        else:
            self._active = life

    def _spawn_standby(self, action: ev.SpawnStandby) -> None:
        life = self._born(action.release, False, standby=True)
        if isinstance(life, str):
            self._step_later(ev.StandbyLost(Kind.MISSING, life))
        else:
            self._standby = life

    def _step_later(self, event: ev.Event) -> None:
        """After the actions that are being done."""
        self._poller.after(0, lambda: self._step(event))

    def _born(self, release: str, safe: bool, standby: bool) -> Life | str:
        """The new life, or why there is none."""
        self._lives += 1
        boot_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"
        try:
            program = self._home.program(release, self._default)
            birth = Birth(
                release=release,
                boot_id=boot_id,
                program=program,
                arguments=self._settings.arguments,
                safe=safe,
                standby=standby,
                home=self._home.path,
                health_socket=os.path.join(self._home.run_path, f"health-{self._lives:08d}.sock"),
                log=os.path.join(self._home.lives_path, f"{boot_id}.log"),
            )
            life = Life(self._poller, self._home.disk, birth, self._pace, self._health, self._message)
            life.start(self._listener.fileno(), address_text(self._listener), self._env, show=2)
        except (OSError, MissingReleaseError) as error:
            return str(error)
        output.prune(self._home.lives_path)
        mode = "safe mode" if safe else "standby" if standby else ""
        self._note("started", release, f"pid {life.pid}{', ' + mode if mode else ''}", boot_id=boot_id)
        return life

    def _activate(self, _action: ev.Activate) -> None:
        self._answerer.stop()
        self._active, self._standby = self._standby, None
        if self._active is not None:
            self._active.send({"type": "activate"})
            self._active.again()

    def _drain(self, _action: ev.Drain) -> None:
        self._tell({"type": "drain"})

    def _reload(self, _action: ev.Reload) -> None:
        self._tell({"type": "reload"})

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
        self._config = self._home.config_stamp()
        self._answerer.start(action.reason)
        self._notifier.send(
            "READY=1"
        )  # it answers; without this the service manager would end us, and the app with us
        self._poller.after(CONFIG_PERIOD, self._watch_config)

    def _leave(self, action: ev.Leave) -> None:
        self._answerer.stop()

        def done() -> None:
            self._code = action.code

        self._hurry = self._keeper.end_all(APP_GRACE, done)

    def _noted(self, action: ev.Note) -> None:
        self._note(action.event, action.release, action.reason)

    def _note(self, event: str, release: str | None = None, reason: str = "", **more: object) -> None:
        entry: dict[str, Any] = self._journal.add(event, release=release, reason=reason, **more)
        self._say(
            " ".join(
                part for part in (event.replace("_", " "), release or "", reason and f"({reason})") if part
            )
        )
        self._complain(self._journal.complaint)
        if self._active is not None and self._active.spoken:
            self._active.send({"type": "journal", "entry": entry})

    def _complain(self, text: str) -> None:
        if text and text != self._complaint:
            self._say(text)
        self._complaint = text


MESSAGES: dict[str, Callable[[Launcher, Life, Message], None]] = {
    "hello": Launcher._hello,
    "stage": Launcher._stage,
    "switch": Launcher._switch,
}

ACTIONS: dict[type[Any], Callable[[Launcher, Any], None]] = {
    ev.Save: Launcher._save,
    ev.Spawn: Launcher._spawn,
    ev.SpawnStandby: Launcher._spawn_standby,
    ev.Activate: Launcher._activate,
    ev.Drain: Launcher._drain,
    ev.Reload: Launcher._reload,
    ev.End: Launcher._end,
    ev.EndStandby: Launcher._end_standby,
    ev.Answer: Launcher._answer,
    ev.Leave: Launcher._leave,
    ev.Note: Launcher._noted,
}
