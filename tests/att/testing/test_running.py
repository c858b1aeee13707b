"""Real pytest in a real environment: what passed, what did not and why, and every way a run can end badly."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from att.testing import running as att_running
from att.testing.errors import CoverageNotInstalled, PytestNotInstalled, TestPathNotFound
from att.testing.models import KeptResult, Status
from tests.att.rooms import on_a_loop
from tests.att.testing.bench import Said, environment, make_project, run, running
from tests.contract.house import alive
from tests.support import eventually

MIXED = """
import os, sys
import pytest

def test_good(): print("quiet")

def test_bad():
    print("on stdout")
    print("on stderr", file=sys.stderr)
    assert 1 + 1 == 3, "sums"

@pytest.fixture
def broken(): raise ValueError("no fixture")

def test_around(broken): pass

@pytest.fixture
def late():
    yield
    raise OSError("no end")

def test_late(late): pass

@pytest.mark.xfail(reason="later")
def test_expected(): assert False

@pytest.mark.xfail
def test_better_than_expected(): pass

def test_skipped(): pytest.skip("not today")

def test_environment():
    assert [name for name in os.environ if name.startswith("ATT_") and "REPORT" in name] == []
    assert "shim" not in os.environ.get("PYTHONPATH", "")
    assert os.path.basename(os.environ["VIRTUAL_ENV"]) == ".venv"
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeptResult, Said]:
    folder = make_project(tmp_path_factory.mktemp("mixed") / "p", tests__test_mixed=MIXED)
    said = Said([])
    return run(folder, said, coverage=True, coverage_threshold=100), said


def test_each_outcome_is_counted_and_the_bad_ones_come_first(mixed: tuple[KeptResult, Said]) -> None:
    result, _ = mixed
    assert (result.status, result.code) == (Status.FAILED, "tests_failed")
    assert result.counts.model_dump() == {
        "passed": 2,
        "failed": 1,
        "errors": 2,
        "skipped": 1,
        "xfailed": 1,
        "xpassed": 1,
        "total": 8,
    }
    assert [case.outcome for case in result.tests[:4]] == ["failed", "error", "error", "passed"]
    assert result.exit_code == 1 and result.runner_version


def test_the_last_word_on_the_progress_is_the_end(mixed: tuple[KeptResult, Said]) -> None:
    result, said = mixed
    assert said.lines[-1] == ("8 of 8 tests, 3 failed", 8, result.counts.total)


def test_a_failure_has_message_place_traceback_and_output(mixed: tuple[KeptResult, Said]) -> None:
    result, _ = mixed
    bad = next(failure for failure in result.failures if failure.id.endswith("test_bad"))
    assert (bad.file, bad.line, bad.phase) == ("tests/test_mixed.py", 10, "call")
    assert "AssertionError: sums" in bad.message and "assert 1 + 1 == 3" in bad.traceback
    assert (bad.stdout, bad.stderr) == ("on stdout\n", "on stderr\n")
    phases = {failure.id.partition("::")[2]: failure.phase for failure in result.failures}
    assert phases == {"test_bad": "call", "test_around": "setup", "test_late": "teardown"}


def test_coverage_is_measured(mixed: tuple[KeptResult, Said]) -> None:
    coverage = mixed[0].coverage
    assert coverage is not None and [file.file for file in coverage.files] == ["tests/test_mixed.py"]
    assert 90 < coverage.percent <= 100 and coverage.threshold == 100


def test_nothing_of_ours_is_left_in_the_project(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p", tests__test_a="def test_a(): pass\n")
    assert run(folder).status is Status.PASSED
    assert [path.name for path in (folder / "tests").iterdir()] == ["test_a.py"]
    assert not [path for path in folder.iterdir() if "att" in path.name or "cover" in path.name]
    assert not (tmp_path / "tmp").exists()


SUITE = {
    "tests__unit__test_u": "def test_one(): pass\ndef test_two(): pass\n",
    "tests__e2e__test_e": "def test_far(): pass\n",
    "tests__test_m": "import pytest\n@pytest.mark.integration\ndef test_marked(): pass\ndef test_plain(): pass\n",
}


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ({"kind": "unit"}, ["test_one", "test_two"]),
        ({"kind": "integration"}, ["test_marked"]),
        ({"paths": ["tests/e2e"]}, ["test_far"]),
        ({"paths": ["tests/unit/test_u.py::test_two"]}, ["test_two"]),
        ({"keyword": "one or plain"}, ["test_one", "test_plain"]),
        ({"marker": "not integration", "paths": ["tests/test_m.py"]}, ["test_plain"]),
    ],
)
def test_a_selection_runs_just_that(tmp_path: Path, selection: dict[str, object], names: list[str]) -> None:
    result = run(make_project(tmp_path / "p", **SUITE), **selection)
    assert sorted(case.id.partition("::")[2] for case in result.tests) == sorted(names)
    assert result.status is Status.PASSED


