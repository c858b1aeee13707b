"""From settings, config and environment to an `AppSpec`: which words are run, with which variables and probes. Pure.

The app gets the daemon's environment (its config may name any variable), without what is ATT's own, and on top: what makes its
output come at once, a private TMPDIR (NAT leaves its whole config with every secret in it there), NAT's telemetry off,
the environment's `bin` first on PATH, and the worker that does not leak. Probes are sparing: NAT pays for each request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from att.runtime import nat
from att.runtime.config import NatConfig
from att.runtime.settings import ProbeSettings, RuntimeSettings
from supervisor.spec import AppSpec, ProbeKind, ProbeSpec, RestartSpec, Use

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
MODULE = "nat.front_ends.fastapi.main:get_app"
SERVER = "att_serve"  # in nat.SHIM
GATE = 10  # SIGUSR1
LISTENING = "3"  # the descriptor
_LEFT_OUT = ("ATT_", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_")
_DEFAULT = ("nat", "serve", "--config_file", "{config}", "--host", "{host}", "--port", "{port}")
_ALL_HEALTHY = r'^(?![\s\S]*"session_healthy"\s*:\s*false)'


@dataclass(frozen=True, slots=True)
class Place:
    """Where the app runs, resolved: nothing here has to be looked up any more."""

    project_id: str
    folder: Path
    bin: Path | None  # of the project's environment
    nat_version: str
    tmp: Path
    config: NatConfig | None
    host: str
    port: int
    socket: str = ""
    private: str = ""  # where a run on a held socket is asked, and served before it takes connections


def is_nat_server(settings: RuntimeSettings) -> bool:
    """Whether the command is NAT's own HTTP server."""
    words = settings.command or _DEFAULT
    if Path(words[0]).name != "nat":
        return False
    begin = next((n for n, word in enumerate(words) if word in ("serve", "start", "mcp")), len(words))
    plain = [word for word in words[begin:] if not word.startswith("-")]
    return plain[:1] == ["serve"] or plain[:2] == ["start", "fastapi"]


def uses_nat(settings: RuntimeSettings) -> bool:
    """Whether NAT has to be in the project's environment."""
    if settings.serve == "socket" and not settings.command:
        return not settings.app
    return Path((settings.command or _DEFAULT)[0]).name == "nat"


def _nat_on_socket(settings: RuntimeSettings) -> bool:
    return settings.serve == "socket" and not settings.app and not settings.command


def host_and_port(settings: RuntimeSettings, config: NatConfig | None) -> tuple[str, int]:
    """att.toml first, then NAT's own config, then NAT's defaults. 0 stands for a free port."""
    host = settings.host or (config.host if config else "") or DEFAULT_HOST
    if settings.port is not None:
        return host, settings.port
    return host, (config.port if config else None) or DEFAULT_PORT


def words(settings: RuntimeSettings, place: Place) -> tuple[str, ...]:
    """The command with its placeholders filled in."""
    if settings.serve == "socket" and not settings.command:
        grace = str(max(1, int(settings.stop_grace) - 2))
        what = (settings.app,) if settings.app else (MODULE, "--factory")
        return ("python", "-m", SERVER, *what, "--grace", grace)
    fill = {
        "{config}": str(place.config.path) if place.config else "",
        "{host}": place.host,
        "{port}": str(place.port),
        "{project}": str(place.folder),
    }
    given = settings.command or _DEFAULT
    filled = []
    for word in given:
        for name, value in fill.items():
            word = word.replace(name, value)
        filled.append(word)
    if is_nat_server(settings):
        if settings.log_level and "--log-level" not in filled:
            filled[1:1] = ["--log-level", settings.log_level]
        if place.nat_version and "--runner_class" not in filled:
            filled += ["--runner_class", nat.WORKER]
    return tuple(filled)


