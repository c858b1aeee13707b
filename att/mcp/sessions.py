"""The sessions of older clients, when there are as many as may be: one that nobody uses makes room for a new one.

Clients forget to end theirs, and the SDK keeps each for half an hour; so one that restarts often, or means harm, would lock
everybody else out. Whoever holds the most sessions loses one, the one that was left alone the longest. Its client is answered 404,
which the protocol means for this, and opens a new one. Loads the SDK, so it is imported when the first client comes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

_SESSION = b"mcp-session-id"


class Sessions(StreamableHTTPSessionManager):
    """The SDK's own, which is never full while a session is idle."""

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
