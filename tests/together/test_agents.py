"""An update of the daemon with agents at its MCP door: their streams end in order, and what they wait for goes on."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.att.git.forge.hub import git
from tests.chaos.agents import Agent, Later, LoneAgent, SessionAgent
from tests.support import eventually_sync
from tests.together.house import COUNTER, House, housed
from tests.together.test_releases import FLAGS, add_release, release, switch

REPORT = '<testsuite><testcase classname="t" name="good"/></testsuite>'
SCRIPT = f"until [ -e ../go ]; do sleep 0.1; done; echo '{REPORT}' > \"$1\""
TESTS = f"[test]\ncommand = {json.dumps(['sh', '-c', SCRIPT, 'sh', '{report}'])}\n"
OVER = 10.0  # seconds from the wish to its end; a stream or a wait that were waited for would take fifty


def repository(house: House, project: str) -> None:
    folder = house.home / "projects" / project
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "att.toml")
    git(folder, "commit", "-q", "-m", "begin")


def run_of(house: House, project: str) -> dict[str, Any]:
    """The newest run of a project; nothing until there is one."""
    runs = house.ask("GET", f"/projects/{project}/workflows/runs").json["runs"]
    return runs[0] if runs else {}


def passed(house: House, call: Call) -> dict[str, Any]:
    """The run that was asked for, once it has succeeded."""
    run = run_of(house, call.project)
    assert run["state"] in ("queued", "running", "succeeded"), run
    return run if run["state"] == "succeeded" else {}


class Call(threading.Thread):
    """Changes a project, waits for the end of that, and keeps the answer."""

    def __init__(self, agent: Agent, project: str) -> None:
        super().__init__(daemon=True)
        self.told: Any = None
        self.project = project
        self._agent = agent

    def run(self) -> None:
        change = {"changes": [{"path": "a.txt", "content": "a\n"}], "message": "a"}
        given = {"project_id": self.project, **change, "wait": 50}
        try:
            self.told = self._agent.call("att_workflow_change_test", given)
        except Later:
            self.told = {"state": "unavailable"}


@pytest.mark.slow
def test_an_update_holds_up_no_agent_and_no_agent_holds_it_up(home: Path) -> None:
    with housed(home, *FLAGS) as house:
        project = house.start_app("app", COUNTER, TESTS)
        other = house.project("other", ["true"], TESTS)
        agents = [SessionAgent(house.port, project, lambda: house.token)]
        agents += [LoneAgent(house.port, project, lambda: house.token)]
        calls = [Call(agent, tests) for agent, tests in zip(agents, (project, other), strict=True)]
        for agent, call in zip(agents, calls, strict=True):
            repository(house, call.project)
            agent.start()
            eventually_sync(lambda a=agent: a.notices and a.pages)
            call.start()
            eventually_sync(lambda c=call: run_of(house, c.project).get("step") == "test", 20)
        add_release(house, "r2")
        began = time.monotonic()
        switch(house, "r2")
        eventually_sync(lambda: release(house) == "r2", 30)
        took = time.monotonic() - began
        (house.home / "projects" / "go").touch()
        heard = [agent.notices for agent in agents]
        for agent, call, before in zip(agents, calls, heard, strict=True):
            call.join(20)
            assert call.told["state"] in ("queued", "running"), (
                call.told
            )  # it goes on, and has an id to ask by
            ended = eventually_sync(lambda c=call: passed(house, c), 30)
            assert ended["run_id"] == call.told["run_id"]
            eventually_sync(lambda a=agent, n=before: a.notices > n)
        for agent in agents:
            agent.end()
            assert (agent.refused, agent.cut, agent.odd) == (0, 0, [])
            assert set(agent.answers) <= {200, 202, 404, 503}
        assert (agents[0].sessions, agents[0].words > 0) == (2, True)
        assert took < OVER, took
        assert "Traceback" not in house.said
