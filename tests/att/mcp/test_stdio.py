"""The bridge for clients that want a command: what comes in on stdin, what goes out, and what a client does not notice."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from att.cli.client import Where
from att.mcp.stdio import OK, UNREACHABLE, Bridge
from att.mcp.wire import Wire
from tests.att.mcp.double import TOKEN, Double, doubled
from tests.support import eventually_sync, free_port, unmeasured

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Talk:
    """A client's side of the bridge."""

    def __init__(self, where: Any, **options: float) -> None:
        reading, self._in = os.pipe()
        self._out, writing = os.pipe()
        self.said: list[str] = []
        self.code: int | None = None
        self.lines: queue.Queue[Any] = queue.Queue()
        self._ids = 0
        bridge = Bridge(Wire(where), os.fdopen(reading, "rb"), writing, self.said.append, **options)

        def run() -> None:
            self.code = bridge.run()
            os.close(writing)

        def read() -> None:
            with os.fdopen(self._out, "rb") as lines:
                for line in lines:
                    self.lines.put(json.loads(line))

        self._threads = [threading.Thread(target=run), threading.Thread(target=read)]
        for thread in self._threads:
            thread.start()

    def raw(self, line: bytes) -> None:
        os.write(self._in, line)

    def send(self, method: str, request_id: Any = None, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.raw(
            json.dumps(message if request_id is None else {**message, "id": request_id}).encode() + b"\n"
        )

    def next(self) -> Any:
        return self.lines.get(timeout=10)

    def ask(self, method: str, **params: Any) -> Any:
        """The answer, with which only list changes may come."""
        self._ids += 1
        self.send(method, self._ids, **params)
        while (told := self.next()).get("id") != self._ids:
            assert "list_changed" in told["method"]
        return told

    def open(self) -> None:
        told = self.ask(
            "initialize", protocolVersion="2025-11-25", capabilities={"x": 1}, clientInfo={"name": "t"}
        )
        assert told["result"]["protocolVersion"] == "2025-11-25"
        self.send("notifications/initialized")

    def close(self) -> int | None:
        if self._in >= 0:
            os.close(self._in)
            self._in = -1
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        return self.code


@pytest.fixture
def server() -> Iterator[Double]:
    with doubled() as double:
        yield double


@pytest.fixture
def talk(server: Double) -> Iterator[Talk]:
    found = Talk(lambda: server.where)
    yield found
    server.held.set()
    found.close()


def heard(server: Double, method: str) -> dict[str, str]:
    """The headers of the first request of this method."""
    return next(
        headers for _, headers, message in server.heard if message and message.get("method") == method
    )


def test_a_session_is_opened_used_and_ended(server: Double, talk: Talk) -> None:
    talk.open()
    assert talk.ask("tools/call", name="do", arguments={"a": 1})["result"]["asked"]["arguments"] == {"a": 1}
    headers = heard(server, "tools/call")
    assert headers["mcp-session-id"] == "s1" and headers["mcp-protocol-version"] == "2025-11-25"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert talk.close() == OK
    assert server.heard[-1][0] == "DELETE"


def test_a_request_that_stands_alone_repeats_itself_in_headers(server: Double, talk: Talk) -> None:
    talk.ask("tools/call", name="größer", _meta=META)
    headers = heard(server, "tools/call")
    assert headers["mcp-protocol-version"] == "2026-07-28" and headers["mcp-method"] == "tools/call"
    assert headers["mcp-name"] == "=?base64?Z3LDtsOfZXI=?="
    assert "mcp-session-id" not in headers
    talk.ask("resources/read", uri="att://projects", _meta=META)
    assert heard(server, "resources/read")["mcp-name"] == "att://projects"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{]\n", -32700),
        (b"\xff\xfe\n", -32700),
        (b"[" * 100_000 + b"\n", -32700),
        (b"[]\n", -32600),
        (b'{"id": 1}\n', -32600),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": null}\n', -32600),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": true}\n', -32600),
    ],
)
def test_nonsense_is_refused_and_the_next_line_is_heard(talk: Talk, line: bytes, code: int) -> None:
    talk.raw(line)
    told = talk.next()
    assert told["id"] is None and told["error"]["code"] == code
    assert talk.ask("ping", _meta=META)["result"]