def test_no_tests_are_an_empty_result(tmp_path: Path) -> None:
    result = run(make_project(tmp_path / "p", thing="x = 1\n"))
    assert (result.status, result.code, result.counts.total) == (Status.EMPTY, None, 0)


@pytest.mark.parametrize(
    ("name", "text", "line", "word"),
    [
        ("tests__test_a", "def test_a():\n    x = = 1\n", 2, "SyntaxError"),
        ("tests__test_a", "import os\nimport nowhere_at_all\n", 2, "nowhere_at_all"),
        ("tests__conftest", "def f(:\n", 1, "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, name: str, text: str, line: int, word: str
) -> None:
    async def whole() -> tuple[KeptResult, tuple[str | None, int | None]]:
        files = {"tests__test_fine": "def test_fine(): pass\n", name: text}
        one = await running(make_project(tmp_path / "p", **files))
        return await one.run(), one.where

    result, (file, at) = asyncio.run(whole())
    assert (result.status, result.code) == (Status.BROKEN, "test_collection_failed")
    assert word in result.message
    assert file is not None and file.endswith(f"{name.replace('__', '/')}.py") and at == line


@pytest.mark.parametrize(
    ("body", "how"),
    [("import os; os._exit(0)", "with 0"), ("import os, signal; os.kill(os.getpid(), 11)", "SIGSEGV")],
)
def test_an_interpreter_that_dies_has_passed_nothing(tmp_path: Path, body: str, how: str) -> None:
    text = f"def test_good(): pass\ndef test_deadly(): {body}\n"
    result = run(make_project(tmp_path / "p", tests__test_a=text))
    assert (result.status, result.code) == (Status.BROKEN, "tests_crashed")
    assert how in result.message and "test_deadly" in result.message
    assert result.counts.passed == 1


def test_the_time_limit_ends_the_whole_tree(tmp_path: Path) -> None:
    text = f"""
import subprocess, sys, time
def test_good(): pass
def test_slow():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
    time.sleep(600)
"""
    result = run(make_project(tmp_path / "p", tests__test_a=text), timeout=2.5)
    assert (result.status, result.code) == (Status.TIMEOUT, "test_timeout")
    assert "test_slow" in result.message and result.counts.passed == 1
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_cancelled_run_ends_its_processes_and_keeps_how_far_it_came(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"""
import os, time
def test_good(): pass
def test_slow():
    with open({str(pid)!r} + ".new", "w") as file: file.write(str(os.getpid()))
    os.rename({str(pid)!r} + ".new", {str(pid)!r})
    time.sleep(600)
"""

    async def whole() -> KeptResult:
        one = await running(make_project(tmp_path / "p", tests__test_a=text))
        task = asyncio.create_task(one.run())
        await eventually(lambda: pid.exists() and one.tally.counts.passed)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return one.result()

    result = asyncio.run(whole())
    assert (result.status, result.counts.passed) == (Status.CANCELLED, 1)
    assert not alive(int(pid.read_text()))


def test_progress_is_told_while_it_runs(tmp_path: Path) -> None:
    text = "import time\n" + "".join(f"def test_{n}(): time.sleep(0.12)\n" for n in range(6))
    said = Said([])
    run(make_project(tmp_path / "p", tests__test_a=text), said)
    steps = [done for _, done, total in said.lines if total == 6 and done]
    assert len(steps) >= 2 and steps == sorted(steps)


def test_it_stops_after_the_failures_that_were_asked_for(tmp_path: Path) -> None:
    text = "".join(f"def test_{n}(): assert 0\n" for n in range(5))
    assert run(make_project(tmp_path / "p", tests__test_a=text), max_failures=2).counts.failed == 2


def test_too_little_coverage_fails_the_run_under_its_own_code(tmp_path: Path) -> None:
    code = "def used(): return 1\n\ndef unused():\n    return 2\n"
    files = {"app": code, "tests__test_a": "from app import used\ndef test_a(): assert used() == 1\n"}
    folder = make_project(tmp_path / "p", "[test]\ncoverage_source = ['app']\n", **files)
    result = run(folder, coverage=True, coverage_threshold=90)
    assert (result.status, result.code) == (Status.FAILED, "coverage_below_threshold")
    assert result.coverage is not None and result.coverage.met is False
    assert run(folder, coverage_threshold=10).status is Status.PASSED


def test_an_option_that_pytest_does_not_know_is_its_refusal(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p", "[test]\nargs = ['--no-such']\n", test_a="def test_a(): pass\n")
    result = run(folder)
    assert (result.status, result.code) == (Status.BROKEN, "test_runner_refused")
    assert "--no-such" in result.message


@pytest.mark.parametrize(
    ("selection", "word"),
    [({"keyword": "(("}, "expression"), ({"paths": ["tests/test_a.py::none"]}, "not found")],
)
def test_a_selection_that_pytest_cannot_use_is_told_in_its_words(
    tmp_path: Path, selection: dict[str, object], word: str
) -> None:
    result = run(make_project(tmp_path / "p", tests__test_a="def test_a(): pass\n"), **selection)
    assert (result.status, result.code) == (Status.BROKEN, "test_runner_refused")
    assert word in result.message


def test_many_workers_tell_the_same(tmp_path: Path) -> None:
    text = "import os\ndef test_bad(): assert 0\n" + "".join(f"def test_{n}(): pass\n" for n in range(6))
    text += "def test_deadly(): os._exit(3)\n"
    result = run(make_project(tmp_path / "p", "[test]\nargs = ['-n2']\n", tests__test_a=text))
    assert (result.counts.total, result.counts.passed, result.counts.failed) == (8, 6, 2)
    assert result.status is Status.FAILED


def test_what_is_missing_is_named_before_anything_runs(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p", test_a="def test_a(): pass\n")
    shutil.rmtree(folder / ".venv")
    environment(folder, with_packages=False)
    with pytest.raises(PytestNotInstalled):
        run(folder)
    site = next(folder.glob(".venv/lib/*/site-packages"))
    (site / "pytest.py").write_text("")
    with pytest.raises(CoverageNotInstalled):
        run(folder, coverage=True)
    with pytest.raises(TestPathNotFound):
        run(folder, paths=["tests/none.py"])


def test_values_of_references_are_never_told(tmp_path: Path) -> None:
    os.environ["THE_TOKEN"] = "hunter2-is-secret"
    settings = '[test]\nenv = { TOKEN = "${env:THE_TOKEN}", PLAIN = "plain" }\n'
    text = "import os\ndef test_a():\n    print(os.environ['TOKEN'])\n    assert os.environ['TOKEN'] == ''\n"
    try:
        result = run(make_project(tmp_path / "p", settings, tests__test_a=text))
    finally:
        del os.environ["THE_TOKEN"]
    assert result.counts.failed == 1
    assert "hunter2" not in result.model_dump_json() and "***" in result.failures[0].stdout


REPORTER = """
import pathlib, sys
pathlib.Path(sys.argv[1]).write_text(pathlib.Path("made.txt").read_text())
sys.exit(int(pathlib.Path("code.txt").read_text()))
"""
JUNIT = """<testsuite><testcase name="a" classname="c" time="0.5"/>
<testcase name="b"><failure message="no">trace</failure></testcase></testsuite>"""


@pytest.mark.parametrize(
    ("made", "code", "status", "problem"),
    [
        (JUNIT, 1, Status.FAILED, "tests_failed"),
        (JUNIT.replace("failure", "skipped"), 0, Status.PASSED, None),
        ("<testsuite/>", 0, Status.EMPTY, None),
        (JUNIT.replace("failure", "skipped"), 2, Status.FAILED, "tests_failed"),
        ("<testsuite>", 0, Status.BROKEN, "malformed_test_report"),
        ("", 1, Status.BROKEN, "malformed_test_report"),
    ],
)
def test_another_runner_is_read_by_its_report(
    tmp_path: Path, made: str, code: int, status: Status, problem: str | None
) -> None:
    settings = '[test]\ncommand = ["python", "reporter.py", "{report}"]\n'
    folder = make_project(tmp_path / "p", settings, reporter=REPORTER)
    (folder / "made.txt").write_text(made)
    (folder / "code.txt").write_text(str(code))
    result = run(folder)
    assert (result.status, result.code) == (status, problem)
    assert result.runner == "command" and result.exit_code == code


def test_an_old_report_does_not_stand_for_a_run_that_wrote_none(tmp_path: Path) -> None:
    settings = '[test]\ncommand = ["python", "-c", "print(\'no report\')"]\nreport = "junit.xml"\n'
    folder = make_project(tmp_path / "p", settings)
    (folder / "junit.xml").write_text(JUNIT)
    result = run(folder)
    assert (result.status, result.code) == (Status.BROKEN, "test_report_missing")
    assert "no report" in result.message


@on_a_loop
async def test_a_line_without_end_on_the_pipe_is_not_kept() -> None:
    reading, writing = os.pipe()
    heard: list[str] = []
    hearing = asyncio.create_task(att_running._hear(reading, heard.append))

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(b"x" * (10 << 20) + b"\nlast\n")

    await asyncio.to_thread(write)
    await hearing
    assert heard[-1] == "last" and len(heard[0]) < att_running.MOST_LINE
