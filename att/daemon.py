"""The daemon's wiring: the only file that knows every part, and the order in which they come up and go down.

Up: the home, its lock, the store, the events, the projects, the keeper, the runtime, the doors; then the app that was wanted
when the daemon last ended. Down, in the opposite order: no new connections, streams end at their cursor, short requests finish,
the app is stopped, the logs and the store are closed. `serve` answers with the exit code that the launcher's contract names:
0 asked to stop, 75 start me again, 78 the configuration is wrong; any other error is a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import signal
import socket
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from att import config, logging
from att.access import Access, Grant, read_or_make_token
from att.config import EXIT_CONFIG, Address, BadSettings, Settings
from att.event.log import EventLog
from att.health.vitals import Vitals
from att.http.app import drain, make_app
from att.http.server import Runner, make_runner
from att.metrics import Metrics
from att.problems import Problem
from att.project.projects import Projects
from att.release.releases import Releases
from att.rooms import catalogue
from att.runtime import ports
from att.runtime.logs import Logs
from att.runtime.preflight import find_config
from att.runtime.service import Runtime
from att.store.store import Store, open_store
from supervisor.local import LocalKeeper
from supervisor.logs.values import Keeping, LogSettings
from supervisor.parent import RESTART_CODE, HomeBusy, Parent, mark_life, take_home

BACKLOG = 1024
log = structlog.get_logger("att")


class HomeInUse(BadSettings):
    """Raised with `pid`."""

    code, status, title = "home_in_use", 409, "Another ATT runs in this home"
    hint = (
        "Use the one that runs (`att status`), stop it first, or give another home with --home or ATT_HOME."
    )


class ListenFailed(BadSettings):
    code, status, title = "listen_failed", 409, "The address cannot be listened on"
    hint = "Choose another one with --listen or ATT_LISTEN, or end the program that holds it."


class HomeUnusable(BadSettings):
    code, status, title = "home_unusable", 500, "The folder of all state cannot be used"
    hint = "Check its owner and its rights, or give another home with --home or ATT_HOME."


def own_version() -> str:
    """The version of this installation."""
    try:
        return version("agent-toolkit-toolkit")
    except PackageNotFoundError:
        return "0+source"


def serve(settings: Settings, *, standalone: bool = True) -> int:
    """Run the daemon until it is told to leave; its exit code. Without a launcher it keeps the processes itself."""
    logging.configure(settings.log_level)
    parent = None if standalone else Parent.find(os.environ)
    try:
        with contextlib.ExitStack() as held:
            _prepare_home(settings.home)
            if parent is None:
                held.enter_context(contextlib.closing(_take(settings.home)))
                mark_life(_keeper_id(settings.home))
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
        self.code = 0
        self._leave = asyncio.Event()
        self._releases: Releases | None = None
        release = parent.release if parent else settings.release
        self.vitals = Vitals(own_version(), release)
        self.metrics = Metrics(own_version(), release)

    async def run(self) -> int:
        """Up, wait, down."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.leave, 0)
        async with contextlib.AsyncExitStack() as stack:
            if self.parent is not None:
                await self._serve_health(stack, self.parent)
                self.parent.listen(self._heard, lambda: self.leave(1))
                stack.callback(self.parent.close)
            runtime, app = await self._open(stack)
            server = await self._serve(stack, app)
            self.vitals.ready()
            log.info(
                "ready", url=self.settings.url, home=str(self.settings.home), version=self.vitals.version
            )
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

    def _heard(self, message: dict[str, Any]) -> None:
        if self._releases is not None:
            self._releases.hear(message)
        if message["type"] == "drain" or message["type"] == "reload":
            self.leave(RESTART_CODE)

    async def _open(self, stack: contextlib.AsyncExitStack) -> tuple[Runtime, web.Application]:
        """Every part, each closed by the stack after those that use it."""
        settings = self.settings
        store = await open_store(_database(settings))
        stack.push_async_callback(store.aclose)
        events = EventLog(store)
        stack.push_async_callback(events.aclose)
        projects = Projects(store, events, home=settings.home, roots=settings.roots, find_config=find_config)
        await projects.recover()
        full: dict[str, Keeping] = {}
        logs = Logs(settings.logs, _log_settings(settings), full.__setitem__)
        stack.push_async_callback(logs.aclose)
        keeper = LocalKeeper(_keeper_id(settings.home), logs, alone=True)
        stack.push_async_callback(keeper.aclose)
        runtime = Runtime(settings.home, projects, store, events, keeper, logs, _inherited())
        stack.push_async_callback(runtime.aclose)
        await runtime.recover()
        self._watch(full, store)
        send = self.parent.channel.send if self.parent else None
        releases = Releases(
            settings.home,
            events,
            send,
            running=self.vitals.release,
            version=self.vitals.version,
            environ=_inherited(),
        )
        stack.push_async_callback(releases.aclose)
        await releases.open()
        self._releases = releases
        access = Access([Grant("owner", read_or_make_token(settings.token_file))])
        bound = catalogue().bind(
            {
                Projects: projects,
                Runtime: runtime,
                EventLog: events,
                Vitals: self.vitals,
                Logs: logs,
                Releases: releases,
            }
        )
        app = make_app(bound, access, settings, metrics=self.metrics, version=self.vitals.version)
        return runtime, app

    def _watch(self, full: dict[str, Keeping], store: Store) -> None:
        """What health looks at."""

        def logs_kept() -> str | None:
            stopped = [f"{project}: {keeping.reason}" for project, keeping in full.items() if not keeping.on]
            return "; ".join(stopped) or None

        self.vitals.add("logs", logs_kept)

    async def _serve(self, stack: contextlib.AsyncExitStack, app: web.Application) -> Runner:
        """The API on its address: the launcher's socket, or one of our own."""
        runner = make_runner(app, self.settings)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listener = self.parent.listener if self.parent else _listen(self.settings.listen)
        if self.settings.listen.port == 0:
            bound = Address(self.settings.listen.host, listener.getsockname()[1])
            self.settings = self.settings.model_copy(update={"listen": bound})
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        return runner

    async def _serve_health(self, stack: contextlib.AsyncExitStack, parent: Parent) -> None:
        """The launcher's question, on the private socket: answered by this loop, so a stuck one does not answer."""

        async def answer(request: web.Request) -> web.Response:
            return web.json_response({"status": "ok", "release": parent.release, "boot_id": parent.boot_id})

        private = web.Application()
        private.router.add_get("/health", answer)
        runner = web.AppRunner(private, handle_signals=False, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, str(parent.health_socket)).start()


async def _stop_accepting(server: Runner, app: web.Application) -> None:
    """No new connections; streams end whole. What is short finishes while the server is cleaned up."""
    for site in list(server.sites):
        await site.stop()
    await drain(app)


def _prepare_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        next(home.iterdir(), None)
        (home / "projects").mkdir(exist_ok=True)
    except OSError as error:
        raise HomeUnusable(f"{home}: {error.strerror}.", source=str(home), key="home") from None


def _take(home: Path) -> Any:
    try:
        return take_home(home)
    except HomeBusy as busy:
        raise HomeInUse(str(busy), source=str(home), key="home", pid=busy.pid) from None
    except OSError as error:
        raise HomeUnusable(f"{home}: {error.strerror}.", source=str(home), key="home") from None


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        pid, name, _ = ports.owner(address.port) if error.errno == errno.EADDRINUSE else (None, "", False)
        whose = f" by {name} (pid {pid})" if pid else ""
        told = f"{address}: {error.strerror or error}{whose}."
        raise ListenFailed(told, source="listen", key="listen", pid=pid, process=name) from None


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


def _keeper_id(home: Path) -> str:
    """The same for every life in one home, another for every other home."""
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


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
            _prepare_home(settings.home)
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