def test_a_line_without_end_is_refused_in_bounded_memory(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("att.mcp.rpc.LINE_LIMIT", 1000)
    talk.raw(b'{"jsonrpc": "2.0", "padding": "' + b"x" * 5000 + b'"}\n')
    assert talk.next()["error"]["code"] == -32600
    assert talk.ask("ping", _meta=META)["result"]


def test_what_comes_before_the_answer_is_passed_on(talk: Talk) -> None:
    talk.open()
    talk.send("tools/call", 7, name="progress")
    assert [talk.next() for _ in range(3)] == [
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 2}},
        {"jsonrpc": "2.0", "id": 7, "result": {"done": 2}},
    ]


def test_the_server_is_heard_when_it_speaks_by_itself_and_again_after_a_restart(
    server: Double, talk: Talk
) -> None:
    talk.open()
    news = {
        "jsonrpc": "2.0",
        "method": "notifications/resources/updated",
        "params": {"uri": "att://projects"},
    }
    eventually_sync(lambda: server.streams)
    server.say(news)
    assert talk.next() == news
    server.restart()
    assert talk.next()["method"] == "notifications/tools/list_changed"
    eventually_sync(lambda: server.streams)
    server.say(news)
    assert talk.next() == news


def test_a_restart_of_the_daemon_is_not_noticed(server: Double, talk: Talk) -> None:
    talk.open()
    talk.ask("resources/subscribe", uri="att://projects")
    talk.ask("logging/setLevel", level="info")
    server.restart()
    server.heard.clear()
    assert talk.ask("tools/call", name="do")["result"]
    assert server.methods().count("initialize") == 1
    opened = next(
        message for _, _, message in server.heard if message and message.get("method") == "initialize"
    )
    assert opened["params"]["capabilities"] == {"x": 1} and opened["params"]["clientInfo"] == {"name": "t"}
    assert {"notifications/initialized", "resources/subscribe", "logging/setLevel"} <= set(server.methods())


def test_many_requests_after_a_restart_open_one_session(server: Double, talk: Talk) -> None:
    talk.open()
    server.restart()
    server.heard.clear()
    for number in range(20):
        talk.send("tools/call", f"n{number}", name="do")
    answers = {}
    while len(answers) < 20:
        told = talk.next()
        if "id" in told:
            answers[told["id"]] = told
    assert [told for told in answers.values() if "result" not in told] == []
    assert server.methods().count("initialize") == 1


def test_what_was_not_sent_waits_for_the_daemon(server: Double, talk: Talk) -> None:
    talk.open()
    server.stop()
    talk.send("tools/call", "late", name="do")
    server.start()
    while (told := talk.next()).get("id") != "late":
        pass
    assert told["result"]


def test_an_answer_of_not_now_is_asked_again(server: Double, talk: Talk) -> None:
    server.unavailable = 3
    assert talk.ask("tools/call", name="do", _meta=META)["result"]


def test_what_was_under_way_is_answered_with_an_error_that_says_so(server: Double, talk: Talk) -> None:
    talk.open()
    server.breaks.append("tools/call")
    error = talk.ask("tools/call", name="do")["error"]
    assert error["data"]["code"] == "outcome_unknown" and "may have been done" in error["message"]
    assert server.methods().count("tools/call") == 1


@pytest.mark.parametrize(
    ("method", "params"), [("tools/call", {"name": "look"}), ("resources/read", {"uri": "a"})]
)
def test_what_only_reads_is_asked_again(
    server: Double, talk: Talk, method: str, params: dict[str, str]
) -> None:
    talk.open()
    talk.ask("tools/list")
    server.breaks.append(method)
    assert talk.ask(method, **params)["result"]
    assert server.methods().count(method) == 2


def test_a_stream_that_ends_before_its_answer_is_an_unknown_outcome(server: Double, talk: Talk) -> None:
    server.breaks.append("progress")
    talk.send("tools/call", 1, name="progress", _meta=META)
    assert [talk.next().get("method") for _ in range(2)] == ["notifications/progress"] * 2
    assert talk.next()["error"]["data"]["code"] == "outcome_unknown"


