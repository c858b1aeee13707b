"""The sessions of older clients: who makes room when there are as many as may be, and whether one can hear.

Clients forget to end theirs, and the SDK keeps each for half an hour; so one that restarts often, or means harm, would lock
everybody else out. Whoever holds the most sessions loses one, the one that was left alone the longest. Its client is answered 404,
which the protocol means for this, and opens a new one.

What the server says by itself goes out on one stream of the session, and the SDK drops it while that is not open: before the client
opens it, and between two of them. So it is told when the stream opens and ends, and what is to be said waits for it.
Loads the SDK, so it is imported when the first client comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from mcp.server.streamable_http import GET_STREAM_KEY, StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

_SESSION = b"mcp-session-id"


class Sessions(StreamableHTTPSessionManager):
    """The SDK's own, which is never full while a session is idle. `hears` is told when a session can hear, or no longer."""

    def __init__(self, *given: Any, hears: Callable[[str, bool], None], **named: Any) -> None:
        super().__init__(*given, **named)
        self._hears = hears

    @property
    def open(self) -> int:
        """How many sessions there are."""
        return len(self._server_instances)

    def _admit_session(self, requestor: Any) -> StreamableHTTPServerTransport | None:
        transport = super()._admit_session(requestor)
        if transport is not None and transport.mcp_session_id is not None:
            transport._request_streams = Streams(transport.mcp_session_id, self._hears)
        return transport

    async def _handle_stateful_request(self, scope: Any, receive: Any, send: Any) -> None:
        opening = all(name.lower() != _SESSION for name, _ in scope["headers"])
        if opening and self.max_sessions is not None and len(self._server_instances) >= self.max_sessions:
            await self._make_room()
        await super()._handle_stateful_request(scope, receive, send)

    async def _make_room(self) -> None:
        owners = {session: repr(self._session_owners.get(session)) for session in self._server_instances}
        held = Counter(owners.values())
        idle = [
            (-held[owners[session]], transport.idle_scope.deadline, session)
            for session, transport in self._server_instances.items()
            if not transport._requests_in_flight and transport.idle_scope is not None
        ]
        if idle:
            session = min(idle)[2]
            await self._discard_session(session, self._server_instances[session])


class Streams(dict[Any, Any]):
    """The open streams of one session, which tells of the one that the server speaks on by itself."""

    def __init__(self, session: str, hears: Callable[[str, bool], None]) -> None:
        super().__init__()
        self._session = session
        self._hears = hears

    def __setitem__(self, key: Any, stream: Any) -> None:
        super().__setitem__(key, stream)
        if key == GET_STREAM_KEY:
            self._hears(self._session, True)

    def pop(self, key: Any, *default: Any) -> Any:
        found = super().pop(key, *default)
        if key == GET_STREAM_KEY:
            self._hears(self._session, False)
        return found

    def clear(self) -> None:
        super().clear()
        self._hears(self._session, False)
