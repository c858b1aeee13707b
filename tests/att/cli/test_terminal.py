"""On a real terminal: bars, colours and questions; and what `att up` becomes."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.att.http.house import TOKEN, Served, served

CODE = (
    "import sys; from att.rooms import ROOMS; ROOMS['thing'] = ('tests.att.http.things', 'Things.')\n"
    "from att.cli.main import main; main()"
)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        yield house


def environ(house: Served) -> dict[str, str]:
    more = {"ATT_HOME": str(house.settings.home), "ATT_URL": house.url, "ATT_TOKEN": TOKEN}
    return {**os.environ, **more, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"}


def on_terminal(house: Served, *argv: str, answer: str = "") -> tuple[int, str]:
    """What a person sees, who types `answer` when asked."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=environ(house)
    ) as process:
        os.close(theirs)
        seen, deadline = b"", time.monotonic() + 20
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            if answer and b"[y/N]" in seen:
                os.write(ours, answer.encode())
                answer = ""
        os.close(ours)
        return process.wait(10), seen.decode()


def test_progress_is_a_bar_with_the_lines_above_it(house: Served) -> None:
    code, seen = on_terminal(house, "thing", "work", "begin", "lamp")
    assert code == 0
    assert "step 2" in seen
    assert "100 %" in seen
    assert "━" in seen


def test_a_table_has_colours(house: Served) -> None:
    code, seen = on_terminal(house, "thing", "list")
    assert code == 0
    assert "\x1b[1m" in seen
    assert "lamp" in seen


def test_an_error_has_colours(house: Served) -> None:
    code, seen = on_terminal(house, "thing", "get", "none")
    assert code == 1
    assert "\x1b[31;1mError:\x1b[0m There is no thing" in seen


def test_a_person_is_asked_before_something_is_destroyed(house: Served) -> None:
    code, seen = on_terminal(house, "thing", "delete", "lamp", answer="n\n")
    assert "[y/N]" in seen
    assert code == 1
    assert house.ask("GET", "/things/lamp").status == 200
    code, _ = on_terminal(house, "thing", "delete", "lamp", answer="y\n")
    assert code == 0
    assert house.ask("GET", "/things/lamp").status == 404


def test_yes_answers_the_question(house: Served) -> None:
    assert on_terminal(house, "thing", "delete", "lamp", "--yes")[0] == 0
    assert house.ask("GET", "/things/lamp").status == 404


def stand_in(folder: Path, code: str) -> None:
    shutil.copytree(ROOT / "launcher", folder / "launcher")
    (folder / "launcher" / "__main__.py").write_text(f"{code}\ndef main():\n    return 0\n")


def test_up_becomes_the_launcher_and_hands_the_settings_on(tmp_path: Path) -> None:
    """A launcher of our own stands in the way of the real one and says how it was called."""
    stand_in(
        tmp_path, "import json, os, sys\nprint(json.dumps([os.getpid(), sys.argv[1:], dict(os.environ)]))\n"
    )
    argv = [
        "up",
        "--home",
        str(tmp_path / "home"),
        "--listen",
        "127.0.0.1:5",
        "--log-wait",
        "3",
        "--roots",
        "/a",
        "--roots",
        "/b",
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *argv], stdout=subprocess.PIPE, text=True, env=env, cwd=tmp_path
    ) as process:
        out, _ = process.communicate(timeout=30)
        pid, called, told = json.loads(out)
        assert pid == process.pid, "the same process, so that signals reach it"
    assert called == ["--home", str(tmp_path / "home"), "--listen", "127.0.0.1:5"]
    assert (told["ATT_HOME"], told["ATT_LISTEN"]) == (str(tmp_path / "home"), "127.0.0.1:5")
    assert (told["ATT_LOG_WAIT"], told["ATT_ROOTS"]) == ("3", os.pathsep.join(["/a", "/b"]))


def test_up_warns_of_an_address_that_others_reach_and_of_a_mistyped_variable(tmp_path: Path) -> None:
    stand_in(tmp_path, "")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "ATT_LISTN": "x"}
    argv = ["up", "--home", str(tmp_path / "home"), "--listen", "0.0.0.0:5", "--allow-remote"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *argv],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        check=True,
        timeout=30,
    )
    assert "Warning: ATT listens on 0.0.0.0:5, which other machines can reach." in done.stderr
    assert "ATT_LISTN is not known" in done.stderr
