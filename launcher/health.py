"""Is the daemon well? One question over its private unix socket, by hand: a whole HTTP client would cost
more memory than the launcher.

`Question` is one probe in flight, without waiting: it is told when its descriptor is ready and when its
time is over. `judge` reads an answer. `Tally` counts results in a row: a success resets the failures.
"""

from __future__ import annotations

import errno

from launcher.protocol import notation, sockets
from launcher.protocol.words import Any, NamedTuple

ANSWER_LIMIT = 1 << 16
REQUEST = b"GET /health HTTP/1.1\r\nHost: att\r\nAccept: application/json\r\nConnection: close\r\n\r\n"


class Answer(NamedTuple):
    """`why` is empty when it is well."""

    why: str

    @property
    def well(self) -> bool:
        return not self.why


def judge(data: bytes, release: str, boot_id: str) -> Answer:
    """What a whole HTTP answer says about the life `boot_id` of `release`."""
    head, found, body = data.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(None, 2)
    if not found or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return Answer("the answer is not HTTP")
    if words[1] != b"200":
        return Answer(f"health answers {words[1].decode()}{_reason(body)}")
    try:
        said = notation.loads(_whole(head, body))
    except (ValueError, RecursionError):
        return Answer("the answer is not JSON")
    if not isinstance(said, dict) or said.get("status") != "ok":
        return Answer(f"the status is {said.get('status') if isinstance(said, dict) else said!r}"[:200])
    if said.get("release") != release or said.get("boot_id") != boot_id:
        return Answer(f"somebody else answers: {said.get('release')!r}, {said.get('boot_id')!r}"[:200])
    return Answer("")


def _whole(head: bytes, body: bytes) -> bytes:
    """The body without the chunked framing, when it has one."""
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            break
        parts.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(parts)


def _reason(body: bytes) -> str:
    text = body[:200].decode(errors="replace").strip()
    return f": {text}" if text else ""


class Question:
    """One probe: non-blocking socket, request, answer until the other side closes."""

    def __init__(self, path: str, release: str, boot_id: str) -> None:
        self._release, self._boot_id = release, boot_id
        self._data = bytearray()
        self._unsent = REQUEST
        self.answer: Answer | None = None
        self.socket = sockets.Socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        self.socket.setblocking(False)
        error = self.socket.connect_ex(path)
        if error == errno.EAGAIN:  # the queue of the listening socket is full: it accepts nobody
            self.end(Answer("it accepts no connection"))
        elif error not in (0, errno.EINPROGRESS):
            self.end(Answer(f"no connection: {errno.errorcode.get(error, error)}"))

    @property
    def sending(self) -> bool:
        return bool(self._unsent)

    def ready(self) -> None:
        """The descriptor is ready: go on. `answer` is set when it is over."""
        try:
            if self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
                return
            part = self.socket.recv(ANSWER_LIMIT)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(Answer(f"no answer: {error.strerror}"))
            return
        self._data += part
        if not part or len(self._data) >= ANSWER_LIMIT or self._complete():
            self.end(judge(bytes(self._data), self._release, self._boot_id))

    def _complete(self) -> bool:
        """Whether the length that was announced is there: a server may keep the connection open."""
        head, found, body = bytes(self._data).partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n")[1:] if found else ():
            name, _, value = line.partition(b":")
            if name == b"content-length" and value.strip().isdigit():
                return len(body) >= int(value)
        return False

    def end(self, answer: Answer) -> None:
        if self.answer is None:
            self.answer = answer
            self.socket.close()


class Tally:
    """Results in a row. `add` says True (well now), False (not well now) or None (no change)."""

    def __init__(self, successes: int = 1, failures: int = 3) -> None:
        self._needed = {True: successes, False: failures}
        self._run = 0
        self._last: bool | None = None
        self.state: bool | None = None

    def counts(self) -> list[Any]:
        return [self._run, self._last, self.state]

    def resume(self, counts: list[Any]) -> None:
        self._run, self._last, self.state = counts

    def add(self, well: bool) -> bool | None:
        self._run = self._run + 1 if well is self._last else 1
        self._last = well
        if self._run < self._needed[well] or self.state is well:
            return None
        self.state = well
        return well
