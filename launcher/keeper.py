"""Keeps the managed app and all that belongs to it, on the daemon's word: forks it, signals it, empties its
pipes, holds its sockets, and remembers how it ended until the daemon has acknowledged that. It decides
nothing about it.

Runs are named by run id only. A first process that has ended stays unreaped until its run is cleared, so
its number, group and session cannot come to mean anybody else. Every request is answered once, by its
number `n`; one that is wrong or cannot be served gets an `error`, and nothing has changed. Bounded: in
runs, logs and sockets, and in the size of an order.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from launcher.clearing import Clearing
from launcher.poller import Poller
from launcher.protocol import child, kin, notation, sockets
from launcher.protocol.messages import ORDER_LIMIT, PRIVATE, Message
from launcher.protocol.sockets import Socket
from launcher.protocol.words import Any
from launcher.tap import Tap

RUNS, LOGS, SOCKETS = 64, 64, 64
RING_MOST, SLOTS_MOST, SLOTS_LEAST = 1 << 30, 1 << 20, 3
WAIT_MOST = 3600.0
SWEEP_GRACE = 2.0
BACKLOG = 1024
WAKES = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})

Reply = Callable[..., None]  # fields of the answer; `fds` are sent with it


class RefusedError(Exception):
    """A request that cannot be served: `kind` for programs, the text for people."""

    def __init__(self, kind: str, text: str, **more: object) -> None:
        super().__init__(text)
        self.kind, self.more = kind, more


class Run:
    """One run of the app: its first process, and whatever came of it."""

    __slots__ = (
        "cleared",
        "clearing",
        "exit",
        "family",
        "log",
        "number",
        "pid",
        "reaped",
        "run_id",
        "waiting",
    )

    def __init__(self, run_id: str, number: int, log: str, pid: int) -> None:
        self.run_id, self.number, self.log, self.pid = run_id, number, log, pid
        self.family = kin.Family(run_id, pid)
        self.exit: Message | None = None
        self.reaped = self.cleared = False
        self.clearing: Clearing | None = None
        self.waiting: list[Reply] = []

    def body(self) -> Message:
        return {"run_id": self.run_id, "pid": self.pid, "log": self.log, "exit": self.exit}

    def state(self) -> Message:
        more = {"number": self.number, "reaped": self.reaped, "cleared": self.cleared}
        return self.body() | more | {"family": self.family.state()}

    @classmethod
    def resume(cls, state: Message) -> Run:
        run = cls(state["run_id"], state["number"], state["log"], state["pid"])
        run.exit, run.reaped, run.cleared = state["exit"], state["reaped"], state["cleared"]
        run.family.resume(state["family"])
        return run


class Keeper:
    """`tell` sends a message to the active daemon, if there is one; what it misses it can ask for."""

    def __init__(self, poller: Poller, tell: Callable[[Message], None]) -> None:
        self._poller, self._tell = poller, tell
        self._runs: dict[str, Run] = {}
        self._taps: dict[str, Tap] = {}
        self._sockets: dict[str, tuple[Socket, str]] = {}
        self._swept = False

    # -- for the loop

    def state(self) -> Message:
        """What `resume` needs after this process has executed other code."""
        return {
            "runs": [run.state() for run in self._runs.values()],
            "taps": {name: tap.state() for name, tap in self._taps.items()},
            "sockets": {name: [held.fileno(), asked] for name, (held, asked) in self._sockets.items()},
            "swept": self._swept,
        }

    def resume(self, state: Message) -> None:
        self._runs = {run["run_id"]: Run.resume(run) for run in state["runs"]}
        self._taps = {name: Tap.resume(self._poller, tap) for name, tap in state["taps"].items()}
        for name, (fd, asked) in state["sockets"].items():
            self._sockets[name] = sockets.Socket(fileno=fd), asked
        self._swept = state["swept"]

    @property
    def alive(self) -> bool:
        """An app is there to be kept."""
        return any(run.exit is None for run in self._runs.values())

    def children(self) -> set[int]:
        """First processes that are not to be reaped by anybody else."""
        return {run.pid for run in self._runs.values() if not run.reaped}

    def look_for_exits(self) -> None:
        for run in self._runs.values():
            if run.exit is None and (ended := child.look_at_exit(run.pid)) is not None:
                self._note_exit(run, ended)

    def serve(self, message: Message, fds: list[int], reply: Reply) -> None:
        """Answer a request, now or when it is done. The descriptors stay the caller's."""
        try:
            REQUESTS[message["type"]](self, message, fds, reply)
        except RefusedError as refusal:
            reply(error={"kind": refusal.kind, "text": str(refusal), **refusal.more})
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            reply(error={"kind": "bad_request", "text": f"{type(error).__name__}: {error}"})
        except OSError as error:
            reply(error={"kind": "system", "text": str(error), "errno": error.errno})

    def end_all(self, grace: float, done: Callable[[], None]) -> Callable[[], None]:
        """End every run, close every socket and log, then call `done`. What comes back ends the patience."""
        for name in list(self._sockets):
            self._sockets.pop(name)[0].close()

        def finish() -> None:
            if all(run.clearing is not None and run.clearing.over for run in self._runs.values()):
                for tap in self._taps.values():
                    tap.close()
                self._taps.clear()
                self._runs.clear()
                done()

        for run in list(self._runs.values()):
            self._clear_run(run, grace, lambda **_: finish())
        if not self._runs:
            finish()
        return self._hurry

    def _hurry(self) -> None:
        for run in list(self._runs.values()):
            if run.clearing is not None:
                run.clearing.hurry()

    # -- logs

    def _log(self, message: Message, _fds: list[int], reply: Reply) -> None:
        name, base = _text(message["log"]), _number(message["base"])
        tap = self._taps.get(name)
        fresh = tap is None
        if tap is None:
            if len(self._taps) >= LOGS:
                raise RefusedError("too_many", f"{LOGS} logs are open.")
            ring_bytes, slots = (
                _number(message["ring_bytes"], RING_MOST),
                _number(message["slots"], SLOTS_MOST),
            )
            if not ring_bytes or slots < SLOTS_LEAST or not 0 <= float(message["log_wait"]) <= WAIT_MOST:
                raise ValueError("a ring of this size, or this patience, is none")
            tap = Tap.create(self._poller, base, ring_bytes, slots, float(message["log_wait"]))
            self._taps[name] = tap
        reply(fresh=fresh, fds=tap.handles())

    def _close_log(self, message: Message, _fds: list[int], reply: Reply) -> None:
        name = _text(message["log"])
        if any(run.log == name and not run.cleared for run in self._runs.values()):
            raise RefusedError("in_use", f"A run writes to the log {name}.")
        if (tap := self._taps.pop(name, None)) is not None:
            tap.close()
        reply()

    def _release(self, message: Message, _fds: list[int], reply: Reply) -> None:
        run = self._run(message)
        self._taps[run.log].release(run.number)
        reply()

    # -- runs

    def _spawn(self, _message: Message, fds: list[int], reply: Reply) -> None:
        order = _order(fds)
        run_id, log, name = _text(order["run_id"]), _text(order["log"]), str(order.get("socket", ""))
        if run_id in self._runs:
            raise RefusedError("run_exists", f"There already is a run {run_id}.")
        if len(self._runs) >= RUNS:
            raise RefusedError("too_many", f"{RUNS} runs are kept.")
        if log not in self._taps:
            raise RefusedError("unknown_log", f"The log {log} is not open.")
        listening = self._socket(name).fileno() if name else None
        number = _number(order["number"], (1 << 32) - 1)
        env = {str(key): str(value) for key, value in order["env"].items() if key not in PRIVATE}
        command, cwd = [_text(word, empty=True) for word in order["command"]], _text(order["cwd"])
        marks = {child.RUN_MARK: run_id, child.KEEPER_MARK: _text(order["keeper"])}
        output = child.open_output()
        try:
            pid = child.spawn(command, cwd, env, output, marks, listening, alone=True)
        except child.CannotSpawn as refusal:
            output.close()
            raise RefusedError(refusal.what, str(refusal), path=refusal.path, errno=refusal.errno) from None
        except BaseException:
            output.close()
            raise
        output.close_theirs()
        self._runs[run_id] = Run(run_id, number, log, pid)
        self._taps[log].add(number, output.stdout, output.stderr)
        reply(pid=pid)

    def _note_exit(self, run: Run, ended: tuple[int | None, int | None]) -> None:
        run.exit = {"code": ended[0], "signal": ended[1], "at": time.time_ns()}
        self._tell({"type": "exited", **run.body()})

    def _signal(self, message: Message, _fds: list[int], reply: Reply) -> None:
        run, number = self._run(message), _number(message["number"], 64)
        self.look_for_exits()
        if run.exit is not None or run.reaped:
            reply(sent=False)
            return
        run.family.look()  # who is there now is known for good, even when it leaves its parents and its environment
        os.kill(run.pid, number)
        if number in WAKES:
            os.kill(run.pid, signal.SIGCONT)  # of use only to one who is not stopped
        reply(sent=True)

    def _members(self, message: Message, _fds: list[int], reply: Reply) -> None:
        run = self._run(message)
        found = [one.pid for one in run.family.look().kin]
        reply(pids=sorted(found, key=lambda pid: pid != run.pid))

    def _clear(self, message: Message, _fds: list[int], reply: Reply) -> None:
        grace = float(message["grace"])
        if not 0 <= grace < 1e6:
            raise ValueError("grace")
        self._clear_run(self._run(message), grace, reply)

    def _clear_run(self, run: Run, grace: float, reply: Reply) -> None:
        run.waiting.append(reply)
        if run.clearing is None or run.clearing.over:
            run.clearing = Clearing(
                self._poller, run.family, grace, lambda clearing: self._cleared(run, clearing), spare=run.pid
            )

    def _cleared(self, run: Run, clearing: Clearing) -> None:
        if not run.reaped:
            self.look_for_exits()
            if run.exit is None:  # it is dying, and its parent hears of it in a moment
                self._poller.after(0.001, lambda: self._cleared(run, clearing))
                return
            run.reaped = child.reap(run.pid)
            run.family.forget_first()
        run.cleared = True
        waiting, run.waiting = run.waiting, []
        for reply in waiting:
            reply(ended=len(clearing.ended), killed=clearing.killed, pids=list(clearing.ended)[:1000])

    def _acknowledge(self, message: Message, _fds: list[int], reply: Reply) -> None:
        run = self._run(message)
        if run.exit is None:
            raise RefusedError("alive", f"The run {run.run_id} still lives.")

        def forget(**_fields: object) -> None:
            self._runs.pop(run.run_id, None)
            reply()

        self._clear_run(run, 0.0, forget)

    def _list(self, _message: Message, _fds: list[int], reply: Reply) -> None:
        self.look_for_exits()
        reply(runs=[run.body() for run in self._runs.values()], logs=list(self._taps))

    def _sweep(self, message: Message, _fds: list[int], reply: Reply) -> None:
        """What lives of other launchers left. Once: later, all that carries the mark is ours."""
        if self._swept or self._runs:
            reply(ended=0, killed=0, pids=[])
            return
        finder = kin.Orphans(_text(message["keeper"]))

        def done(clearing: Clearing) -> None:
            self._swept = True
            reply(ended=len(clearing.ended), killed=clearing.killed, pids=list(clearing.ended)[:1000])

        Clearing(self._poller, finder, SWEEP_GRACE, done)

    def _run(self, message: Message) -> Run:
        run = self._runs.get(_text(message["run_id"]))
        if run is None:
            raise RefusedError("unknown_run", f"There is no run {message['run_id']}.")
        return run

    # -- sockets

    def _listen(self, message: Message, _fds: list[int], reply: Reply) -> None:
        name, host, port = _text(message["name"]), _text(message["host"]), _number(message["port"], 65535)
        asked = f"{host}:{port}"
        if name in self._sockets:
            held, as_asked = self._sockets[name]
            actual = int(held.getsockname()[1])
            if asked not in (as_asked, f"{host}:{actual}"):
                raise RefusedError(
                    "cannot_listen", f"The socket {name} is held on {as_asked}; close it first."
                )
            reply(port=actual)
            return
        if len(self._sockets) >= SOCKETS:
            raise RefusedError("too_many", f"{SOCKETS} sockets are held.")
        if host != "localhost" and not sockets.is_address(host):  # a name could take long to be found out
            raise RefusedError("cannot_listen", f"{host} is no address in numbers.")
        try:
            held = sockets.listening(host, port, BACKLOG)
        except OSError as error:
            raise RefusedError(
                "cannot_listen", f"{asked} cannot be listened on: {error.strerror}.", errno=error.errno or 0
            ) from None
        self._sockets[name] = held, asked
        reply(port=int(held.getsockname()[1]))

    def _close_socket(self, message: Message, _fds: list[int], reply: Reply) -> None:
        self._socket(_text(message["name"])).close()
        del self._sockets[message["name"]]
        reply()

    def _socket(self, name: str) -> Socket:
        if name not in self._sockets:
            raise RefusedError("unknown_socket", f"No listening socket {name} is held.")
        return self._sockets[name][0]