def test_cancelling_a_request_that_stands_alone_ends_its_connection(server: Double, talk: Talk) -> None:
    talk.send("tools/call", "c", name="hold", _meta=META)
    eventually_sync(lambda: "tools/call" in server.methods())
    talk.send("notifications/cancelled", requestId="c", _meta=META)
    eventually_sync(lambda: server.ended)
    assert "notifications/cancelled" not in server.methods()
    assert talk.ask("ping", _meta=META)["result"], "and the cancelled one is not answered"


def test_cancelling_in_a_session_is_told_to_the_server(server: Double, talk: Talk) -> None:
    talk.open()
    talk.send("tools/call", "c", name="hold")
    eventually_sync(lambda: "tools/call" in server.methods())
    talk.send("notifications/cancelled", requestId="c")
    eventually_sync(lambda: "notifications/cancelled" in server.methods())
    assert talk.ask("ping")["result"]


def test_a_subscription_goes_on_over_restarts_and_tells_what_may_have_been_missed(
    server: Double, talk: Talk
) -> None:
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["att://projects"]}
    talk.send("subscriptions/listen", "s", notifications=wanted, _meta=META)
    meta = {"io.modelcontextprotocol/subscriptionId": "s"}
    assert talk.next()["method"] == "notifications/subscriptions/acknowledged"
    for how in (server.release, server.restart):  # an orderly end, and none
        how()
        assert talk.next() == {
            "jsonrpc": "2.0",
            "method": "notifications/tools/list_changed",
            "params": {"_meta": meta},
        }
        assert talk.next() == {
            "jsonrpc": "2.0",
            "method": "notifications/resources/updated",
            "params": {"uri": "att://projects", "_meta": meta},
        }
    talk.send("notifications/cancelled", requestId="s", _meta=META)
    eventually_sync(lambda: server.ended)
    assert talk.ask("ping", _meta=META)["result"]


def test_a_changed_token_is_read_again(server: Double, tmp_path: Path) -> None:
    known = {"token": server.token}
    talk = Talk(lambda: Where("127.0.0.1", server.port, tls=False, token=known["token"]))
    assert talk.ask("ping", _meta=META)["result"]
    server.token = known["token"] = "att_another-token"
    assert talk.ask("ping", _meta=META)["result"]
    server.token = "att_unknown-to-the-client"
    error = talk.ask("ping", _meta=META)["error"]
    assert error["data"] == {"code": "unauthorized", "status": 401, "hint": "Give one."}
    assert talk.close() == OK


def test_without_a_daemon_each_request_is_answered_with_what_to_do() -> None:
    port = free_port()
    talk = Talk(lambda: Where("127.0.0.1", port, tls=False, token=None), first=0.0)
    error = talk.ask("initialize", protocolVersion="2025-11-25")["error"]
    assert error["data"]["code"] == "unreachable" and "att up" in error["data"]["hint"]
    assert talk.close() == UNREACHABLE
    assert any("cannot be reached" in text for text in talk.said)


def test_at_the_end_of_stdin_what_is_under_way_is_still_answered(server: Double) -> None:
    talk = Talk(lambda: server.where)
    talk.send("tools/call", "last", name="hold", _meta=META)
    eventually_sync(lambda: "tools/call" in server.methods())
    threading.Timer(0.05, server.held.set).start()
    assert talk.close() == OK
    assert talk.next()["result"] == {"held": True}


def test_as_a_command_it_answers_what_is_piped_in_and_loads_nothing_heavy(server: Double) -> None:
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    code = (
        "import sys\nfrom att.cli.main import main\n"
        "code = main(['mcp', '--rooms', 'project,code'])\n"
        "heavy = {'mcp', 'aiohttp', 'asyncio', 'sqlalchemy', 'rich'} & sys.modules.keys()\n"
        "sys.exit(f'loaded: {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="".join(json.dumps(line) + "\n" for line in lines),
        env={**unmeasured(), "ATT_URL": f"http://127.0.0.1:{server.port}", "ATT_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2]
    assert server.paths == {"/mcp?rooms=project,code"}


def test_sigterm_ends_the_command_at_once(server: Double) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "att", "mcp"],
        env={**unmeasured(), "ATT_URL": f"http://127.0.0.1:{server.port}", "ATT_TOKEN": TOKEN},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 1
    process.terminate()
    assert process.wait(10) == 0
    eventually_sync(lambda: server.heard[-1][0] == "DELETE")
    process.stdin.close()
    process.stdout.close()
