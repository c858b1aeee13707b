"""Who belongs to a run, and how all of it is ended: also what forked twice, made a session of its own, or forks while it dies.

A process is kin when it descends from the run's first process, is in its session, carries the run's mark in its environment,
or was kin at an earlier look. Since the keeper is the subreaper of what it starts, an orphan becomes its child, so a walk over
its own descendants finds everybody without reading the whole process table. `Orphans` looks through the whole table, for what
an earlier life left. A name or a number alone never condemns anybody: each signal goes through a descriptor of the very process
that was looked at (or, where there are none, only after its start time was compared again).

`Ending` is the loop "signal, wait, kill, until nobody is found" as steps without waiting, so that the daemon's event loop and
the launcher's poll loop can both drive it. Stdlib only.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

from launcher.protocol import child
from launcher.protocol.words import Any, NamedTuple, Protocol

# Whether this system shows children and environments the way we look at them, and gives us orphans (else: ps).
PROC = sys.platform == "linux" and os.path.exists(f"/proc/self/task/{os.getpid()}/children")
WATCHED = 8  # descriptors held at once while waiting; a fork bomb must not use up ours
AGAIN_SOON, AGAIN_LATER = 0.002, 0.25
STRIKES = 20
DOUBT = 0.03  # how long a process that is just being executed (no environment yet) may be waited for


class Kin(NamedTuple):
    """One process as the system shows it. `start` tells it from a later one with the same number."""

    pid: int
    ppid: int
    group: int
    session: int
    start: str
    alive: bool

    @property
    def key(self) -> tuple[int, str]:
        return self.pid, self.start


class Look(NamedTuple):
    """What one look saw. `doubtful`: somebody was just being executed. `fleeing`: somebody was gone, or dead, before he could
    be looked at. `scene`: all that was looked at, to compare looks."""

    kin: tuple[Kin, ...]
    doubtful: bool = False
    fleeing: bool = False
    scene: frozenset[tuple[int, str]] = frozenset()


class Finder(Protocol):
    def look(self) -> Look: ...
    def strike(self) -> None:
        """Kills kin who fork and leave faster than a look takes."""


def read(pid: int) -> Kin | None:
    """The process with this number now; None when there is none."""
    try:
        text = _read_file(f"/proc/{pid}/stat")
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    # A first thread that has left looks like a zombie while others of its process still run.
    gone = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
    return Kin(pid, int(fields[1]), int(fields[2]), int(fields[3]), fields[19].decode(), not gone)


def marks(pid: int) -> frozenset[bytes] | None:
    """The variables of its environment; empty while it is being executed; None when it must not be read or is gone."""
    try:
        return frozenset(_read_file(f"/proc/{pid}/environ").split(b"\0")) - {b""}
    except OSError:
        return None


def children(pid: int) -> Iterator[int]:
    """The direct children of all threads of a process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            yield from map(int, _read_file(f"/proc/{pid}/task/{thread}/children").split())
        except OSError:
            continue


def everybody() -> dict[int, Kin]:
    """The whole process table."""
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {pid: kin for pid in numbers if (kin := read(pid))}


def _read_file(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):  # until its end: the kernel gives some of these page by page
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


