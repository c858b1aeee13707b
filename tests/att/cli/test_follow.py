"""Following from a terminal: each line once, whatever happens to the daemon meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from att.cli.client import Client, Refused, Unreachable, Where
from att.cli.follow import Following
from tests.att.cli.conftest import Said
from tests.att.http.house import TOKEN, Served, served
from tests.att.http.things import Things
from tests.support import eventually_sync, free_port, unmeasured

TARGET = "/api/v1/things/lamp/lines"


class Reader:
    """Follows in a thread and keeps what it got."""

    def __init__(self, port: int) -> None:
        self.told: list[str] = []
        self.got: list[str] = []
        self.ended: BaseException | None = None
        self.following = Following(Client(Where("127.0.0.1", port, False, TOKEN)), TARGET, self.told.append)
        self.thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        try:
            _, page = self.following.page()
            self.got += [line["text"] for line in page["lines"]]
            for _, told in self.following:
                self.got.append(told["text"])
        except Refused as refused:
            self.ended = refused


def grow(house: Served, *lines: str) -> None:
    house.call(house.things.grow, *lines)


def test_no_line_is_missing_or_repeated_over_restarts_of_the_daemon(tmp_path: Path) -> None:
    port = free_port()
    things = Things()
    with served(tmp_path, port, things) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        grow(house, "1", "2")
        reader = Reader(port)
        reader.thread.start()
        eventually_sync(lambda: reader.got == ["1", "2"])
        eventually_sync(lambda: house.streams == 1)
        grow(house, "3")
        eventually_sync(lambda: reader.got == ["1", "2", "3"])
    for life in range(3):
        things.lines += [f"{life}a".encode(), f"{life}b".encode()]  # written while no daemon was there
        with served(tmp_path, port, things) as house:
            eventually_sync(lambda house=house: house.streams == 1)
            grow(house, f"{life}c")
            eventually_sync(lambda: len(reader.got) == 3 * (life + 2))  # noqa: B023
    assert reader.got == ["1", "2", "3"] + [f"{life}{part}" for life in range(3) for part in "abc"]
    with served(tmp_path, port, things):
        things.kept.clear()
        reader.thread.join(10)
    assert isinstance(reader.ended, Refused)
    assert reader.ended.told["code"] == "thing_not_found"


def test_what_was_written_before_the_first_line_is_not_lost_either(tmp_path: Path) -> None:
    """A log that was empty at first has a cursor too."""
    port = free_port()
    things = Things()
    with served(tmp_path, port, things) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        reader = Reader(port)
        reader.thread.start()
        eventually_sync(lambda: house.streams == 1)
    things.lines += [b"%d" % i for i in range(5000)]
    with served(tmp_path, port, things):
        eventually_sync(lambda: len(reader.got) == 5000)
        assert reader.got == [str(i) for i in range(5000)]
        things.kept.clear()
    with served(tmp_path, port, things):
        reader.thread.join(10)


class Script:
    """A server that gives each connection its next answer and hangs up, to cut streams where we like."""

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[bytes] = []
        self._plug = socket.create_server(("127.0.0.1", 0))
        self.port = self._plug.getsockname()[1]
        self._answers = answers
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for answer in self._answers:
            peer, _ = self._plug.accept()
            with peer:
                self.asked.append(peer.recv(65536))
                peer.sendall(answer)
        self._plug.close()


def chunked(data: bytes, end: bool) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n\r\n"
    return head + b"%x\r\n%s\r\n" % (len(data), data) + (b"0\r\n\r\n" if end else b"")


def line(cursor: int) -> bytes:
    return json.dumps({"cursor": f"t-{cursor}", "text": f"line {cursor}"}).encode() + b"\n"


def test_a_line_that_was_cut_off_comes_again_whole() -> None:
    done = b'{"type": "done"}\n'
    cut = chunked(line(1) + line(2) + line(3)[:20], end=False)
    script = Script(cut, chunked(b"", end=True), chunked(line(3) + done, end=True))
    waits: list[float] = []
    following = Following(
        Client(Where("127.0.0.1", script.port, False, None)), TARGET, lambda _: None, waits.append
    )
    texts = [told.get("text") for _, told in following]
    assert texts == ["line 1", "line 2", "line 3", None]
    assert b"Last-Event-ID: t-2\r\n" in script.asked[1]
    assert b"Last-Event-ID: t-2\r\n" in script.asked[2]
    assert b"Last-Event-ID" not in script.asked[0]
    assert waits == [0.05, 0.1]


def test_the_last_piece_of_a_text_ends_it() -> None:
    def piece(text: str, cursor: int, complete: bool) -> bytes:
        return json.dumps({"text": text, "next_cursor": str(cursor), "complete": complete}).encode() + b"\n"

    script = Script(chunked(piece("one\n", 4, False), end=True), chunked(piece("two\n", 8, True), end=True))
    following = Following(
        Client(Where("127.0.0.1", script.port, False, None)), TARGET, lambda _: None, lambda _: None
    )
    assert [told["text"] for _, told in following] == ["one\n", "two\n"]
    assert b"Last-Event-ID: 4\r\n" in script.asked[1]


def test_a_daemon_that_is_long_in_coming_back_is_told_of_once() -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
    script = Script(chunked(line(1), end=True), *[busy] * 8, chunked(b'{"type": "done"}\n', end=True))
    told: list[str] = []
    following = Following(
        Client(Where("127.0.0.1", script.port, False, None)), TARGET, told.append, lambda _: None
    )
    assert len(list(following)) == 2
    assert len(told) == 1


def test_a_problem_in_the_stream_ends_it() -> None:
    problem = json.dumps(
        {"problem": {"status": 409, "code": "thing_exists", "detail": "No.", "hint": "None."}}
    )
    script = Script(chunked(problem.encode() + b"\n", end=True))
    following = Following(Client(Where("127.0.0.1", script.port, False, None)), TARGET, print, print)
    with pytest.raises(Refused, match=r"No\."):
        list(following)


def test_nobody_there_at_the_beginning_is_told_at_once() -> None:
    following = Following(Client(Where("127.0.0.1", free_port(), False, None)), TARGET, print, print)
    with pytest.raises(Unreachable):
        list(following)


def test_the_command_follows_until_it_is_interrupted(tmp_path: Path) -> None:
    things = Things()
    with served(tmp_path, 0, things) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        grow(house, "one")
        code = (
            "import sys; from att.rooms import ROOMS; ROOMS['thing'] = ('tests.att.http.things', 'Things.')\n"
            "from att.cli.main import main; main()"
        )
        argv = [
            sys.executable,
            "-c",
            code,
            "thing",
            "lines",
            "lamp",
            "-f",
            "--json",
            "--url",
            house.url,
            "--token",
            TOKEN,
        ]
        env = {**unmeasured(), "ATT_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["text"] == "one"
            eventually_sync(lambda: house.streams == 1)
            grow(house, "two")
            assert json.loads(process.stdout.readline()) == {"cursor": "2", "text": "two"}
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
            assert process.stderr.read() == ""


def test_a_page_is_shown_as_its_lines(att: Callable[..., Said], house: Served) -> None:
    grow(house, "first line", "\x1b[31mred\x1b[0m")
    assert att("thing", "lines", "lamp").out == "first line\n\x1b[31mred\x1b[0m\n"