def variables(
    settings: RuntimeSettings, place: Place, environ: Mapping[str, str], secrets: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of the app. `secrets`: the settings' `env` with its references resolved."""
    found = {name: value for name, value in environ.items() if not name.startswith(_LEFT_OUT)}
    if place.bin is not None:
        found["PATH"] = f"{place.bin}:{found.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
        found["VIRTUAL_ENV"] = str(place.bin.parent)
    found |= {"PYTHONUNBUFFERED": "1", "TMPDIR": str(place.tmp), "NAT_TELEMETRY_ENABLED": "false"}
    found |= secrets
    if (settings.serve == "socket" and not settings.command) or is_nat_server(settings):
        found["PYTHONPATH"] = ":".join(filter(None, (str(nat.SHIM), secrets.get("PYTHONPATH", ""))))
        if place.config is not None and place.config.worker:
            found["ATT_NAT_WORKER"] = place.config.worker
    if _nat_on_socket(settings) and place.config is not None:
        found["NAT_CONFIG_FILE"] = str(place.config.path)
        found["NAT_FRONT_END_WORKER"] = nat.WORKER
        found["ATT_NAT_SOCKET"] = "1"
        levels = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
        found["NAT_FASTAPI_LOG_LEVEL"] = str(levels.get(settings.log_level, 20))
    return found


def probes(settings: RuntimeSettings, place: Place) -> tuple[ProbeSpec, ...]:
    """The project's own probes; else what fits the command."""
    if settings.probe:
        return tuple(_probe(probe, place, number) for number, probe in enumerate(settings.probe))
    if not _nat_on_socket(settings) and not is_nat_server(settings):
        return _of_another_server(settings, place)
    health = f"{_url(place)}/health"
    once = int(settings.start_timeout / 0.25) + 1
    if (
        settings.serve == "socket"
    ):  # connecting always works: the keeper listens. A request waits until the app takes it
        startup = ProbeSpec(
            ProbeKind.HTTP,
            "startup",
            frozenset({Use.STARTUP}),
            0.25,
            settings.start_timeout,
            failure_threshold=once,
            url=health,
            unix=place.private,
        )
    else:  # costs the starting app nothing: it listens only when it is built
        startup = ProbeSpec(
            ProbeKind.TCP,
            "startup",
            frozenset({Use.STARTUP}),
            0.25,
            1.0,
            failure_threshold=once,
            host=_to(place.host),
            port=place.port,
        )
    found = [
        startup,
        ProbeSpec(
            ProbeKind.HTTP,
            "health",
            frozenset({Use.READINESS, Use.LIVENESS}),
            10.0,
            5.0,
            url=health,
            unix=place.private,
        ),
    ]
    if place.config is not None and place.config.has_mcp_clients:
        deep = f"{_url(place)}/mcp/client/tool/list"
        found.append(
            ProbeSpec(
                ProbeKind.HTTP, "mcp clients", frozenset({Use.READINESS}), 30.0, 15.0,
                failure_threshold=2, url=deep, expect_status=(200, 200), expect_text=_ALL_HEALTHY, unix=place.private,
            )
        )  # fmt: skip
    return tuple(found)


def _of_another_server(settings: RuntimeSettings, place: Place) -> tuple[ProbeSpec, ...]:
    if place.private or any("{port}" in word for word in settings.command):
        every = frozenset({Use.READINESS, Use.LIVENESS})
        port = ProbeSpec(
            ProbeKind.TCP, "port", every, host=_to(place.host), port=place.port, unix=place.private
        )
        once = int(settings.start_timeout / 0.25) + 1
        quick = replace(
            port,
            name="startup",
            use=frozenset({Use.STARTUP}),
            period=0.25,
            timeout=1.0,
            failure_threshold=once,
        )
        return (quick, port)
    return (ProbeSpec(ProbeKind.PROCESS, "process"),)


def _probe(given: ProbeSettings, place: Place, number: int) -> ProbeSpec:
    path = given.path or "/health"
    elsewhere = given.url or given.host or given.port
    return ProbeSpec(
        kind=given.kind,
        name=given.name or f"{given.kind.value} {number + 1}",
        use=given.use,
        period=given.period,
        timeout=given.timeout,
        initial_delay=given.initial_delay,
        success_threshold=given.success_threshold,
        failure_threshold=given.failure_threshold,
        url=given.url or f"{_url(place)}/{path.removeprefix('/')}",
        expect_status=given.expect_status,
        expect_text=given.expect_text,
        host=given.host or _to(place.host),
        port=given.port or place.port,
        command=given.command,
        pattern=given.pattern,
        unix="" if elsewhere else place.private,
    )


def build(settings: RuntimeSettings, place: Place, argv: Sequence[str], env: Mapping[str, str]) -> AppSpec:
    """The spec of the app. `argv` is `words(…)` with its program found."""
    plain = RestartSpec()
    restart = RestartSpec(
        policy=settings.restart,
        delays=settings.restart_delays or plain.delays,
        intensity=settings.restart_intensity or plain.intensity,
        period=settings.restart_period or plain.period,
        reset_after=settings.restart_reset or plain.reset_after,
    )
    if place.private:
        env = {**env, "ATT_PRIVATE_SOCKET": place.private, "ATT_LISTEN_FD": LISTENING}
    return AppSpec(
        command=tuple(argv),
        cwd=place.folder,
        env=env,
        log=place.project_id,
        host=place.host,
        port=place.port,
        socket=place.socket,
        gate=GATE if place.private else 0,
        probes=probes(settings, place),
        restart=restart,
        stop_signal=settings.stop_signal,
        stop_grace=settings.stop_grace,
        start_timeout=settings.start_timeout,
        memory_limit=settings.memory_limit,
        watch=settings.watch,
        watch_debounce=settings.watch_debounce,
        private_tmp=place.tmp,
    )


def _to(host: str) -> str:
    """Where to reach what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def _url(place: Place) -> str:
    host = _to(place.host)
    return f"http://[{host}]:{place.port}" if ":" in host else f"http://{host}:{place.port}"


url = _url