class Family:
    """All that belongs to one run of this keeper."""

    def __init__(self, run_id: str, first: int) -> None:
        self._mark = os.fsencode(f"{child.RUN_MARK}={run_id}")
        self._first: int | None = first
        self._known: set[tuple[int, str]] = set()
        self._strangers: set[int] = set()  # our children that are no kin, at the last look
        self._scene: frozenset[tuple[int, str]] = frozenset()  # all of them, at the last look

    def state(self) -> dict[str, Any]:
        return {"first": self._first, "known": sorted(self._known)}

    def resume(self, state: dict[str, Any]) -> None:
        self._first, self._known = state["first"], {(pid, start) for pid, start in state["known"]}

    def forget_first(self) -> None:
        """The first process is reaped: its number may now belong to anybody."""
        self._first = None

    def look(self) -> Look:
        if not PROC:
            return _look_with_ps(self._mark, self._first)
        me = os.getpid()
        found: dict[int, Kin] = {}
        scene: set[tuple[int, str]] = set()
        doubtful = fleeing = False
        self._strangers.clear()
        for pid in set(children(me)):
            kin = read(pid)
            if kin is None:
                fleeing = True
                continue
            scene.add(kin.key)
            fleeing |= not kin.alive and pid != self._first and kin.key not in self._scene
            verdict = self._belongs(kin)
            doubtful |= verdict is None
            if verdict is False and kin.alive:
                self._strangers.add(pid)
            if verdict and kin.alive:
                self._collect(kin, found)
            elif verdict and pid != self._first:
                child.reap(pid)
        self._known.update(kin.key for kin in found.values())
        self._scene = frozenset(scene)
        return Look(tuple(found.values()), doubtful, fleeing, self._scene)

    def strike(self) -> None:
        """Our own child keeps its number until we reap it, so here the mark is enough: no time for more.

        Newest first, and nobody twice: who leaves at once leaves many dead behind, who would only hold up.
        """
        me = os.getpid()
        passed = set(self._strangers)
        for _ in range(STRIKES):
            for pid in [pid for pid in children(me) if pid not in passed][::-1]:
                passed.add(pid)
                if self._mark in (marks(pid) or ()):
                    os.kill(pid, signal.SIGKILL)

    def _belongs(self, kin: Kin) -> bool | None:
        """None: it has no environment yet, so it cannot be said."""
        if kin.pid == self._first or kin.key in self._known:
            return True
        if self._first is not None and kin.session == self._first:
            return True
        if not kin.alive:
            return False
        words = marks(kin.pid)
        return None if words is not None and not words else self._mark in (words or ())

    def _collect(self, kin: Kin, found: dict[int, Kin]) -> None:
        waiting = [kin]
        while waiting:
            one = waiting.pop()
            if one.pid in found:
                continue
            found[one.pid] = one
            # A dead one in between has no children any more: they came to us.
            waiting += [below for pid in children(one.pid) if (below := read(pid)) and below.alive]


class Orphans:
    """All processes of this machine that carry a keeper's mark, with all that descends from them; never ourselves."""

    def __init__(self, keeper_id: str) -> None:
        self._mark = os.fsencode(f"{child.KEEPER_MARK}={keeper_id}")
        self._known: set[tuple[int, str]] = set()

    def look(self) -> Look:
        if not PROC:
            return _look_with_ps(self._mark, None)
        table = everybody()
        spared = set(_ancestors(os.getpid(), table))
        found = {
            pid: kin
            for pid, kin in table.items()
            if kin.alive
            and pid not in spared
            and (kin.key in self._known or self._mark in (marks(pid) or ()))
        }
        below: dict[int, list[Kin]] = {}
        for kin in table.values():
            below.setdefault(kin.ppid, []).append(kin)
        waiting = list(found)
        while waiting:
            for kin in below.get(waiting.pop(), ()):
                if kin.alive and kin.pid not in found and kin.pid not in spared:
                    found[kin.pid] = kin
                    waiting.append(kin.pid)
        self._known.update(kin.key for kin in found.values())
        return Look(tuple(found.values()), scene=frozenset(kin.key for kin in found.values()))

    def strike(self) -> None:
        """These are not our children: nothing but a look tells who they are."""


def _ancestors(pid: int, table: dict[int, Kin]) -> Iterator[int]:
    while pid and pid in table:
        yield pid
        pid = table[pid].ppid


def send(kin: Kin, signum: int) -> bool:
    """A signal to exactly this process; False when it is gone."""
    try:
        fd = child.open_pidfd(kin.pid)
    except ProcessLookupError:
        return False
    try:
        now = read(kin.pid) if PROC else kin
        # The descriptor is open since before this look: if the start is the same, it stands for the one we mean.
        if now is None or now.key != kin.key:
            return False
        if fd is None:
            os.kill(kin.pid, signum)
        else:
            signal.pidfd_send_signal(fd, signum)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        if fd is not None:
            os.close(fd)
    return True


