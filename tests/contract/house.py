"""What the tests of the contract share: both doors of a daemon, and how everything is before and after a fault."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.protocol.child import KEEPER_MARK
from launcher.protocol.kin import children, marks, read
from tests.daemon import ROOT, Answer, RunningDaemon, environment
from tests.support import eventually_sync

PAUSE = [sys.executable, "-c", "import signal; print('here I am', flush=True); signal.pause()"]
ALIVE = "[[runtime.probe]]\nkind = 'process'\n"
PROBLEM = {"type", "title", "status", "detail", "instance", "code", "hint", "request_id"}
VOLATILE = {"cpu_percent", "rss_bytes", "open_files", "threads", "processes", "probes", "health_checked_at"}
DATABASE = {"att.db", "att.db-wal", "att.db-shm"}


@dataclass
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def att(daemon: RunningDaemon, *words: str, timeout: float = 60, **variables: str) -> Said:
    """`python -m att …` as a user types it who has this daemon's home."""
    done = subprocess.run(
        [sys.executable, "-m", "att", *words],
        env=environment(daemon.home, daemon.port, **variables),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def raw(
    daemon: RunningDaemon, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """A request with exactly these headers (and Host, unless it is among them); the token is not added."""
    given = headers or {}
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    with contextlib.closing(connection):
        connection.putrequest(method, target, skip_host="Host" in given)
        for name, value in given.items():
            connection.putheader(name, value)
        if body is not None and not {"Content-Length", "Transfer-Encoding"} & given.keys():
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before the end
            if body is not None:
                connection.send(body)
        got = connection.getresponse()
        return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read().decode())


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The problem that the answer is; fails unless it is one of this code, whole and told in sentences."""
    assert answer.status == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.headers
    problem: dict[str, Any] = answer.json
    assert problem.keys() >= PROBLEM
    assert (problem["code"], problem["status"]) == (code, status), problem
    assert problem["type"] == f"urn:att:problem:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    for text in (problem["title"], problem["detail"], problem["hint"]):
        assert len(text) > 8, problem
    assert not any(word in answer.text for word in ("Traceback", "site-packages", "object at 0x")), (
        answer.text
    )
    return problem


def told(said: Said, problem: dict[str, Any], code: int = 1) -> None:
    """The terminal told the same: the sentence, the hint, nothing on stdout, and this exit code."""
    assert said.code == code, said
    assert said.out == ""
    assert f"Error: {problem['detail']}\n" in said.err, said.err
    assert f"Hint: {problem['hint']}\n" in said.err, said.err


def kept_by(home: Path) -> set[int]:
    """All processes of this machine that carry the mark of this home's keeper."""
    mark = f"{KEEPER_MARK}={hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]}".encode()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return {pid for pid in pids if mark in (marks(pid) or ()) and (kin := read(pid)) and kin.alive}


def below(pid: int) -> set[int]:
    """All living processes that descend from this one."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children(waiting.pop()):
            if child not in found and (kin := read(child)) and kin.alive:
                found.add(child)
                waiting.append(child)
    return found


def alive(pid: int) -> bool:
    kin = read(pid)
    return kin is not None and kin.alive


def files(folder: Path) -> dict[str, str]:
    """Every file below the folder with a digest of what is in it; the database's own files left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in DATABASE:
            continue
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(path.relative_to(folder))] = "folder"
    return found


def everything(daemon: RunningDaemon) -> dict[str, Any]:
    """All that a refusal must not change."""
    projects = daemon.ask("GET", "/projects?limit=1000").json["projects"]
    runtimes = {p["id"]: daemon.ask("GET", f"/projects/{p['id']}/runtime/status").json for p in projects}
    return {
        "projects": projects,
        "runtimes": {name: {k: v for k, v in r.items() if k not in VOLATILE} for name, r in runtimes.items()},
        "events": daemon.ask("GET", "/events?limit=1000").json["events"],
        "health": daemon.ask("GET", "/health").json["status"],
        "files": files(daemon.home),
        "processes": below(daemon.process.pid) | kept_by(daemon.home),
    }


@contextlib.contextmanager
def nothing_changes(daemon: RunningDaemon) -> Iterator[None]:
    """Everything is as it was when the block ends: projects, apps, events, files, processes."""
    before = everything(daemon)
    yield
    after = everything(daemon)
    for name, was in before.items():
        if isinstance(was, dict):
            changed = [key for key in was.keys() | after[name].keys() if was.get(key) != after[name].get(key)]
            assert not changed, (name, {key: (was.get(key), after[name].get(key)) for key in changed})
        assert after[name] == was, name


def begin(daemon: RunningDaemon, project: str) -> None:
    """Start an app, and return when it has said its first line: from then on it is still."""
    started = daemon.ask("POST", f"/projects/{project}/runtime/start")
    assert started.status == 200, started.text
    newest = f"/projects/{project}/runtime/logs?limit=1&run={started.json['run_id']}"
    eventually_sync(lambda: daemon.ask("GET", newest).json["lines"])


def counts(pid: int) -> dict[str, int]:
    """Descriptors, threads and children (dead ones too) of a process."""
    return {
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        "children": len(set(children(pid))),
    }


def log_lines(daemon: RunningDaemon, project: str, cursor: str = "oldest") -> list[dict[str, Any]]:
    """The log from a cursor to its end, in order: lines, and `{"lost": …}` where something is missing."""
    found: list[dict[str, Any]] = []
    while True:
        answer = daemon.ask("GET", f"/projects/{project}/runtime/logs?cursor={cursor}&limit=5000")
        assert answer.status == 200, answer.text
        page = answer.json
        if page["lost"]:
            found.append({"lost": page["lost"]})
        found += page["lines"]
        if page["next_cursor"] == cursor or (not page["lines"] and not page["lost"]):
            return found
        cursor = page["next_cursor"]
