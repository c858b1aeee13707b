"""`att mcp`: MCP over stdin and stdout, for clients that want a command; each message is passed on to the daemon's `/mcp`.

It knows little of what it passes on. What it adds: the token, read where it stands; for a client of a session (before
2026-07-28) the stream of what the server says by itself; and that a restart or an update of the daemon is not noticed.
What was not sent is sent when the daemon is back; a session that the daemon does not know any more is opened anew, as the client
had opened it. What was under way is asked again when that does no harm, and else answered with an error that says so.

Threads and the standard library only: a client waits for this to start. stdout takes JSON-RPC and nothing else.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from att.mcp import rpc
from att.mcp.rpc import Kind
from att.mcp.session import Session, SessionGone
from att.mcp.wire import Broken, Hold, NotSent, Reply, Wire

OK, UNREACHABLE = 0, 4
_PAUSES = (0.05, 0.1, 0.2, 0.5)  # seconds between tries
_QUICK = 10.0  # seconds for what is answered at once
_AT_ONCE = 256  # requests under way
_LOSSES = 4  # how often one request is asked anew
_START = "Start ATT with `att up`, or name its address with --url or ATT_URL."

Say = Callable[[str], None]


class Dropped(Exception):
    """The client does not want the answer any more."""


class Refused(Exception):
    """The daemon answered with something that is no answer of MCP."""

    def __init__(self, message: str, data: dict[str, Any]) -> None:
        super().__init__(message)
        self.data = data


class Asked:
    """A request of the client that is under way."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.message = message
        self.id: str | int = message["id"]
        self.hold = Hold()
        self.acknowledged = False  # a subscription that the server has taken

    @property
    def lasting(self) -> bool:
        """Whether it ends only when the client wants it to."""
        return bool(self.message["method"] == "subscriptions/listen")