class Ending:
    """Ends all that a finder finds. Call `step` until it answers None; wait for `watched` or the time it says in between.

    Until `kill_at` each gets one SIGTERM (and is woken, should it be stopped); from then on SIGKILL, to whole process groups
    at once first: the system lets nobody fork out of a group while it does that.
    """

    def __init__(self, finder: Finder, kill_at: float, spare: int | None = None) -> None:
        """`spare` is not counted: the first process of a run."""
        self.finder, self.kill_at, self.spare = finder, kill_at, spare
        self.asked: dict[tuple[int, str], Kin] = {}
        self.killed: set[tuple[int, str]] = set()
        self.watched: dict[int, int] = {}  # pidfd by pid
        self._quiet: frozenset[tuple[int, str]] | None = None
        self._doubt_until: float | None = None
        self._pause: float = AGAIN_SOON
        self._fleeing = False

    def step(self, now: float) -> float | None:
        """None: twice in a row nobody was found. Else the time of the next step."""
        if self._fleeing and now >= self.kill_at:
            self.finder.strike()
        look = self.finder.look()
        self._fleeing = look.fleeing
        self._watch(look.kin)
        if not look.kin:
            return self._nobody(look, now)
        self._quiet = self._doubt_until = None
        fresh = [kin for kin in look.kin if kin.key not in self.asked]
        self.asked.update((kin.key, kin) for kin in fresh)
        if now >= self.kill_at:
            self._kill(look.kin)
            # Who cannot die yet (a hung disk) is asked ever more seldom; who dies is heard of by its descriptor.
            self._pause = AGAIN_SOON if fresh else min(2 * self._pause, AGAIN_LATER)
            return now + self._pause
        for kin in fresh:
            if send(kin, signal.SIGTERM):
                send(kin, signal.SIGCONT)
        return self.kill_at

    @property
    def ended(self) -> tuple[int, ...]:
        """Everybody who was found beside the first process."""
        return tuple(kin.pid for kin in self.asked.values() if kin.pid != self.spare)

    @property
    def killed_beside(self) -> int:
        return sum(pid != self.spare for pid, _ in self.killed)

    def close(self) -> None:
        self._watch(())

    def _nobody(self, look: Look, now: float) -> float | None:
        if look.doubtful:
            self._doubt_until = self._doubt_until or now + DOUBT
            if now < self._doubt_until:
                return now + AGAIN_SOON
        if self._quiet == look.scene and not look.fleeing:
            self.close()
            return None
        self._quiet = look.scene
        return now

    def _kill(self, kin: tuple[Kin, ...]) -> None:
        # Only groups of a session that one of them began: nobody else can be in those.
        leaders = {pid for pid, _ in self.asked} | {self.spare}
        groups = {one.group: one for one in kin if one.session in leaders}
        for group, witness in groups.items():
            # And only while one who is in it (and whom we mean) still is: so the number is still theirs.
            now = read(witness.pid) if PROC else witness
            if now is not None and now.key == witness.key and now.group == group:
                _kill_group(group)
        for one in kin:
            send(one, signal.SIGKILL)
            self.killed.add(one.key)

    def _watch(self, kin: tuple[Kin, ...]) -> None:
        """Descriptors of a few who still live, to hear of their end at once."""
        alive = {one.pid for one in kin}
        for pid in [pid for pid in self.watched if pid not in alive]:
            os.close(self.watched.pop(pid))
        for pid in alive:
            if len(self.watched) >= WATCHED:
                break
            if pid in self.watched:
                continue
            try:
                fd = child.open_pidfd(pid)
            except ProcessLookupError:
                continue
            if fd is not None:
                self.watched[pid] = fd


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _look_with_ps(mark: bytes, first: int | None) -> Look:
    """Where there is no /proc: the table that ps prints, with environments (`e`), for our own processes."""
    import subprocess

    columns = "pid=,ppid=,pgid=,stat=,lstart=,command="
    options = "-axEwwo" if sys.platform == "darwin" else "axewwo"
    printed = subprocess.run(["ps", options, columns], capture_output=True, check=True).stdout
    table: dict[int, tuple[Kin, bool]] = {}
    for line in printed.splitlines():
        words = line.split()
        pid, ppid, group = map(int, words[:3])
        start = b" ".join(words[4:9]).decode()
        alive = not words[3].startswith(b"Z")
        table[pid] = Kin(pid, ppid, group, 0, start, alive), mark in words[9:]
    spared = set(_ancestors(os.getpid(), {pid: kin for pid, (kin, _) in table.items()}))
    found = {
        pid: kin
        for pid, (kin, marked) in table.items()
        if kin.alive and pid not in spared and (marked or (first is not None and first in (pid, kin.group)))
    }
    before = -1
    while before != len(found):
        before = len(found)
        found.update((pid, kin) for pid, (kin, _) in table.items() if kin.alive and kin.ppid in found)
    return Look(tuple(found.values()), scene=frozenset(kin.key for kin in found.values()))
