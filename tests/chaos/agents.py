"""Two MCP clients that gather the app's log by cursor and listen to it, whatever becomes of daemon and connections.

One is of 2025-11-25: a session with a subscription and the open stream that it hears on; 404 means a new session. The other is of
2026-07-28: each request stands alone, and it listens on the answer to `subscriptions/listen`. Both come back as the specification
says, with the id of the last event where the server gave one. By plain HTTP, so that what a library would hide is seen.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.chaos.ledger import Ledger

AGAIN = 0.02
PAUSE = 0.25  # after a page that was not full
FULL = 1000
PATIENCE = 60.0
LATER = (404, 409, 503)  # no session, the stream before is not known to have ended, not now
Json = dict[str, Any]


class Later(Exception):
    """An answer after which one asks again."""


class Cut(http.client.HTTPException):
    """A stream that ended before its answer."""


class Agent(threading.Thread, ABC):
    """`refused` and `odd` must stay empty; `cut` counts requests that were taken and not answered, `words` those of progress."""

    def __init__(self, port: int, project: str, token: Callable[[], str]) -> None:
        super().__init__(daemon=True, name=type(self).__name__)
        self.ledger = Ledger()
        self.cursor = "oldest"
        self.refused = self.cut = self.notices = self.streams = self.pages = self.words = 0
        self.answers: Counter[int] = Counter()
        self.odd: list[str] = []
        self.project, self.log = project, f"att://project/{project}/logs"
        self._port, self._token = port, token
        self._over, self._news = threading.Event(), threading.Event()
        self._open: set[http.client.HTTPConnection] = set()
        self._hearing = threading.Thread(target=self._repeat, args=(self._hear,), daemon=True)
        self._ids = 0
        self._last_event = ""

    # -- the two threads

    def run(self) -> None:
        self._hearing.start()
        self._repeat(self._read)

    def end(self) -> None:
        self._over.set()
        self._news.set()
        for connection in tuple(self._open):
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(2)
        for thread in (self, self._hearing):
            if thread.is_alive():
                thread.join(PATIENCE)

    def _repeat(self, do: Callable[[], None]) -> None:
        while not self._over.is_set():
            try:
                do()
            except ConnectionRefusedError:
                self.refused += 1
            except Later:
                pass
            except (OSError, http.client.HTTPException, AttributeError):
                # AttributeError: http.client, when the connection is closed under it by `end`
                self.cut += not self._over.is_set()
            except Exception as error:
                self.odd.append(f"{self.name} ended: {type(error).__name__}: {error}")
                raise
            self._over.wait(AGAIN)

    def _read(self) -> None:
        page = self.page()
        self.pages += 1
        if page["lost"] is not None:
            self.ledger.gap(page["lost"])
        for line in page["lines"]:
            self.ledger.take(line["run"], line["stream"], line["text"])
        self.cursor = page["next_cursor"]
        if len(page["lines"]) < FULL:
            self._news.wait(PAUSE)
            self._news.clear()

    @abstractmethod
    def call(self, tool: str, arguments: Json) -> Any:
        """What the tool answers. Later when it is to be asked again."""

    @abstractmethod
    def page(self) -> Any:
        """The lines after the cursor."""

    @abstractmethod
    def _hear(self) -> None:
        """One stream to its end."""

    def faults(self) -> list[str]:
        found = self.ledger.faults() + self.odd[:5]
        return found + ([f"{self.refused} connections were refused"] if self.refused else [])

    # -- the wire

    @contextlib.contextmanager
    def _asked(
        self, method: str, body: Json | None, head: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to one request, with a connection of its own. Later for one that means that."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        given = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        given |= {"Authorization": f"Bearer {self._token()}", **head}
        self._open.add(connection)
        try:
            connection.request(method, "/mcp", None if body is None else json.dumps(body), given)
            answer = connection.getresponse()
            self.answers[answer.status] += 1
            if answer.status in LATER:
                self.not_now(answer.status, head)
                raise Later
            if answer.status >= 300:
                self.odd.append(
                    f"{method} {(body or {}).get('method')}: {answer.status} {answer.read()[:300]!r}"
                )
                raise Later
            yield answer
        finally:
            self._open.discard(connection)
            connection.close()

    def not_now(self, status: int, head: dict[str, str]) -> None:
        """A request with this head was answered so."""

    def message(self, method: str, params: Json) -> Json:
        self._ids += 1
        return {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}

    def ask(self, method: str, params: Json, head: dict[str, str]) -> Any:
        """The result of a request, and the head of its answer."""
        with self._asked("POST", self.message(method, params), head) as answer:
            told = [json.loads(answer.read())] if _is_json(answer) else list(self._events(answer))
            self.words += sum("method" in each for each in told)
            if not told or not {"result", "error"} & told[-1].keys():
                raise Cut(method)
            if "error" in told[-1] or told[-1]["result"].get("isError"):
                self._problem(method, told[-1])
            return told[-1]["result"], answer.headers

    def _problem(self, method: str, told: Json) -> None:
        problem = (told.get("error") or {}).get("data") or (told.get("result") or {}).get("structuredContent")
        if not isinstance(problem, dict) or problem.get("status") != 503:
            self.odd.append(f"{method}: {str(told)[:300]}")
        raise Later

    def _events(self, answer: http.client.HTTPResponse) -> Iterator[Json]:
        while line := answer.readline():
            if line.startswith(b"id:"):
                self._last_event = line[3:].strip().decode()
            if line.startswith(b"data:") and line[5:].strip():
                yield json.loads(line[5:])

    def _listen(self, answer: http.client.HTTPResponse) -> None:
        self.streams += 1
        for told in self._events(answer):
            if told.get("method") == "notifications/resources/updated" and told["params"]["uri"] == self.log:
                self.notices += 1
                self._news.set()


class SessionAgent(Agent):
    """2025-11-25. `sessions`: how many it has opened."""

    version = "2025-11-25"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.sessions = 0
        self._session = ""
        self._opening = threading.Lock()

    def page(self) -> Any:
        asked = {"project_id": self.project, "cursor": self.cursor, "limit": FULL, "wait": 1}
        return self.call("att_runtime_logs", asked)

    def call(self, tool: str, arguments: Json) -> Any:
        progress = {"_meta": {"progressToken": self.pages}}  # so a word comes while it lasts
        result, _ = self.ask("tools/call", {"name": tool, "arguments": arguments, **progress}, self._head())
        return result["structuredContent"]

    def _hear(self) -> None:
        head = self._head()
        if self._last_event:
            head["Last-Event-ID"] = self._last_event
        with self._asked("GET", None, head) as answer:
            self._listen(answer)

    def not_now(self, status: int, head: dict[str, str]) -> None:
        if status == 404 and head.get("Mcp-Session-Id") == self._session:
            self._session, self._last_event = "", ""

    def _head(self) -> dict[str, str]:
        """The head of a request in the session, which is opened anew when there is none."""
        with self._opening:
            if not self._session:
                self._session = self._opened()
            return self._in(self._session)

    def _in(self, session: str) -> dict[str, str]:
        return {"Mcp-Session-Id": session, "MCP-Protocol-Version": self.version}

    def _opened(self) -> str:
        who = {"name": "chaos", "version": "1"}
        params = {"protocolVersion": self.version, "capabilities": {}, "clientInfo": who}
        _, answered = self.ask("initialize", params, {})
        head = self._in(answered["Mcp-Session-Id"])
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        with self._asked("POST", note, head) as answer:
            answer.read()
        self.ask("resources/subscribe", {"uri": self.log}, head)
        self.sessions += 1
        return head["Mcp-Session-Id"]

    def end(self) -> None:
        super().end()
        if self._session:
            with contextlib.suppress(Later), self._asked("DELETE", None, self._in(self._session)) as answer:
                answer.read()


class LoneAgent(Agent):
    """2026-07-28."""

    version = "2026-07-28"

    def call(self, tool: str, arguments: Json) -> Any:
        params = self._with({"name": tool, "arguments": arguments})
        return self.ask("tools/call", params, self._head("tools/call", tool))[0]["structuredContent"]

    def page(self) -> Any:
        uri = f"{self.log}?cursor={self.cursor}&limit={FULL}"
        result, _ = self.ask("resources/read", self._with({"uri": uri}), self._head("resources/read", uri))
        return json.loads(result["contents"][0]["text"])

    def _hear(self) -> None:
        params = self._with({"notifications": {"resourceSubscriptions": [self.log]}})
        message = self.message("subscriptions/listen", params)
        with self._asked("POST", message, self._head("subscriptions/listen")) as answer:
            self._listen(answer)

    def _head(self, method: str, name: str = "") -> dict[str, str]:
        head = {"MCP-Protocol-Version": self.version, "Mcp-Method": method}
        return head | ({"Mcp-Name": name} if name else {})

    def _with(self, params: Json) -> Json:
        meta = {
            "io.modelcontextprotocol/protocolVersion": self.version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        return {**params, "_meta": meta}


def _is_json(answer: http.client.HTTPResponse) -> bool:
    return (answer.getheader("Content-Type") or "").startswith("application/json")
