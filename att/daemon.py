"""The daemon's wiring: the only file that knows every part, and the order in which they come up and go down.

Up: the home, its lock, the store, the events, the projects, the keeper, the runtime, the doors; then the app that was wanted
when the daemon last ended, unless it still runs: then it is taken over. Down, in the opposite order: no new connections,
streams end at their cursor, short requests finish, the logs and the store are closed. The app is stopped when that was asked for;
below a launcher it goes on in every other case, for the next life. `serve` answers with the exit code that the launcher's
contract names: 0 asked to stop, 75 start me again, 78 the configuration is wrong; any other error is a crash.
"""

from __future__ import annotations

from att import early  # before all that is slow to load

# isort: split
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog
from aiohttp import web

from att import config, logging
from att.access import Access, Grant, read_or_make_token
from att.config import EXIT_CONFIG, Address, BadSettings, Settings
from att.event.journal import Journal
from att.event.log import EventLog
from att.git.forge.forges import Forges
from att.ground import BACKLOG, announce, keeper_id, listen, prepare_home, take
from att.health.models import Status
from att.health.pulse import Pulse
from att.health.vitals import Vitals
from att.http import private as private_health
from att.http.app import drain, make_app
from att.http.server import Runner, make_runner
from att.mcp.door import Door, open_door
from att.mcp.offer import Offer
from att.metrics import Metrics
from att.problems import Problem
from att.project.projects import Projects
from att.release.releases import Releases
from att.rooms import catalogue
from att.runtime.adoption import STANDALONE, Situation
from att.runtime.logs import Logs
from att.runtime.preflight import find_config
from att.runtime.service import Runtime
from att.store.rehearsal import rehearse
from att.store.schema import schema_of
from att.store.store import Store, open_store
from att.workbench import Ground, open_workbench
from att.workflow.runs import Runs
from supervisor.launcher_keeper import LauncherKeeper
from supervisor.link import Link
from supervisor.local import LocalKeeper, end_orphans
from supervisor.logs.values import Keeping, LogSettings
from supervisor.parent import RESTART_CODE, Parent, launcher_id, mark_life

ORPHANS_GRACE = 5.0
log = structlog.get_logger("att")


def own_version() -> str:
    """The version of this installation."""
    try:
        return version("agent-toolkit-toolkit")
    except PackageNotFoundError:
        return "0+source"


def serve(settings: Settings, *, standalone: bool = True) -> int:
    """Run the daemon until it is told to leave; its exit code. Without a launcher it keeps the processes itself."""
    logging.configure(settings.log_level)
    early.loaded()
    parent = None if standalone else Parent.find(os.environ)
    try:
        with contextlib.ExitStack() as held:
            prepare_home(settings.home)
            if parent is None:
                held.enter_context(contextlib.closing(take(settings.home)))
                mark_life(keeper_id(settings.home))
            with asyncio.Runner() as loop:
                return loop.run(Daemon(settings, parent).run())
    except Problem as problem:
        log.error("cannot_start", code=problem.code, detail=problem.detail, hint=problem.advice)
        return EXIT_CONFIG if isinstance(problem, BadSettings) else 1