REQUESTS: dict[str, Callable[[Keeper, Message, list[int], Reply], None]] = {
    "log": Keeper._log,
    "close_log": Keeper._close_log,
    "release": Keeper._release,
    "spawn": Keeper._spawn,
    "signal": Keeper._signal,
    "members": Keeper._members,
    "clear": Keeper._clear,
    "acknowledge": Keeper._acknowledge,
    "runs": Keeper._list,
    "sweep": Keeper._sweep,
    "listen": Keeper._listen,
    "close_socket": Keeper._close_socket,
}


def _order(fds: list[int]) -> dict[str, Any]:
    """The order of a spawn: JSON in a memory file, since an environment can be larger than a packet."""
    if len(fds) != 1:
        raise ValueError("a spawn brings one descriptor")
    if os.fstat(fds[0]).st_size > ORDER_LIMIT:
        raise ValueError(f"the order is larger than {ORDER_LIMIT} bytes")
    data = os.pread(fds[0], ORDER_LIMIT, 0)
    order = notation.loads(data)
    if (
        not isinstance(order, dict)
        or not isinstance(order["env"], dict)
        or not isinstance(order["command"], list)
    ):
        raise TypeError("not an order")
    return order


def _text(value: object, empty: bool = False) -> str:
    if not isinstance(value, str) or (not value and not empty):
        raise TypeError(f"a text is wanted, not {value!r}"[:200])
    return value


def _number(value: object, most: int = 1 << 62) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"a number up to {most} is wanted, not {value!r}"[:200])
    return value
