"""The story of a project over MCP alone, with real NAT, real git and real pytest; and the launcher's part in a short one."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.att.rooms import on_a_loop
from tests.contract.test_deploy import SERVER
from tests.daemon import running
from tests.e2e.agent import agent
from tests.e2e.story import tell
from tests.e2e.whole import att_up
from tests.nat.prepared import prepared
from tests.support import eventually

pytestmark = pytest.mark.slow


@pytest.mark.nat
@pytest.mark.timeout(240)
def test_from_the_template_to_a_version_that_is_taken_back(tmp_path: Path) -> None:
    prepared("1.9")  # what it is built of can be had

    @on_a_loop
    async def run() -> None:
        transcript: list[str] = []
        with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
            one = await tell(daemon.url, daemon.token, transcript.append)
            assert daemon.token not in "\n".join(transcript)
            assert "Traceback" not in daemon.said
        words = [message or "" for _, _, message in one.progress]
        assert any(re.search(r"[0-9] of 7 tests", one) for one in words)  # of the test run
        assert any(one.startswith("environment: ") for one in words)  # of the build
        assert any(one.startswith("switch: ") for one in words)  # of the deploy

    run()


@on_a_loop
async def test_an_agent_goes_on_when_the_daemon_was_killed_under_it(tmp_path: Path) -> None:
    said: list[str] = []
    command = json.dumps([sys.executable, "server.py", "{port}"])
    with att_up(tmp_path / "home") as att:
        async with agent(att.url, att.token, said.append) as one:
            await one.ask("project.create", name="kept", template="echo")
            settings = f"[runtime]\ncommand = {command}\nport = 0\nstop_grace = 1\n"
            await one.ask("code.write", project_id="kept", path="att.toml", content=settings)
            await one.ask(
                "code.write", project_id="kept", path="server.py", content=SERVER.format(version="1")
            )
            await one.ask("code.delete", project_id="kept", path="pyproject.toml")  # no packages are needed
            deployed = await one.run("deploy.run", project_id="kept", build=True, health_timeout=20)
            assert deployed["state"] == "succeeded", deployed
            before = await one.ask("runtime.status", project_id="kept")
            killed = att.ask("GET", "/health")["pid"]
            att.kill_daemon()
            await eventually(lambda: att.well() and att.ask("GET", "/health")["pid"] != killed, 30)
            after = await one.ask("runtime.status", project_id="kept")
            kept = ("pid", "port", "artefact_id")
            assert [after[name] for name in kept] == [before[name] for name in kept]
            os.kill(before["pid"], 0)
            runs = await one.ask("workflow.list", project_id="kept")
            assert [run["state"] for run in runs["runs"]] == ["succeeded"]
