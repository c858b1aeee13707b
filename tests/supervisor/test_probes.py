"""Each kind of probe against the real thing: what it says when all is well, when not, and when nothing answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from launcher.protocol import kin
from supervisor.logs.log import Log
from supervisor.probes import Prober, Result, Surroundings, check
from supervisor.report import Ready, Unhealthy
from supervisor.spec import ProbeKind, ProbeSpec, Use
from tests.supervisor.house import PYTHON, RUNAWAY, SLEEPER, a_stage, alive, app, story
from tests.support import eventually, free_port


@asynccontextmanager
async def a_server(answer: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers every request with these bytes; None: takes it and says nothing."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await reader.read()  # until it goes away
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()


@asynccontextmanager
async def a_prober() -> AsyncIterator[Prober]:
    prober = Prober("home")
    try:
        yield prober
    finally:
        await prober.aclose()


async def ask(prober: Prober, spec: ProbeSpec, log: Log | None = None, cursor: str | None = None) -> Result:
    around = Surroundings("run", Path("/"), {"PATH": os.environ["PATH"], "SECRET": "1"}, log, cursor)
    probe = prober.probe(spec, around)
    assert probe is not None
    return await check(probe, spec.timeout)


def http(port: int, **more: Any) -> ProbeSpec:
    return ProbeSpec(ProbeKind.HTTP, url=f"http://127.0.0.1:{port}/health", timeout=0.3, **more)


def answer(status: str, body: bytes = b"ok") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@story
async def test_http_is_content_with_the_status_that_is_expected() -> None:
    async with a_prober() as prober, a_server(answer("204 No Content", b"")) as (port, asked):
        result = await ask(prober, http(port))
        assert (result.ok, result.reason) == (True, "answered 204")
        assert result.latency > 0
        assert asked[0].startswith(b"GET /health ")
        assert (await ask(prober, http(port, expect_status=(200, 200)))).reason.endswith("answered 204")


@story
async def test_http_does_not_follow_a_redirect() -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n"
    async with a_prober() as prober, a_server(moved) as (port, _):
        assert (await ask(prober, http(port))).ok
        assert not (await ask(prober, http(port, expect_status=(200, 299)))).ok


@story
async def test_http_looks_for_the_text_that_is_expected() -> None:
    async with a_prober() as prober, a_server(answer("200 OK", b'{"status":"healthy"}')) as (port, _):
        assert (await ask(prober, http(port, expect_text='"status": ?"healthy"'))).ok
        other = await ask(prober, http(port, expect_text="session_healthy"))
        assert (other.ok, "without the text" in other.reason) == (False, True)


@story
async def test_http_says_in_plain_words_what_is_wrong() -> None:
    async with a_prober() as prober:
        assert "Connection refused" in (await ask(prober, http(free_port()))).reason
        async with a_server(answer("503 Busy")) as (port, _):
            assert "answered 503" in (await ask(prober, http(port))).reason
        async with a_server(None) as (port, _):
            assert (await ask(prober, http(port))).reason == "no answer within 0.3 s"
        async with a_server(b"nonsense\r\n\r\n") as (port, _):
            assert not (await ask(prober, http(port))).ok
        assert not (await ask(prober, ProbeSpec(ProbeKind.HTTP, url="http://"))).ok


@story
async def test_tcp_needs_nothing_but_a_connection() -> None:
    async with a_prober() as prober, a_server(None) as (port, _):
        assert (await ask(prober, ProbeSpec(ProbeKind.TCP, host="127.0.0.1", port=port))).ok
        refused = await ask(prober, ProbeSpec(ProbeKind.TCP, host="127.0.0.1", port=free_port()))
        assert not refused.ok
        assert "refused" in refused.reason


@story
async def test_a_command_says_by_its_status_how_it_is() -> None:
    async with a_prober() as prober:
        good = await ask(prober, ProbeSpec(ProbeKind.COMMAND, command=("sh", "-c", 'test "$SECRET" = 1')))
        assert good.ok
        bad = await ask(
            prober, ProbeSpec(ProbeKind.COMMAND, command=("sh", "-c", "echo a; echo why >&2; exit 3"))
        )
        assert (bad.ok, bad.reason) == (False, "exit status 3: why")
        gone = await ask(prober, ProbeSpec(ProbeKind.COMMAND, command=("surely-not-there",)))
        assert "no program surely-not-there" in gone.reason


@story
async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = RUNAWAY.replace(
        "print('runaway', run_away(), flush=True)", f"open({str(note)!r}, 'w').write(str(run_away()))"
    )
    before = set(kin.children(os.getpid()))
    async with a_prober() as prober:
        spec = ProbeSpec(ProbeKind.COMMAND, command=(*PYTHON, program + "signal.pause()"), timeout=1.0)
        result = await ask(prober, spec)
        assert result.reason == "the command did not end within 1 s"
        assert not alive(int(note.read_text()))
        assert set(kin.children(os.getpid())) <= before


@story
async def test_a_command_that_writes_without_end_costs_no_memory() -> None:
    async with a_prober() as prober:
        result = await ask(
            prober, ProbeSpec(ProbeKind.COMMAND, command=("sh", "-c", "yes | head -c 3000000; exit 1"))
        )
        assert result.reason == "exit status 1: y"


@story
async def test_a_log_probe_waits_for_its_line_in_its_own_run(tmp_path: Path) -> None:
    log = Log.open("demo", tmp_path)
    try:
        async with a_prober() as prober:
            spec = ProbeSpec(ProbeKind.LOG, pattern=r"running on port \d+", timeout=0.2)
            before = log.newest
            say(log, "another", "running on port 1\n")
            assert (await ask(prober, spec, log, before)).reason == "no line matched within 0.2 s"
            say(log, "run", "starting\nrunning on port 8000\n")
            assert (await ask(prober, spec, log, before)).ok
    finally:
        await asyncio.to_thread(log.close)


def say(log: Log, run_id: str, text: str) -> None:
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    log.capture(run_id, out, err)
    os.write(out_end, text.encode())
    os.close(out_end)
    os.close(err_end)


@story
async def test_a_probe_that_cannot_work_is_told_and_stops_nothing(tmp_path: Path) -> None:
    broken = ProbeSpec(ProbeKind.LOG, "line", frozenset({Use.READINESS}), pattern="(", failure_threshold=1)
    text = ProbeSpec(
        ProbeKind.HTTP,
        "page",
        frozenset({Use.READINESS}),
        url="http://x",
        expect_text="[",
        failure_threshold=1,
    )
    async with a_stage(tmp_path, app(SLEEPER, probes=(broken, text))) as stage:
        await stage.runner.start("running", 5)
        await eventually(lambda: len(stage.told(Unhealthy)) == 2)
        assert all("cannot work" in event.reason for event in stage.told(Unhealthy))


@story
async def test_one_answer_serves_every_use_and_nothing_is_asked_before_its_time(tmp_path: Path) -> None:
    async with a_server(answer("200 OK")) as (port, asked):
        probes = (
            http(port, name="all", period=1000),
            http(port, name="ready", use=frozenset({Use.READINESS}), period=1000),
        )
        async with a_stage(tmp_path, app(SLEEPER, probes=probes)) as stage:
            await stage.runner.start("ready", 5)
            assert len(asked) == 2
            status = await stage.runner.status()
            assert [probe.healthy for probe in status.probes] == [True, True]
            assert status.probes[0].latency_ms > 0
            assert len(stage.told(Ready)) == 1


@story
async def test_a_probe_of_the_start_alone_is_not_asked_after_it(tmp_path: Path) -> None:
    async with a_server(answer("200 OK")) as (start, asked), a_server(answer("200 OK")) as (port, goes_on):
        probes = (
            http(start, name="startup", use=frozenset({Use.STARTUP}), period=0.01),
            http(port, name="health", use=frozenset({Use.READINESS}), period=0.01),
        )
        async with a_stage(tmp_path, app(SLEEPER, probes=probes)) as stage:
            await stage.runner.start("ready", 5)
            so_far = len(asked)
            await eventually(lambda: len(goes_on) > 10)
            assert len(asked) == so_far
            status = await stage.runner.status()
            assert [probe.healthy for probe in status.probes] == [True, True]
            assert status.health_probe == "health"


@story
async def test_no_probe_goes_on_after_the_run(tmp_path: Path) -> None:
    async with a_server(answer("200 OK")) as (port, asked):
        spec = app(SLEEPER, probes=(http(port, period=0.01),))
        async with a_stage(tmp_path, spec) as stage:
            await stage.runner.start("ready", 5)
            await eventually(lambda: len(asked) > 3)
            await stage.runner.stop()
            tasks = [task.get_name() for task in asyncio.all_tasks()]
            assert not [name for name in tasks if name.startswith("probe-")]
