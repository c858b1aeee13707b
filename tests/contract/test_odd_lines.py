"""Output that is not as lines should be: broken UTF-8, NUL, a line of ten megabytes, no end of line. All of it can be read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.house import ALIVE, att, log_lines
from tests.daemon import RunningDaemon, running
from tests.support import eventually_sync

TEN_MB = 10_000_000
PIECE = 32 * 1024
ODD = rb"""
import os, signal
os.write(1, b"broken \xff\xc3( \xed\xa0\x80 utf-8\n")
os.write(1, b"a NUL \0 and \x1b[31mcolour\x1b[0m\r\n")
os.write(1, "g\u00fcltig \U0001f600 \u2028 here\n".encode())
os.write(1, b"\n")
long = b"".join(b"%07d|" % i for i in range(1250000)) + b"\n"
while long:
    long = long[os.write(1, long):]
os.write(1, b"after\n")
os.write(2, b"without an end")
signal.pause()
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("odd")
    script = folder / "odd.py"
    script.write_bytes(ODD)
    with running(folder / "home", ATT_LOG_LEVEL="warning") as daemon:
        daemon.project("odd", [sys.executable, str(script)], ALIVE)
        assert daemon.ask("POST", "/projects/odd/runtime/start").status == 200
        yield daemon
        assert "Traceback" not in daemon.said


def lines(daemon: RunningDaemon) -> list[dict[str, object]]:
    def come() -> list[dict[str, object]]:
        found = log_lines(daemon, "odd")
        return found if found and found[-1]["text"] == "after" else []

    return eventually_sync(come, 20)


def test_invalid_utf_8_and_control_characters(daemon: RunningDaemon) -> None:
    broken, control, good, empty = [line["text"] for line in lines(daemon)[:4]]
    assert str(broken).startswith("broken \ufffd")
    assert str(broken).endswith(" utf-8")
    assert control == "a NUL \0 and \x1b[31mcolour\x1b[0m"
    assert good == "gültig 😀 \u2028 here"
    assert empty == ""


def test_a_line_of_ten_megabytes_comes_in_pieces(daemon: RunningDaemon) -> None:
    found = lines(daemon)
    pieces = found[4:-1]
    whole = "".join(str(piece["text"]) for piece in pieces)
    assert len(whole) == TEN_MB
    assert whole == "".join(f"{i:07d}|" for i in range(TEN_MB // 8))
    assert [piece["continued"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert max(len(str(piece["text"])) for piece in pieces) <= PIECE
    middle = pieces[len(pieces) // 2]
    again = daemon.ask("GET", f"/projects/odd/runtime/logs?cursor={middle['cursor']}&limit=3").json
    assert (
        again["lines"] == pieces[len(pieces) // 2 + 1 :][:3]
    )  # the same pieces, wherever one begins to read


def test_the_terminal_and_the_streams_show_the_same(daemon: RunningDaemon) -> None:
    expected = lines(daemon)
    said = att(daemon, "runtime", "logs", "odd", "--cursor", "oldest", "--limit", "10000", "--json")
    assert said.code == 0
    assert (
        said.json["lines"] == expected[: len(said.json["lines"])]
    )  # a page ends when it has many bytes, too
    assert len(said.json["lines"]) > 200
    shown = att(daemon, "runtime", "logs", "odd", "--cursor", "oldest", "--limit", "4")
    assert (shown.code, shown.err) == (0, "")
    assert "gültig 😀" in shown.out
    stripped = daemon.ask("GET", "/projects/odd/runtime/logs?cursor=oldest&limit=2&strip_ansi=true").json
    assert stripped["lines"][1]["text"] == "a NUL \0 and colour"


def test_a_line_without_an_end_is_one_when_the_app_has_ended(daemon: RunningDaemon, tmp_path: Path) -> None:
    lines(daemon)
    assert daemon.ask("POST", "/projects/odd/runtime/stop").status == 200
    last = daemon.ask("GET", "/projects/odd/runtime/logs?limit=1").json["lines"][0]
    assert (last["text"], last["stream"], last["continued"]) == ("without an end", "stderr", False)
    assert json.dumps(last)