class Bridge:
    """One client. `patience`: seconds to wait for a daemon that was there; `first`: for one that never was."""

    def __init__(
        self,
        wire: Wire,
        lines: BinaryIO,
        out: int,
        say: Say,
        *,
        patience: float = 20.0,
        first: float = 2.0,
        drain: float = 10.0,
    ) -> None:
        self._wire = wire
        self._lines = lines
        self._out = out
        self._say = say
        self._patience, self._first, self._drain = patience, first, drain
        self._session = Session(wire, self._write, say)
        self._asked: dict[str | int, Asked] = {}
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._harmless: dict[str, bool] = {}
        self._reached = self._missed = self._deaf = False

    def run(self) -> int:
        """Until the client closes stdin. 4 when there never was a daemon."""
        try:
            while line := self._lines.readline(rpc.LINE_LIMIT + 1):
                self._take(line)
            self._finish()
        finally:
            self._session.close()
        return UNREACHABLE if self._missed and not self._reached else OK

    # ---- from the client

    def _take(self, line: bytes) -> None:
        if len(line) > rpc.LINE_LIMIT:
            while line and not line.endswith(b"\n"):
                line = self._lines.readline(rpc.LINE_LIMIT)
            self._fail(None, rpc.INVALID_REQUEST, f"A message may have {rpc.LINE_LIMIT} bytes at most")
            return
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._fail(None, rpc.PARSE_ERROR, "This line is no JSON")
            return
        match rpc.kind_of(message):
            case Kind.REQUEST:
                self._begin(Asked(message))
            case Kind.NOTIFICATION:
                self._notify(message)
            case Kind.RESPONSE:
                self._tell(message)
            case _:
                self._fail(None, rpc.INVALID_REQUEST, "Each line must be one message of JSON-RPC 2.0")

    def _begin(self, asked: Asked) -> None:
        with self._changed:
            refused = asked.id in self._asked or len(self._asked) >= _AT_ONCE
            if not refused:
                self._asked[asked.id] = asked
        if refused:
            self._fail(asked.id, rpc.INVALID_REQUEST, "This id is under way, or too many requests are")
        elif asked.message["method"] == "initialize":
            self._answer(asked)  # what comes after it needs its session
        else:
            threading.Thread(target=self._answer, args=(asked,), daemon=True).start()

    def _notify(self, message: dict[str, Any]) -> None:
        if message["method"] == "notifications/cancelled":
            wanted = rpc.params_of(message).get("requestId")
            with self._changed:
                asked = self._asked.get(wanted) if isinstance(wanted, str | int) else None
            if asked is None:
                return
            asked.hold.dropped.set()
            if rpc.own_version(asked.message) is None:
                self._tell(message)
            asked.hold.drop()  # which by itself cancels a request that stands alone
            return
        self._tell(message)
        if message["method"] == "notifications/initialized":
            self._session.listen()

    def _tell(self, message: dict[str, Any]) -> None:
        """A message without an answer. Only a session has such; one that does not get through is dropped."""
        if not self._session.open:
            return
        with suppress(NotSent, Broken), self._send(message, Hold(), _QUICK) as reply:
            if reply.status >= 400 and reply.status != 404:
                self._say(f"{message.get('method', 'an answer')} was refused: {reply.status}")

    # ---- to the daemon

    def _answer(self, asked: Asked) -> None:
        try:
            self._ask(asked)
        except Dropped:
            pass
        except NotSent as error:
            self._missed = True
            hint = _START if not self._reached else "Wait until ATT is back, and ask again."
            text = f"ATT cannot be reached at {self._wire.where.url}: {error}. {hint}"
            self._fail(asked.id, rpc.CONNECTION, text, {"code": "unreachable", "hint": hint})
            self._say(text)
        except Broken as error:
            hint = "Look at the present state before you ask again."
            text = f"The connection to ATT broke ({error}) while this was under way; it may have been done. {hint}"
            self._fail(asked.id, rpc.CONNECTION, text, {"code": "outcome_unknown", "hint": hint})
        except Refused as error:
            self._fail(asked.id, rpc.CONNECTION, str(error), error.data)
        finally:
            with self._changed:
                self._asked.pop(asked.id, None)
                self._changed.notify_all()

    def _ask(self, asked: Asked) -> None:
        """Ask until there is an answer, or until there will be none."""
        renew: int | None = None
        until: float | None = None  # as long as nobody is there
        tries = losses = breaks = 0
        while True:
            seen = self._session.generation
            try:
                if renew is not None:
                    self._session.renew(renew)
                    renew = None
                    continue
                self._once(asked)
                return
            except SessionGone:
                renew = seen
                losses += 1
                if losses > _LOSSES and not asked.lasting:
                    raise Refused("ATT does not keep the session", {"code": "session_lost"}) from None
                continue
            except NotSent:
                self._wire.look_again()
                until = until or time.monotonic() + (self._patience if self._reached else self._first)
                if time.monotonic() >= until and not asked.acknowledged:
                    raise
            except Broken:
                until = None
                breaks += 1
                if asked.hold.dropped.is_set():
                    raise Dropped from None
                if not rpc.repeatable(asked.message, lambda name: self._harmless.get(name, False)):
                    raise
                if breaks > _LOSSES and not asked.acknowledged:
                    raise
            except ValueError as error:
                raise Refused(f"What ATT answered cannot be read: {error}", {"code": "no_mcp"}) from None
            if asked.hold.dropped.wait(_PAUSES[min(tries, len(_PAUSES) - 1)]):
                raise Dropped
            tries += 1

    def _once(self, asked: Asked) -> None:
        session = self._session.id
        with self._send(asked.message, asked.hold) as reply:
            if reply.status in (502, 503, 504):
                raise NotSent(_said(reply)[0])
            self._reached = True
            if reply.status == 404 and session is not None and rpc.own_version(asked.message) is None:
                raise SessionGone
            if reply.status == 401 and self._wire.look_again():
                raise NotSent("the token has changed")
            if reply.kind == "text/event-stream" and reply.status < 400:
                self._stream(asked, reply)
            else:
                self._whole(asked, reply)

    def _whole(self, asked: Asked, reply: Reply) -> None:
        """An answer in one piece."""
        body = reply.read()
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        if rpc.kind_of(message) is Kind.RESPONSE:
            self._deliver(asked, message, reply)
            return
        text, data = _meaning(reply.status, message)
        raise Refused(f"ATT answered {reply.status}: {text}", data)

    def _stream(self, asked: Asked, reply: Reply) -> None:
        """An answer with messages before it."""
        for event in rpc.events(reply.readline):
            message = json.loads(event.data)
            if rpc.kind_of(message) is Kind.RESPONSE:
                if asked.acknowledged and "result" in message:
                    raise Broken("the daemon leaves")  # its next life goes on with the subscription
                self._deliver(asked, message, reply)
                return
            taken = message.get("method") == rpc.ACKNOWLEDGED
            for each in rpc.missed(message) if taken and asked.acknowledged else [message]:
                if not asked.hold.dropped.is_set():
                    self._write(each)
            asked.acknowledged = asked.acknowledged or (taken and asked.lasting)
        raise Broken("the stream ended early")

    def _deliver(self, asked: Asked, message: dict[str, Any], reply: Reply) -> None:
        if asked.hold.dropped.is_set():
            raise Dropped
        result = message.get("result")
        if isinstance(result, dict):
            if asked.message["method"] == "initialize":
                self._session.opened(rpc.params_of(asked.message), result, reply.session)
            elif asked.message["method"] == "tools/list":
                self._harmless.update(rpc.harmless_tools(result))
            else:
                self._session.remember(asked.message)
        self._write({**message, "id": asked.id})

    def _send(self, message: dict[str, Any], hold: Hold, timeout: float | None = None) -> Any:
        headers = rpc.headers_of(message)
        if not headers and message.get("method") != "initialize":
            headers = self._session.headers()
        return self._wire.ask("POST", _dumped(message), headers, hold, timeout)

    # ---- to the client

    def _fail(
        self, request_id: str | int | None, code: int, text: str, data: dict[str, Any] | None = None
    ) -> None:
        self._write(rpc.failure(request_id, code, text, data))

    def _write(self, message: dict[str, Any]) -> None:
        line = memoryview(_dumped(message) + b"\n")
        with self._writing:
            try:
                while line and not self._deaf:
                    line = line[os.write(self._out, line) :]
            except OSError:  # the client has closed its end: its stdin ends as well
                self._deaf = True

    def _finish(self) -> None:
        """The client has no more to ask: what is under way gets a while to be answered."""
        until = time.monotonic() + self._drain
        with self._changed:
            self._changed.wait_for(
                lambda: self._deaf or all(asked.lasting for asked in self._asked.values()),
                max(0.0, until - time.monotonic()),
            )


def _dumped(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _said(reply: Reply) -> tuple[str, dict[str, Any]]:
    """What an answer that is none of MCP says."""
    try:
        message = json.loads(reply.read())
    except ValueError:
        message = None
    return _meaning(reply.status, message)


def _meaning(status: int, told: object) -> tuple[str, dict[str, Any]]:
    """Problem details, or whatever it is, as a sentence and as data."""
    if isinstance(told, dict) and isinstance(told.get("detail"), str):
        hint = told.get("hint")
        text = f"{told['detail']} {hint}" if isinstance(hint, str) else told["detail"]
        return text, {"code": told.get("code"), "status": status, **({"hint": hint} if hint else {})}
    if isinstance(told, dict) and isinstance(told.get("error"), dict):
        return str(told["error"].get("message")), {"status": status}
    return "no answer of MCP", {"code": "no_mcp", "status": status}
