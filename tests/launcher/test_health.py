"""A health answer is well only when it is the very life that was asked."""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.health import REQUEST, Question, Tally, judge

BODY = json.dumps({"status": "ok", "release": "r1", "boot_id": "b1"}).encode()


def http(body: bytes = BODY, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body


def test_the_right_answer_is_well() -> None:
    assert judge(http(), "r1", "b1").well


def test_a_chunked_answer_is_read() -> None:
    half = len(BODY) // 2
    chunks = b"%x\r\n%s\r\n%x;extension\r\n%s\r\n0\r\n\r\n" % (
        half,
        BODY[:half],
        len(BODY) - half,
        BODY[half:],
    )
    assert judge(http(chunks, headers="Transfer-Encoding: chunked\r\n"), "r1", "b1").well


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not HTTP"),
        (b"garbage\r\n\r\n", "not HTTP"),
        (http(status="503 Busy", body=b"starting"), "503: starting"),
        (http(body=b"{"), "not JSON"),
        (http(body=b"[]"), "status"),
        (http(body=b'{"status": "degraded"}'), "degraded"),
        (http(body=BODY.replace(b"r1", b"r2")), "somebody else"),
        (http(body=BODY.replace(b"b1", b"b2")), "somebody else"),
        (http(body=b"zz\r\n", headers="Transfer-Encoding: chunked\r\n"), "not JSON"),
    ],
)
def test_anything_else_is_not_and_says_why(data: bytes, why: str) -> None:
    answer = judge(data, "r1", "b1")
    assert not answer.well
    assert why in answer.why


@given(st.binary(max_size=300))
def test_no_answer_of_any_kind_is_too_much(data: bytes) -> None:
    assert not judge(data, "r1", "b1").well
    assert not judge(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data, "r1", "b1").well


@given(st.lists(st.booleans(), max_size=50))
def test_failures_count_in_a_row_and_a_success_resets_them(results: list[bool]) -> None:
    tally = Tally(failures=3)
    changes = [change for change in map(tally.add, results) if change is not None]
    assert all(one is not other for one, other in itertools.pairwise(changes)), "each change is told once"
    if results and results[-1]:
        assert tally.state is True
    if results[-3:] == [False] * 3:
        assert tally.state is False
    if tally.state is False:
        text = "".join("+" if well else "-" for well in results)
        assert "+" not in text[text.rindex("---") :]


def test_a_question_to_nobody_is_answered_at_once(tmp_path: Path) -> None:
    question = Question(str(tmp_path / "none"), "r1", "b1")
    assert question.answer is not None
    assert "no connection" in question.answer.why


def test_one_who_does_not_accept_is_found_out(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        waiting = [Question(path, "r1", "b1") for _ in range(4)]
        assert waiting[-1].answer is not None
        assert "accepts no connection" in waiting[-1].answer.why
        for question in waiting:
            question.socket.close()


def test_a_question_goes_out_and_its_answer_is_read_in_pieces(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)
        question = Question(path, "r1", "b1")
        question.ready()
        assert not question.sending
        client, _ = server.accept()
        with client:
            assert client.recv(4096) == REQUEST
            whole = http(headers=f"Content-Length: {len(BODY)}\r\n")
            for at in range(len(whole)):
                assert question.answer is None
                question.ready()
                client.send(whole[at : at + 1])
                question.ready()
            assert question.answer is not None
            assert question.answer.well
