"""What is run for which settings."""

from pathlib import Path

import pytest

from att.runtime import command, nat
from att.runtime.command import Place
from att.runtime.config import NatConfig
from att.runtime.settings import RuntimeSettings, parse
from supervisor.spec import ProbeKind, Use

HERE = Path("/projects/demo")


def place(
    port: int = 8000, *, data: dict[str, object] | None = None, kinds: dict[str, str] | None = None
) -> Place:
    return Place(
        project_id="demo",
        folder=HERE,
        bin=HERE / ".venv/bin",
        nat_version="1.9.0",
        tmp=Path("/home/run/demo/tmp"),
        config=NatConfig(HERE / "config.yml", data or {}, kinds or {}),
        host="127.0.0.1",
        port=port,
    )


def settings(text: str) -> RuntimeSettings:
    return parse(f"[runtime]\n{text}")


def test_the_default_is_nat_serve_with_the_worker_that_does_not_leak() -> None:
    words = command.words(RuntimeSettings(), place())
    assert words == (
        "nat", "serve", "--config_file", "/projects/demo/config.yml", "--host", "127.0.0.1", "--port", "8000",
        "--runner_class", "att_nat_worker.Worker",
    )  # fmt: skip


def test_global_options_come_before_the_command() -> None:
    assert command.words(settings('log_level = "debug"'), place())[:4] == (
        "nat",
        "--log-level",
        "debug",
        "serve",
    )


def test_what_the_user_says_is_left_as_it_is() -> None:
    own = settings('command = ["nat", "serve", "--config_file", "{config}", "--runner_class", "my.Worker"]')
    assert command.words(own, place())[-1] == "my.Worker"
    other = settings('command = ["nat", "mcp", "serve", "--config_file", "{config}"]')
    assert "--runner_class" not in command.words(settings('command = ["server", "--json", "{}"]'), place())
    assert "/projects/demo/config.yml" in command.words(other, place())
    assert "--runner_class" not in command.words(other, place())


def test_behind_a_held_socket_our_server_runs_nats_factory() -> None:
    own = settings('serve = "socket"\nstop_grace = 5')
    words = command.words(own, place())
    assert words == ("python", "-m", "att_serve", command.MODULE, "--factory", "--grace", "3")
    env = command.variables(own, place(data={"general": {"front_end": {"runner_class": "my.W"}}}), {}, {})
    assert env["NAT_CONFIG_FILE"] == "/projects/demo/config.yml"
    assert env["NAT_FRONT_END_WORKER"] == nat.WORKER
    assert env["ATT_NAT_WORKER"] == "my.W"


def test_the_app_gets_its_own_environment_and_nothing_of_ours() -> None:
    environ = {
        "PATH": "/usr/bin",
        "HOME": "/h",
        "ATT_TOKEN": "t",
        "PYTHONPATH": "/x",
        "VIRTUAL_ENV": "/v",
        "LISTEN_FDS": "1",
    }
    env = command.variables(RuntimeSettings(), place(), environ, {"KEY": "value"})
    assert env["PATH"] == "/projects/demo/.venv/bin:/usr/bin"
    assert env["PYTHONUNBUFFERED"] == "1"
    assert env["NAT_TELEMETRY_ENABLED"] == "false"
    assert env["TMPDIR"] == "/home/run/demo/tmp"
    assert env["PYTHONPATH"] == str(nat.SHIM)
    assert (env["KEY"], env["HOME"]) == ("value", "/h")
    assert not {"ATT_TOKEN", "LISTEN_FDS"} & set(env)


def test_another_command_gets_no_worker_on_its_path() -> None:
    env = command.variables(settings('command = ["python", "x.py"]'), place(), {}, {})
    assert "PYTHONPATH" not in env


def test_nat_is_probed_sparingly_but_its_start_is_seen_at_once() -> None:
    startup, health = command.probes(RuntimeSettings(), place())
    assert (startup.kind, startup.use, startup.port) == (ProbeKind.TCP, frozenset({Use.STARTUP}), 8000)
    assert startup.period <= 0.25
    assert startup.period * startup.failure_threshold >= 120
    assert health.url == "http://127.0.0.1:8000/health"
    assert health.period >= 10
    assert Use.STARTUP not in health.use


def test_mcp_clients_are_looked_at_more_deeply() -> None:
    import re

    deep = command.probes(RuntimeSettings(), place(kinds={"function_groups.tools": "mcp_client"}))[-1]
    assert deep.url.endswith("/mcp/client/tool/list")
    assert deep.use == frozenset({Use.READINESS})
    assert re.search(deep.expect_text, '{"mcp_clients": [{"session_healthy": true}]}')
    assert not re.search(
        deep.expect_text, '{"mcp_clients": [{"session_healthy": true}, {"session_healthy": false}]}'
    )
    assert not re.search(deep.expect_text, '{\n "mcp_clients": [\n{"session_healthy":false}]}')


def test_a_server_with_a_port_is_probed_at_its_port_and_a_plain_command_as_a_process() -> None:
    kinds = [probe.kind for probe in command.probes(settings('command = ["server", "{port}"]'), place())]
    assert kinds == [ProbeKind.TCP, ProbeKind.TCP]
    assert [p.kind for p in command.probes(settings('command = ["worker"]'), place())] == [ProbeKind.PROCESS]


def test_the_projects_own_probes_are_taken_instead() -> None:
    own = parse(
        '[[runtime.probe]]\nkind = "http"\npath = "live"\n[[runtime.probe]]\nkind = "log"\npattern = "up"'
    )
    first, second = command.probes(own, place(9000))
    assert first.url == "http://127.0.0.1:9000/live"
    assert second.pattern == "up"


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1"), ("::1", "http://[::1]:1")]
)
def test_an_address_for_all_is_reached_through_loopback(host: str, url: str) -> None:
    from dataclasses import replace

    assert command.url(replace(place(1), host=host)) == url


def test_the_port_is_attomls_then_nats_then_the_default() -> None:
    config = NatConfig(HERE / "c", {"general": {"front_end": {"port": 8010, "host": "::1"}}})
    assert command.host_and_port(settings("port = 9"), config) == ("::1", 9)
    assert command.host_and_port(RuntimeSettings(), config) == ("::1", 8010)
    assert command.host_and_port(RuntimeSettings(), None) == ("127.0.0.1", 8000)


def test_the_spec_carries_what_att_toml_says() -> None:
    own = settings(
        'restart = "transient"\nrestart_intensity = 3\nmemory_limit = "1GiB"\nwatch = ["*.yml"]\nstop_grace = 1'
    )
    spec = command.build(own, place(), ("nat",), {})
    assert (spec.restart.policy.value, spec.restart.intensity) == ("transient", 3)
    assert (spec.memory_limit, spec.watch, spec.stop_grace) == (1 << 30, ("*.yml",), 1)
    assert spec.private_tmp == Path("/home/run/demo/tmp")
    assert spec.log == "demo"
