"""The real NAT, kept by ATT: what it does wrong by itself does not come through. One start for each line.

The last test stops the app; all others come before it.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.att.runtime.house import ME
from tests.nat.prepared import SECRET, Served
from tests.support import eventually_sync

pytestmark = [pytest.mark.nat, pytest.mark.timeout(240)]


def run_folder(served: Served) -> Path:
    return served.home / "run" / served.name / "tmp"


def holding_the_secret(folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and ".venv" not in path.parts
        and SECRET.encode() in path.read_bytes()
    ]


def test_it_becomes_ready_and_says_what_it_is(served: Served) -> None:
    status = served.now()
    assert (status.state, status.healthy, status.restarts) == ("running", True, 0)
    assert status.nat_version is not None
    assert status.nat_version.startswith(served.line)
    assert "--runner_class" in status.command
    assert status.rss_bytes is not None
    assert status.rss_bytes > 50_000_000
    assert served.get("/health") == (200, '{"status":"healthy"}')


def test_it_answers_and_streams(served: Served) -> None:
    code, answer = served.say("good day")
    assert code == 200
    assert "good day" in answer
    code, stream = served.say("one two", "/generate/stream")
    assert stream.count("data:") >= 3


def test_output_comes_at_once_on_both_streams(served: Served) -> None:
    served.say("log")
    eventually_sync(lambda: any(line.text == "a plain line" for line in served.lines(stream="stdout")), 5)
    eventually_sync(lambda: any("an info line" in line.text for line in served.lines(stream="stderr")), 5)
    eventually_sync(lambda: any('"POST /generate' in line.text for line in served.lines(stream="stdout")), 5)


def test_both_log_formats_are_understood(served: Served) -> None:
    served.say("log")
    served.get("/health")
    lines = served.lines()
    ours = [line for line in lines if "a warning line" in line.text][-1]
    assert (ours.level, ours.logger) == ("warning", "echo_app.register")
    uvicorn = next(line for line in lines if "Uvicorn running on" in line.text)
    assert uvicorn.level == "info"
    access = [line for line in lines if '"GET /health' in line.text][-1]
    assert (access.level, access.stream) == ("info", "stdout")
    first = max(n for n, line in enumerate(lines) if "an error line" in line.text)
    assert [line.level for line in lines[first : first + 3]] == ["error"] * 3


def test_a_failing_request_leaves_its_chained_traceback_in_the_log(served: Served) -> None:
    served.say("fail")
    texts = eventually_sync(
        lambda: [
            t
            for t in [[line.text for line in served.lines()]]
            if any("ValueError: asked to fail" in x for x in t)
        ],
        5,
    )[0]
    assert any("KeyError: 'fail'" in text for text in texts)
    assert served.now().state == "running"


def test_requests_do_not_make_later_ones_slower(served: Served) -> None:
    assert served.status is not None
    process = psutil.Process(served.status.pid)
    connection = served.connection()

    def cost(requests: int) -> float:
        before = sum(process.cpu_times()[:2])
        for _ in range(requests):
            connection.request("GET", "/health")
            connection.getresponse().read()
        return sum(process.cpu_times()[:2]) - before

    cost(200)
    filters = served.get("/filters")
    first = cost(500)
    cost(2000)
    last = cost(500)
    assert served.get("/filters") == filters
    assert last < first * 1.6 + 0.1


def test_its_whole_config_with_every_secret_lies_in_the_private_folder_only(served: Served) -> None:
    found = holding_the_secret(served.home)
    inside = [name for name in found if name.startswith(f"run/{served.name}/tmp/")]
    assert inside, "NAT writes its config to TMPDIR"
    assert set(found) - set(inside) == {f"projects/{served.name}/secret"}
    assert run_folder(served).stat().st_mode & 0o777 == 0o700


def test_evaluation_without_its_package_names_the_extra(served: Served) -> None:
    from att.runtime.errors import EvalNotInstalled, InvalidNatConfig
    from att.runtime.models import EvalRuntime

    config = served.folder / "eval.yml"
    config.write_text((served.folder / "config.yml").read_text() + "eval: {general: {output_dir: out}}\n")
    if served.line == "1.4":
        with pytest.raises(InvalidNatConfig, match="no `eval` section"):
            served.do(served.house.runtime.evaluate(EvalRuntime(project_id=served.name), ME))
        return
    with pytest.raises(EvalNotInstalled) as caught:
        served.do(served.house.runtime.evaluate(EvalRuntime(project_id=served.name, config="eval.yml"), ME))
    assert caught.value.extra["extra"] == "nvidia-nat[eval]"


def test_a_stop_ends_even_a_stuck_request_within_the_grace_time_and_leaves_no_secret(served: Served) -> None:
    def stuck() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # it is cut off
            served.say("stuck", timeout=60)

    caller = threading.Thread(target=stuck)
    caller.start()
    eventually_sync(lambda: any("never ends" in line.text for line in served.lines()), 10)
    began = time.monotonic()
    stopped = served.stop()
    took = time.monotonic() - began
    caller.join(10)
    assert stopped.state == "stopped"
    assert stopped.exit_signal == 9
    assert 1.5 < took < 6
    assert holding_the_secret(served.home) == [f"projects/{served.name}/secret"]