class Daemon:
    """One life of the daemon."""

    def __init__(self, settings: Settings, parent: Parent | None) -> None:
        self.settings = settings
        self.parent = parent
        self.code = 1 if parent else 0
        self.link: Link | None = None
        self.journal: Journal | None = None
        self._leave = asyncio.Event()
        self._gone = asyncio.Event()  # the launcher has ended
        self._activated = asyncio.Event()
        self._standing_by = False
        self._releases: Releases | None = None
        release = parent.release if parent else settings.release
        self.vitals = Vitals(own_version(), release)
        self.vitals.boot_id = parent.boot_id if parent else None
        self.vitals.safe_mode = parent is not None and parent.safe_mode
        self.metrics = Metrics(own_version(), release)

    async def run(self) -> int:
        """Up, wait, down."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.leave, 0)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        async with contextlib.AsyncExitStack() as stack:
            if self.parent is not None:
                await self._join(stack, self.parent)
                if self.parent.standby and not await self._stand_by():
                    return self.code
            runtime, app = await self._open(stack)
            server = await self._serve(stack, app)
            self.vitals.ready()
            announce(self.settings, self.vitals.version)
            if not self._leave.is_set():
                await runtime.resume()
            await self._leave.wait()
            self.vitals.stopping()
            log.info("stopping", code=self.code)
            await _stop_accepting(server, app)
        log.info("stopped", code=self.code)
        return self.code

    async def check(self, path: str) -> str:
        """All parts opened, and what health answers on the socket at `path`."""
        from att.selfcheck import ask_health

        async with contextlib.AsyncExitStack() as stack:
            _, app = await self._open(stack)
            runner = make_runner(app, self.settings)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.UnixSite(runner, path).start()
            self.vitals.ready()
            return await asyncio.to_thread(ask_health, path)

    def leave(self, code: int) -> None:
        """End this life; the first word counts."""
        if not self._leave.is_set():
            self.code = code
            self._leave.set()

    def reload(self) -> None:
        """Begin anew with the configuration as it is now, when it is right; else go on as before."""
        if self.parent is None:
            self.leave(0)  # a terminal that was closed
            return
        try:
            config.load()
        except BadSettings as problem:
            log.error("not_reloaded", code=problem.code, detail=problem.detail, hint=problem.advice)
        else:
            self.leave(RESTART_CODE)

    def _heard(self, message: dict[str, Any]) -> None:
        if self._releases is not None:
            self._releases.hear(message)
        match message["type"]:
            case "drain":
                self.leave(RESTART_CODE)
            case "reload":
                self.reload()
            case "activate":
                self._activated.set()
            case "journal" if self.journal is not None:
                self.journal.poke()

    def _launcher_gone(self) -> None:
        log.error("launcher_gone")
        self._gone.set()
        self.leave(1)

    async def _join(self, stack: contextlib.AsyncExitStack, parent: Parent) -> None:
        """Speak with the launcher, and answer its question for health."""
        stack.callback(parent.listener.close)
        self.link = parent.link(self._heard, self._launcher_gone)
        stack.callback(self.link.close)
        private = await private_health.serve(
            parent.health_socket, parent.release, parent.boot_id, self._unwell
        )
        stack.push_async_callback(private.cleanup)

    def _unwell(self) -> str | None:
        """Why the launcher is not to count on this life."""
        if self._standing_by or self.vitals.state in (Status.OK, Status.STOPPING):
            return None
        return str(self.vitals.state)

    async def _stand_by(self) -> bool:
        """Open nothing and write nothing, but see that all could be opened; whether it is this life's turn then."""
        settings = self.settings
        await asyncio.to_thread(catalogue)
        await asyncio.to_thread(rehearse, _database(settings), settings.home / "run")
        self._standing_by = True
        log.info("standing_by", version=self.vitals.version)
        turns = [asyncio.create_task(event.wait()) for event in (self._activated, self._leave)]
        await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
        for turn in turns:
            turn.cancel()
        self._standing_by = False
        return self._activated.is_set() and not self._leave.is_set()

    async def _open(self, stack: contextlib.AsyncExitStack) -> tuple[Runtime, web.Application]:
        """Every part, each closed by the stack after those that use it."""
        settings = self.settings
        store = await open_store(_database(settings))
        stack.push_async_callback(store.aclose)
        events = EventLog(store)
        stack.push_async_callback(events.aclose)
        near = settings.allow_local_downloads
        projects = Projects(
            store, events, home=settings.home, roots=settings.roots, find_config=find_config, fetch_local=near
        )
        await projects.recover()
        full: dict[str, Keeping] = {}
        logs = Logs(settings.logs, _log_settings(settings), full.__setitem__)
        stack.push_async_callback(logs.aclose)
        keeper = await self._keeper(logs)
        situation = STANDALONE
        if self.parent is not None:
            situation = Situation(launcher_id(), self.parent.safe_mode)
        runtime = Runtime(settings.home, projects, store, events, keeper, logs, _inherited(), situation)
        stack.push_async_callback(self._let_go, runtime, keeper)
        await runtime.recover()
        self._watch(stack, full, store, events)
        releases = Releases(
            settings.home,
            events,
            self.link.send if self.link else None,
            running=self.vitals.release,
            version=self.vitals.version,
            environ=_inherited(),
        )
        stack.push_async_callback(releases.aclose)
        await releases.open()
        self._releases = releases
        access = Access([Grant.of("owner", read_or_make_token(settings.token_file))])
        ground = Ground(settings, store, events, projects, runtime, logs, access, _inherited())
        bench = await open_workbench(stack, ground)
        known = {Projects: projects, Runtime: runtime, EventLog: events, Vitals: self.vitals, Logs: logs}
        bound = catalogue().bind({**known, Releases: releases, **bench})
        app = make_app(bound, access, settings, metrics=self.metrics, version=self.vitals.version)
        open_door(app, Door(bound, access, settings, bench[Offer], events, self.metrics))
        app.on_shutdown.append(lambda _: _end_waits(logs, events, bench[Runs], bench[Forges], runtime))
        return runtime, app

    async def _keeper(self, logs: Logs) -> LocalKeeper | LauncherKeeper:
        """Who keeps the app: the launcher, or we ourselves."""
        if self.link is None:
            return LocalKeeper(keeper_id(self.settings.home), logs, alone=True)
        keeper = LauncherKeeper(keeper_id(self.settings.home), logs, self.link)
        await keeper.take_over(logs.hold)
        return keeper

    async def _let_go(self, runtime: Runtime, keeper: LocalKeeper | LauncherKeeper) -> None:
        """The app at the end of this life: stopped when that was asked for, left to the launcher otherwise."""
        if isinstance(keeper, LocalKeeper) or (self.code == 0 and not self._gone.is_set()):
            stopping = asyncio.create_task(_stop(runtime, keeper))
            gone = asyncio.create_task(self._gone.wait())
            await asyncio.wait([stopping, gone], return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if stopping.done() and not self._gone.is_set():
                await stopping
                return
            stopping.cancel()
        if self._gone.is_set():  # nobody keeps it any more
            ended = await end_orphans(keeper.id, ORPHANS_GRACE)
            log.warning("app_ended", processes=ended.ended, killed=ended.killed)
            await runtime.lost()
            return
        await runtime.detach()
        if isinstance(keeper, LauncherKeeper):
            keeper.detach()

    def _watch(
        self, stack: contextlib.AsyncExitStack, full: dict[str, Keeping], store: Store, events: EventLog
    ) -> None:
        """What health looks at, and what goes on beside the requests."""

        def logs_kept() -> str | None:
            stopped = [f"{project}: {keeping.reason}" for project, keeping in full.items() if not keeping.on]
            return "; ".join(stopped) or None

        pulse = Pulse(lambda: store.read(schema_of))
        self.vitals.heartbeat = lambda: pulse.heartbeat
        safe = "safe mode: apps are kept, but neither probed nor started" if self.vitals.safe_mode else None
        self.vitals.add("store", pulse.trouble)
        self.vitals.add("runtime", lambda: safe)
        self.vitals.add("keeper", lambda: "the launcher has ended" if self._gone.is_set() else None)
        self.vitals.add("logs", logs_kept)
        beside = [pulse.beat(), events.prepare()]
        if self.parent is not None:
            self.journal = Journal(self.settings.home / "launcher.ndjson", store)
            beside.append(self.journal.run())
        tasks = [asyncio.create_task(work) for work in beside]
        stack.push_async_callback(_end, tasks)

    async def _serve(self, stack: contextlib.AsyncExitStack, app: web.Application) -> Runner:
        """The API on its address: the launcher's socket, or one of our own."""
        runner = make_runner(app, self.settings)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listener = self.parent.listener if self.parent else listen(self.settings.listen)
        if self.settings.listen.port == 0:
            bound = Address(self.settings.listen.host, listener.getsockname()[1])
            self.settings = self.settings.model_copy(update={"listen": bound})
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        return runner


async def _stop(runtime: Runtime, keeper: LocalKeeper | LauncherKeeper) -> None:
    await runtime.aclose()
    await keeper.aclose()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _stop_accepting(server: Runner, app: web.Application) -> None:
    """No new connections; streams end whole. What is short finishes while the server is cleaned up."""
    await server.stop_taking()
    await drain(app)
    await server.hear_out()


async def _end_waits(logs: Logs, *rooms: EventLog | Runs | Forges | Runtime) -> None:
    logs.end_waits()
    for room in rooms:
        room.leave()


def _database(settings: Settings) -> str:
    return settings.database_url.removeprefix("sqlite:///")


def _log_settings(settings: Settings) -> LogSettings:
    return LogSettings(
        ring_bytes=settings.log_ring,
        segment_bytes=settings.log_segment,
        keep_free_bytes=settings.log_min_free,
        keep_free_share=settings.log_min_free_percent / 100,
        log_wait=settings.log_wait,
    )


def _inherited() -> dict[str, str]:
    """What apps inherit of our environment: all but what is ATT's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ATT_")}


def self_check() -> int:
    """Load everything, open every part on a home of its own, answer one request for health; 0 when all of it works."""
    from att import selfcheck

    logging.configure("error")
    try:
        loaded = selfcheck.load_everything()
        with tempfile.TemporaryDirectory(prefix="att-") as folder:
            settings = config.load({"home": folder, "listen": "127.0.0.1:0"}, {})
            prepare_home(settings.home)
            told = asyncio.run(Daemon(settings, None).check(f"{folder}/check.sock"))
    except (selfcheck.Broken, Problem) as fault:
        print(f"error: {fault}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{loaded} modules loaded; health: {told}")  # noqa: T201
    return 0


def main() -> int:
    """`python -m att.daemon`: as the launcher starts it."""
    if "--self-check" in sys.argv[1:]:
        return self_check()
    try:
        settings = config.load()
    except BadSettings as problem:
        logging.configure("info")
        log.error("cannot_start", code=problem.code, detail=problem.detail, hint=problem.advice)
        return EXIT_CONFIG
    return serve(settings, standalone=False)


if __name__ == "__main__":
    sys.exit(main())
