"""Every tool at /mcp, called with generated arguments: fitting ones and broken ones.

No call is answered with a 5xx or an internal error of JSON-RPC; what is told of a success is of the tool's output schema, and
what is told of a failure is a problem. At least 90 % of the tools must have gone well, those apart that need a launcher.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from att.rooms import catalogue
from tests.contract.fuzz import schemas
from tests.contract.fuzz.fitting import HEAVY, fit
from tests.contract.fuzz.given import project_of, tame
from tests.contract.fuzz.world import SETTINGS, World
from tests.contract.house import PROBLEM
from tests.daemon import RunningDaemon, running

VERSION = "2026-07-28"
META = {
    f"io.modelcontextprotocol/{key}": value
    for key, value in (
        ("protocolVersion", VERSION),
        ("clientCapabilities", {}),
        ("clientInfo", {"name": "t", "version": "1"}),
    )
}
INTERNAL = -32603
NEEDS_A_LAUNCHER = {"release.stage", "release.cancel", "release.switch", "release.rollback"}


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("fuzz") / "home", **SETTINGS) as daemon:
        yield daemon
        assert "Traceback" not in daemon.said


@pytest.mark.timeout(300)
def test_every_tool_answers_as_it_says(daemon: RunningDaemon) -> None:
    Calls(daemon, 1).whole()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_tool_answers_many_calls_as_it_says(daemon: RunningDaemon) -> None:
    Calls(daemon, 6).whole()


@dataclass
class Calls:
    """All tools, each called in all ways; what came of it, and what was wrong."""

    daemon: RunningDaemon
    times: int
    ended: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)

    def whole(self) -> None:
        self.world = World(self.daemon)
        token = self.daemon.token
        self.heads = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.heads |= {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": VERSION}
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=90)
        ) as line:
            self.line = line
            tools = self._ask("tools/list", {})["result"]["tools"]
            names = {f"att_{each.name.replace('.', '_')}": each.name for each in catalogue()}
            for tool in tools:
                self._explore(tool, names[tool["name"]])
        assert self.ended.keys() == set(names.values())
        self._judge()

    def _judge(self) -> None:
        ok = {name for name, counts in self.ended.items() if counts["well"]}
        missed = sorted(self.ended.keys() - ok)
        total = sum(self.ended.values(), Counter())
        print(f"{len(ok)} of {len(self.ended)} tools went well; missed: {missed}; calls: {dict(total)}")
        assert not self.wrong, "\n\n".join(self.wrong)
        assert not ok & NEEDS_A_LAUNCHER
        assert len(ok) >= 0.9 * (len(self.ended) - len(NEEDS_A_LAUNCHER)), missed

    def _explore(self, tool: dict[str, Any], name: str) -> None:
        schema = tool["inputSchema"]
        output = Draft202012Validator(tool["outputSchema"], format_checker=None)
        valid = schemas.fitting(schema, schema)
        few = 1 if name in HEAVY else 2

        def fitted(arguments: dict[str, Any]) -> dict[str, Any]:
            fit(self.world, name, arguments)
            return arguments

        def named(arguments: Any) -> Any:
            if isinstance(arguments, dict):
                tame(arguments)
                if isinstance(arguments.get("project_id"), str):
                    self.world.need(project_of(name))
                    arguments["project_id"] = project_of(name)
            return arguments

        ways = ((valid, fitted, few), (valid, named, 4), (schemas.broken(schema), named, 4))
        for strategy, prepare, examples in ways:
            try:
                self._call(tool["name"], name, strategy, prepare, examples, output)
            except Exception as fault:
                self.wrong.append(f"{name}, {prepare.__name__}: {fault}")

    def _call(
        self,
        tool: str,
        name: str,
        strategy: st.SearchStrategy[Any],
        prepare: Any,
        examples: int,
        output: Draft202012Validator,
    ) -> None:
        @seed(20261121)
        @settings(
            max_examples=examples * self.times,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(arguments=strategy)
        def explore(arguments: Any) -> None:
            arguments = prepare(arguments)
            self.world.dirty = True
            answer = self._ask("tools/call", {"name": tool, "arguments": arguments}, tool)
            self.ended[name][_judged(answer, output)] += 1

        explore()

    def _ask(self, method: str, params: dict[str, Any], named: str = "") -> dict[str, Any]:
        heads = self.heads | {"Mcp-Method": method} | ({"Mcp-Name": named} if named else {})
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        self.line.request("POST", "/mcp", json.dumps(message), heads)
        got = self.line.getresponse()
        text = got.read().decode()
        assert got.status < 500, f"{got.status}: {text}"
        lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
        found: dict[str, Any] = json.loads(lines[-1] if lines else text)
        return found


def _judged(answer: dict[str, Any], output: Draft202012Validator) -> str:
    """How a call ended; fails unless it ended as it may."""
    if "error" in answer:
        assert answer["error"]["code"] != INTERNAL, answer
        return "no call"
    result = answer["result"]
    told = result["structuredContent"]
    if result["isError"]:
        assert told.keys() >= PROBLEM, told
        assert told["status"] < 500 or told["status"] == 503, told
        return str(told["code"])
    faults = [f"{fault.json_path}: {fault.message}" for fault in output.iter_errors(told)]
    assert not faults, faults
    return "well"
