"""One round: what the plan says is done to launcher, daemon, standby and app, and then everything that must hold is looked at."""

from __future__ import annotations

import contextlib
import heapq
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

from tests.chaos.agents import Agent, LoneAgent, SessionAgent
from tests.chaos.follower import Follower
from tests.chaos.house import LOGS, PROJECT, RATE, House
from tests.chaos.ledger import Ledger, Stream, Written
from tests.chaos.plan import Act, Kind, Round, What, Who, draw
from tests.chaos.prober import Prober
from tests.support import eventually_sync

INSTALLED = "installed"
SETTLED = 75.0  # seconds within which a round must have come to its end
CAUGHT_UP = 20.0  # seconds within which more comes, while something is missing
HEARS = 10.0  # seconds within which a log that grows is told of
PAGE = 10_000
RUNTIME = f"/projects/{PROJECT}/runtime"


class Row(NamedTuple):
    """What a round was, for the table."""

    plan: Round
    done: tuple[str, ...]
    seconds: float
    lines: int
    connections: int
    probes: int
    cut: int
    slowest: float
    notices: int
    sessions: int


class Broken(AssertionError):
    """Something that must hold did not."""


class Campaign:
    """Rounds in one house. `follower`, `prober` and the MCP clients work all the time."""

    def __init__(self, house: House, seed: int, agents: bool = True, rate: int = RATE) -> None:
        self.house, self.seed, self._rate = house, seed, rate
        self.follower = Follower(house.port, LOGS, house.token)
        self.prober = Prober(house.port)
        self.session = SessionAgent(house.port, PROJECT, house.token)
        self.agents: list[Agent] = [self.session, LoneAgent(house.port, PROJECT, house.token)] * agents
        self.current, self.previous = INSTALLED, INSTALLED
        self.good: list[str] = [INSTALLED]
        self._done: list[str] = []

    def __enter__(self) -> Campaign:
        try:
            self.house.start()
            self.house.begin_app(self._rate)
        except BaseException:
            self.house.end()
            raise
        self.follower.start()
        self.prober.start()
        for agent in self.agents:
            agent.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        self.house.end()

    def _leave(self) -> None:
        self.follower.end()
        self.prober.end()
        for agent in self.agents:
            agent.end()

    # -- a round

    def round(self, number: int) -> Row:
        plan, began = draw(self.seed, number), time.monotonic()
        before = self._counts()
        place, app, self._done = self.follower.place(), self.house.app_pid(), []
        target = self._begin(plan)
        self._act(plan.acts)
        self._settle(plan, target)
        self._look(place)
        if not any(act.who is Who.APP for act in plan.acts) and self.house.app_pid() != app:
            raise Broken(f"nobody touched the app, and {app} is now {self.house.app_pid()}")
        slowest = max((wait for at, wait in tuple(self.prober.waits) if at >= began), default=0.0)
        counts = zip(before, self._counts(), strict=True)
        lines, connections, probes, cut, mute, notices, sessions = (
            after - earlier for earlier, after in counts
        )
        if plan.gentle and (cut or mute):
            words = f"{cut} requests were cut, and {mute} of MCP clients: {self.prober.words[-5:]}"
            raise Broken(f"no daemon was hurt, and {words}")
        seconds = time.monotonic() - began
        cut += mute
        return Row(
            plan, tuple(self._done), seconds, lines, connections, probes, cut, slowest, notices, sessions
        )

    def _counts(self) -> tuple[int, ...]:
        """Lines, connections, probes, those cut, those of the MCP clients cut, notices, sessions."""
        follower, prober = self.follower, self.prober
        cut, notices = (sum(getattr(agent, name) for agent in self.agents) for name in ("cut", "notices"))
        known = follower.ledger.lines, follower.connections, prober.asked, prober.cut
        return *known, cut, notices, self.session.sessions

    def _begin(self, plan: Round) -> str:
        """Ask for what the round is about; the release that it is about."""
        if plan.kind is Kind.TROUBLE:
            return self.current
        if plan.kind is Kind.BACK:
            target = self.previous if self.previous != self.current else INSTALLED
        else:
            target = f"r{self.seed}-{plan.number}{'-' * bool(plan.defect)}{plan.defect}"
            self.house.add_release(target, plan.defect)
        if target != self.current:
            self._switch(target)
        return target

    def _switch(self, target: str) -> None:
        answer = self.house.insist("POST", f"/releases/{target}/switch", {})
        self._done.append(f"switch:{answer.status}")

    def _act(self, acts: Sequence[Act]) -> None:
        """Each at its moment; what was stopped goes on at its own."""
        began, pause, order = time.monotonic(), threading.Event(), count()
        due: list[tuple[float, int, Callable[[], None]]] = []

        def later(after: float, do: Callable[[], None]) -> None:
            heapq.heappush(due, (after, next(order), do))

        for act in acts:
            later(
                act.at, partial(self._do, act, lambda after, do: later(time.monotonic() - began + after, do))
            )
        while due:
            at, _, do = heapq.heappop(due)
            pause.wait(max(0.0, began + at - time.monotonic()))
            do()

    def _do(self, act: Act, later: Callable[[float, Callable[[], None]], None]) -> None:
        if act.what is What.RESTART:
            self._restart(act.who)
            return
        pid = self._find(act.who)
        if pid is None or not self._signal(pid, signal.SIGKILL if act.what is What.KILL else signal.SIGSTOP):
            self._done.append(f"no {act.who} to {act.what}")
            return
        self._done.append(f"{act.what} {act.who}")
        if act.what is What.PAUSE:
            later(act.lasts, lambda: void(self._signal(pid, signal.SIGCONT)))

    def _find(self, who: Who) -> int | None:
        lives = self.house.lives()
        return {Who.DAEMON: lives.daemon, Who.STANDBY: lives.standby}.get(who) or (
            self.house.app_pid() if who is Who.APP else None
        )

    @staticmethod
    def _signal(pid: int, number: int) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def _restart(self, who: Who) -> None:
        self._done.append(f"restart {who}")
        if who is Who.DAEMON:
            self.house.hang_up()
            return
        self.house.insist("POST", f"{RUNTIME}/restart?wait=none", {})

    # -- how it ends

    def _settle(self, plan: Round, target: str) -> None:
        """Wait until the right release runs, is good, and keeps the app; asking again where a kill has undone the asking."""
        bad, asked = bool(plan.defect), 1
        want = self.current if bad else target

        def settled() -> bool:
            nonlocal asked
            record, lives = self.house.record(), self.house.lives()
            state = self.house.state(target)
            if state == "failed" and not bad:
                raise Broken(f"{target} has no defect and is failed")
            calm = lives.standby is None and self._runs(str(record["current"])) and record["rung"] == "normal"
            undone = state == "failed" if not bad else state != "failed"
            if calm and (undone or record["current"] != want) and asked < 6 and not self._under_way(target):
                asked += 1
                self._switch(target)
                return False
            ended = state == "failed" if bad else self.house.state(want) == "good"
            return calm and ended and record["current"] == want and self._app_runs()

        try:
            eventually_sync(settled, SETTLED, every=0.1)
        except AssertionError as error:
            raise Broken(
                f"{plan.title}: not settled, {want} should run and {target} be decided: {error}"
            ) from None
        if want != self.current:
            self.current, self.previous = want, self.current
            self.good.append(want)

    def _under_way(self, target: str) -> bool:
        return self.house.state(target) in ("trying", "probation")

    def _runs(self, release: str) -> bool:
        try:
            answer = self.house.ask("GET", "/health", timeout=10)
        except (OSError, http.client.HTTPException):
            return False
        return answer.status == 200 and answer.body["release"] == release

    def _app_runs(self) -> bool:
        try:
            answer = self.house.ask("GET", f"{RUNTIME}/status", timeout=10)
        except (OSError, http.client.HTTPException):
            return False
        alive = self.house.app_pid()
        return answer.status == 200 and answer.body["state"] == "running" and answer.body["pid"] == alive

    # -- what must hold

    def _look(self, place: tuple[str, Ledger]) -> None:
        written = self.house.written()
        self._caught_up(written)
        self._read_pages(*place, written)
        self._look_at_processes()
        self._look_at_agents(written)
        faults = self.follower.ledger.faults() + self.follower.ledger.beyond(self.house.written())
        faults += [self.follower.trouble] if self.follower.trouble else []
        faults += [f"a second copy of the app: {word}" for word in self.house.seconds()]
        refused = self.prober.refused + self.follower.refused
        faults += [f"{refused} connections were refused"] if refused else []
        odd = self.prober.late + self.prober.unwell
        faults += [f"{odd} requests got no good answer: {self.prober.words[-5:]}"] if odd else []
        failed = [name for name in self.good if self.house.state(name) == "failed"]
        faults += [f"good releases became failed: {failed}"] if failed else []
        if faults:
            raise Broken("\n".join(faults))

    def _caught_up(self, written: dict[Stream, Written]) -> None:
        try:
            _come(self.follower.ledger, written)
        except AssertionError:
            ledger = self.follower.ledger
            raise Broken(
                f"lines did not come: {ledger.behind(written)}, answers {self.follower.answers}, {ledger.faults()}"
            ) from None

    def _read_pages(self, cursor: str, ledger: Ledger, written: dict[Stream, Written]) -> None:
        """The same lines once more, in pages, from where the round began."""
        while ledger.behind(written):
            answer = self.house.insist("GET", f"{RUNTIME}/logs?cursor={cursor}&limit={PAGE}&wait=2")
            if answer.status != 200 or not answer.body["lines"]:
                raise Broken(
                    f"pages: {ledger.behind(written)} after {ledger.lines} lines; {str(answer)[:300]}"
                )
            if answer.body["lost"] is not None:
                ledger.gap(answer.body["lost"])
            for line in answer.body["lines"]:
                ledger.take(line["run"], line["stream"], line["text"])
            cursor = answer.body["next_cursor"]
        if ledger.faults():
            raise Broken(f"pages: {ledger.faults()}")

    def _look_at_processes(self) -> None:
        """The launcher, one daemon, one app with its child, and nobody else."""

        def known() -> bool:
            lives = self.house.lives()
            found = set(self.house.everybody())
            return found >= {self.house.pid, lives.daemon} and len(found) == 4 and self._app_runs()

        try:
            eventually_sync(known, 10, every=0.1)
        except AssertionError:
            told = [f"{pid}: {about(pid)}" for pid in self.house.everybody()]
            raise Broken(
                f"not the launcher, one daemon, the app and its child: {told}, {self.house.lives()}"
            ) from None

    def _look_at_agents(self, written: dict[Stream, Written]) -> None:
        """They have every line too, hear again, and the daemon keeps for them what it needs and no more."""
        heard = [agent.notices for agent in self.agents]
        for agent, before in zip(self.agents, heard, strict=True):
            try:
                _come(agent.ledger, written, lambda a=agent: bool(a.odd))
                eventually_sync(lambda a=agent, n=before: a.odd or a.notices > n, HEARS, every=0.05)
            except AssertionError:
                told = f"{agent.ledger.behind(written)}, {agent.notices - before} notices, answers {agent.answers}"
                raise Broken(f"{agent.name} gets no more: {told}") from None
            faults = agent.faults() + agent.ledger.beyond(self.house.written())
            if faults:
                raise Broken(f"{agent.name}: {faults}")
        self._kept_for_agents({"sessions": 1, "streams": 4, "tasks": 2} if self.agents else {})

    def _kept_for_agents(self, most: dict[str, int]) -> None:
        """One session; its stream, the other's, and a request of each; the task that reads events, and that of the log."""
        try:
            eventually_sync(
                lambda: all(self.house.figure(f"att_mcp_{n}") <= most[n] for n in most), 10, every=0.1
            )
        except AssertionError:
            found = {name: self.house.figure(f"att_mcp_{name}") for name in most}
            raise Broken(f"the daemon keeps too much for MCP clients: {found}") from None

    def read_all(self) -> int:
        """Stop everything, start anew, and read every line of the campaign from disk; how many there are."""
        self._leave()
        self._kept_for_agents({"sessions": 0, "streams": 0, "tasks": 0})
        code = self.house.stop()
        left = self.house.everybody()
        if code or left:
            raise Broken(f"the launcher left with {code}, and these are still there: {left}")
        written = self.house.written()
        self.house.start()
        ledger = Ledger()
        self._read_pages("oldest", ledger, written)
        return ledger.lines


def about(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace")[:200]
    return "gone"


def void(_: object) -> None:
    return None


def evidence(campaign: Campaign) -> str:
    """What a person needs to find out why."""
    house = campaign.house
    parts = [f"seed {campaign.seed}; done in this round: {campaign._done}"]
    parts += ["boot record: " + json.dumps(house.record())]
    parts += ["journal:"] + [json.dumps(entry) for entry in house.journal()[-40:]]
    with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
        parts += ["events:"] + [
            json.dumps(e) for e in house.ask("GET", "/events?limit=25", timeout=5).body["events"]
        ]
    parts += ["launcher's output:", *house.out.read_text(errors="replace").splitlines()[-40:]]
    return "\n".join(parts)


def _come(ledger: Ledger, written: dict[Stream, Written], enough: Callable[[], bool] = lambda: False) -> None:
    """Returns when all has come, however long that takes on a busy machine; AssertionError when no more comes."""
    while ledger.behind(written) and not enough():
        eventually_sync(lambda had=ledger.lines: ledger.lines > had or enough(), CAUGHT_UP, every=0.05)
