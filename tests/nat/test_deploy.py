"""The real NAT in versions: built into artefacts, and from one to the next under load."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from pathlib import Path

import pytest

from att.project.models import CreateProject
from att.workflow.models import Run
from att.workflow.states import RunState
from tests.att.deploy.house import open_bench
from tests.att.runtime.house import ME
from tests.nat.prepared import make_project
from tests.support import eventually

pytestmark = [pytest.mark.nat, pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_swap_of_nat_under_load_fails_no_request(tmp_path: Path) -> None:
    asyncio.run(swap(tmp_path / "home"))


async def swap(home: Path) -> None:
    async with open_bench(home) as bench:
        folder = make_project(home, "1.9", settings='serve = "socket"\nstop_grace = 5')
        (folder / ".venv").unlink()
        await bench.house.projects.create(CreateProject(name="echo", path=str(folder)), ME)

        async def deploy() -> Run:
            run = await bench.deploy("echo", build=True)
            while not run.state.ended:
                run = await bench.ended(run)
            return run

        first = await deploy()
        assert first.state is RunState.SUCCEEDED, first.problem
        status = await bench.house.runtime.status("echo")
        assert status.nat_version is not None
        answers: list[str] = []
        failures: list[str] = []
        enough = threading.Event()

        def load() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", status.port, timeout=60)
            body, head = json.dumps({"text": "hi"}), {"Content-Type": "application/json"}
            while not enough.is_set():
                try:
                    connection.request("POST", "/generate", body, head)
                    got = connection.getresponse()
                    answers.append(got.read().decode())
                    if got.status != 200:
                        failures.append(str(got.status))
                except (OSError, http.client.HTTPException) as fault:
                    failures.append(repr(fault))
                    connection.close()
            connection.close()

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            await eventually(lambda: len(answers) > 50, 30)
            (folder / "config.yml").write_text(
                (folder / "config.yml").read_text().replace("prefix: ", "prefix: two-")
            )
            second = await deploy()
            seen = len(answers)
            await eventually(lambda: len(answers) > seen + 50, 30)
        finally:
            enough.set()
            for thread in threads:
                thread.join(60)
        assert second.state is RunState.SUCCEEDED, second.problem
        assert failures == []
        assert "two-" in answers[-1]
        assert "two-" not in answers[0]
        assert len(bench.house.keeper._runs) == 1
        (folder / "config.yml").write_text("workflow:\n  _type: no_such_kind\n")
        third = await deploy()
        assert third.problem is not None
        assert third.problem["code"] == "unknown_component"
