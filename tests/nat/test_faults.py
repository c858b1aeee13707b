"""What needs a start of its own with the real NAT: slower, so not part of the quick suite."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from att.runtime.errors import StartFailed, UnknownComponent
from att.runtime.models import EvalRuntime, RuntimeStatus
from tests.att.runtime.house import ME
from tests.nat.prepared import LINES, SECRET, Served
from tests.support import eventually_sync

pytestmark = [pytest.mark.nat, pytest.mark.slow, pytest.mark.timeout(300)]
each_line = pytest.mark.parametrize("line", LINES)


@contextmanager
def serving(home: Path, line: str, **given: str) -> Iterator[Served]:
    app = Served(home, line, **given)
    try:
        yield app
    finally:
        app.close()


@each_line
def test_the_fault_is_real_the_stock_worker_piles_up_filters(tmp_path: Path, line: str) -> None:
    command = '"nat", "serve", "--config_file", "{config}", "--port", "{port}", "--runner_class", "own_worker.Worker"'
    with serving(tmp_path / "home", line, settings=f"command = [{command}]") as app:
        app.start()
        before = int(app.get("/filters")[1])
        for _ in range(50):
            app.get("/health")
        assert int(app.get("/filters")[1]) >= before + 50


@each_line
def test_an_unknown_component_is_refused_before_the_start_with_a_suggestion(
    tmp_path: Path, line: str
) -> None:
    with serving(tmp_path / "home", line, kind="echoo") as app:
        with pytest.raises(UnknownComponent) as caught:
            app.start()
        assert caught.value.extra["component"] == "echoo"
        assert "did you mean `echo`" in caught.value.detail
        assert app.do(app.house.told("runtime.started")) == []


@each_line
def test_a_start_that_fails_inside_nat_is_told_by_its_real_error(tmp_path: Path, line: str) -> None:
    with serving(tmp_path / "home", line, settings='restart = "temporary"') as app:
        (app.folder / "own" / "own_worker.py").write_text("raise RuntimeError('the worker is on fire')\n")
        with pytest.raises(StartFailed) as caught:
            app.start()
        assert "the worker is on fire" in caught.value.detail
        assert "_dask_client" not in caught.value.detail
        assert any(entry.text.startswith("RuntimeError: the worker") for entry in app.lines())


@each_line
def test_a_killed_nat_comes_back_and_a_crash_on_demand_too(tmp_path: Path, line: str) -> None:
    with serving(tmp_path / "home", line) as app:
        first = app.start()
        with pytest.raises(Exception, match=r"closed|reset"):
            app.say("crash")
        eventually_sync(lambda: app.now().run_id != first.run_id and app.now().healthy, 60, 0.2)
        assert app.now().restarts == 1
        assert app.say("again")[0] == 200


@each_line
def test_behind_a_held_socket_a_restart_fails_no_request_and_leaves_no_secret(
    tmp_path: Path, line: str
) -> None:
    with serving(tmp_path / "home", line, settings='serve = "socket"\nstop_grace = 4') as app:
        app.start()
        codes: list[int] = []
        enough = threading.Event()

        def load() -> None:
            while not enough.is_set():
                try:
                    codes.append(app.say("hi", timeout=60)[0])
                except OSError as fault:
                    codes.append(-(fault.errno or 1))

        callers = [threading.Thread(target=load) for _ in range(2)]
        for caller in callers:
            caller.start()
        eventually_sync(lambda: len(codes) > 50, 20)
        app.status = app.do(restarted(app))
        asked = len(codes)
        eventually_sync(lambda: len(codes) > asked + 50, 30)
        enough.set()
        for caller in callers:
            caller.join(60)
        assert set(codes) == {200}
        lines = app.lines()
        assert any(entry.logger == "echo_app.register" for entry in lines)
        assert [entry for entry in lines if '"POST /generate' in entry.text][-1].level == "info"
        stuck = threading.Thread(target=cut_off, args=(app,))
        stuck.start()
        eventually_sync(lambda: any("never ends" in entry.text for entry in app.lines()), 10)
        began = time.monotonic()
        app.stop()
        assert time.monotonic() - began < 6
        stuck.join(10)
        left = [
            p
            for p in (tmp_path / "home" / "run").rglob("*")
            if p.is_file() and SECRET.encode() in p.read_bytes()
        ]
        assert left == []


async def restarted(app: Served) -> RuntimeStatus:
    return await app.house.runtime.restart(app.name, ME, timeout=120)


def cut_off(app: Served) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        app.say("stuck", timeout=60)


EVAL = """
eval:
  general:
    output_dir: results
    dataset: {_type: json, file_path: data.json, structure: {question_key: question, answer_key: answer}}
  evaluators: {}
"""


def test_an_evaluation_runs_without_the_app_and_its_files_are_returned(tmp_path: Path) -> None:
    with serving(tmp_path / "home", "1.4") as app:
        (app.folder / "config.yml").write_text((app.folder / "config.yml").read_text() + EVAL)
        (app.folder / "data.json").write_text('[{"id": 1, "question": "hello", "answer": "hello"}]')
        result = app.do(app.house.runtime.evaluate(EvalRuntime(project_id=app.name), ME))
        assert any(file.path.endswith("workflow_output.json") for file in result.files)
        assert result.output_dir == str(app.folder / "results")
        assert app.now().state == "stopped"
        left = [p for p in (tmp_path / "home" / "run").rglob("*") if p.is_file()]
        assert left == []
