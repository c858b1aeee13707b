"""Clients that are not of our environment: the SDK's line 1.x, and the command line of the official Inspector."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.suite import at_home, program
from tests.conformance.suite import run as run_suite
from tests.daemon import ROOT, RunningDaemon, environment
from tests.interop.doorman import opened

pytestmark = pytest.mark.slow

OLD = "1.29.1"

# The scenarios of the conformance suite that ask for no fixtures.
PLAIN = {"tools-list", "resources-list", "prompts-list", "dns-rebinding-protection"}
LEGACY = {"server-initialize", "ping", "server-sse-multiple-streams", "server-session-lifecycle"}
MODERN = {"caching", "http-header-validation"}


@pytest.fixture(scope="module")
def old_python() -> str:
    """A Python with the SDK's line 1.x, in an environment of its own that is made once."""
    folder = ROOT / ".cache" / f"mcp-{OLD}"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "mcp-1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            for step in (
                ["venv", "--quiet", "--python", sys.executable, str(folder)],
                ["pip", "install", "--quiet", "--python", str(folder / "bin/python"), f"mcp=={OLD}"],
            ):
                done = subprocess.run([str(uv), *step], capture_output=True, text=True) if uv else None
                if done is None or done.returncode:
                    pytest.skip(f"mcp {OLD} cannot be installed: {done.stderr[-300:] if done else 'no uv'}")
            (folder / "made").touch()
    return str(folder / "bin/python")


@pytest.mark.parametrize("kind", ["http", "stdio"])
def test_a_client_of_the_old_line_lists_calls_and_reads(
    daemon: RunningDaemon, old_python: str, kind: str
) -> None:
    where = ["http", f"{daemon.url}/mcp", daemon.token] if kind == "http" else ["stdio", sys.executable]
    done = subprocess.run(
        [old_python, str(Path(__file__).with_name("old_client.py")), *where],
        env={**environment(daemon.home, daemon.port), "PYTHONPATH": str(ROOT) if kind == "stdio" else ""},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["version"] == "2025-11-25"
    assert "att_project_list" in told["tools"]
    assert [project["name"] for project in told["listed"]["projects"]] == ["demo"]
    assert told["refused"][0] is True and "project_not_found" in told["refused"][1]
    assert "demo" in told["resource"] and told["missing"] == -32602
    assert told["progress"]


class Inspector:
    """The Inspector's command line, in a home of its own."""

    def __init__(self, daemon: RunningDaemon, home: Path) -> None:
        self._daemon = daemon
        self._home = home

    def __call__(self, *asked: str, token: str | None = None, era: str = "legacy") -> Any:
        """The result that it printed; its exit code and its words when it failed."""
        done = subprocess.run(
            [
                *program("@modelcontextprotocol/inspector/clients/launcher/build/index.js"),
                *("--cli", f"{self._daemon.url}/mcp", "--transport", "http", "--format", "json"),
                *("--protocol-era", era, "--header", f"Authorization: Bearer {token or self._daemon.token}"),
                *asked,
            ],
            env=at_home(self._home),
            cwd=self._home.parent,
            capture_output=True,
            text=True,
            timeout=40,
        )
        if done.returncode:
            return done.returncode, done.stdout + done.stderr
        return json.loads(done.stdout)["result"]


@pytest.fixture
def inspector(daemon: RunningDaemon, tmp_path: Path) -> Inspector:
    return Inspector(daemon, tmp_path / "home")


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_and_calls_our_tools(inspector: Inspector, era: str) -> None:
    tools = inspector("--method", "tools/list", era=era)["tools"]
    assert {"att_project_list", "att_runtime_start"} <= {tool["name"] for tool in tools}
    told = inspector("--method", "tools/call", "--tool-name", "att_project_list", era=era)
    assert [project["name"] for project in told["structuredContent"]["projects"]] == ["demo"]
    arguments = json.dumps({"project_id": "demo"})
    told = inspector(
        *("--method", "tools/call", "--tool-name", "att_runtime_status", "--tool-args-json", arguments),
        era=era,
    )
    assert told["structuredContent"]["state"] == "stopped"


def test_the_inspector_reads_our_resources_and_prompts(inspector: Inspector) -> None:
    told = inspector("--method", "resources/read", "--uri", "att://projects")
    assert "demo" in told["contents"][0]["text"]
    assert inspector("--method", "resources/templates/list")["resourceTemplates"]
    assert inspector("--method", "prompts/list")["prompts"]


def test_the_inspector_finds_our_schemas_portable(inspector: Inspector) -> None:
    assert isinstance(inspector("--method", "tools/list", "--strict"), dict)


def test_the_inspector_is_told_what_went_wrong(inspector: Inspector) -> None:
    code, said = inspector(
        *(
            "--method",
            "tools/call",
            "--tool-name",
            "att_project_get",
            "--tool-args-json",
            '{"project_id": "x"}',
        )
    )
    assert code == 5 and "project_not_found" in said
    code, said = inspector("--method", "tools/list", token="att_not-a-token-of-this-house")
    assert code == 3 and "auth" in said


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_what_of_the_conformance_suite_needs_no_fixtures_passes_on_the_daemon_itself(
    daemon: RunningDaemon, tmp_path: Path, revision: str
) -> None:
    with opened(daemon) as url:
        found = run_suite(url, tmp_path, "--requirements", revision)
    passed = {name for name, (good, bad) in found.scenarios.items() if good and not bad}
    wanted = PLAIN | (MODERN if revision == "2026-07-28" else LEGACY)
    assert wanted - passed == set(), {name: found.failures.get(name) for name in wanted - passed}
