"""GitHub's REST API by gidgethub on aiohttp: what is asked, tried again within bounds, answered or refused with a typed problem.

What to do after a failure is decided by `att.git.forge.policy`; here it is only waited. Answers to GET are kept with their ETag,
so asking again for what has not changed is answered by 304 and costs no quota. The token travels to the base URL only: a
redirect to another host is never followed with it. A request that may have been carried out though its answer was lost is tried
again only where that does no harm; `Answer.attempts` tells the caller that it was.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from gidgethub import BadRequest, HTTPException, RedirectionException, ValidationError, abc, sansio

from att.event.redact import hide
from att.git.forge import policy as rules
from att.git.forge.errors import ForgeUnreachable, LogGone, RateLimited
from att.git.forge.policy import Limited, Policy, Wait
from att.git.forge.translate import epoch, refusal
from att.problems import Problem

VERSION = {"X-GitHub-Api-Version": "2022-11-28"}
LARGEST = 32 << 20
_KEPT = 256
_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10, sock_read=30)
_MOVED = frozenset({301, 307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    data: Any
    attempts: int = 1


class Refused(Exception):
    """What GitHub refused, before it is said what that means."""

    def __init__(self, status: int, message: str, errors: Any, attempts: int) -> None:
        super().__init__(message)
        self.status, self.message, self.errors, self.attempts = status, message, errors, attempts

    def problem(self, what: str) -> Problem:
        return refusal(self.status, self.message, self.errors, what)


class Moved(Refused):
    """GitHub sends one elsewhere, where only `location` looks."""

    def __init__(self, status: int, location: str, attempts: int) -> None:
        super().__init__(status, "it is at another place now", None, attempts)
        self.location = location


class _Kept(OrderedDict[str, Any]):
    """The newest answers with their ETags."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > _KEPT:
            self.popitem(last=False)


class _Api(abc.GitHubAPI):
    """gidgethub's two verbs."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, token: str | None) -> None:
        super().__init__("agent-toolkit-toolkit", oauth_token=token, cache=_Kept(), base_url=base_url)
        self._session = session

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        for _ in range(4):
            async with self._session.request(
                method, url, headers=headers, data=body or None, allow_redirects=False
            ) as response:
                target = urljoin(url, response.headers.get("Location", ""))
                if method == "GET" and response.status in _MOVED and _origin(target) == _origin(url):
                    url = target  # a repository that was renamed
                    continue
                limit = sansio.RateLimit.from_http(response.headers)
                self.rate_limit = limit or self.rate_limit
                return response.status, response.headers, await _bounded(response)
        raise aiohttp.TooManyRedirects(response.request_info, response.history)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > LARGEST:
            raise aiohttp.ClientPayloadError(f"the answer is larger than {LARGEST} bytes")
    return bytes(body)


class Client:
    """One base URL with one token."""

    def __init__(
        self,
        base_url: str,
        token: str | None,
        *,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.base_url = base_url
        self._token = token
        self._policy = policy or Policy()
        self._clock = clock
        self._sleep = sleep
        host = urlsplit(base_url).hostname or ""
        near = host in ("localhost", "::1") or host.startswith("127.")
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), trust_env=not near
        )
        self._api = _Api(self._session, base_url, token)
        self._quiet_until = 0.0

    async def aclose(self) -> None:
        await self._session.close()

    async def pause(self, seconds: float) -> None:
        """Wait, by the clock that was given."""
        await self._sleep(seconds)

    async def get(self, path: str, **values: Any) -> Any:
        return (await self.ask("GET", path, values)).data

    async def ask(
        self,
        method: str,
        path: str,
        values: Mapping[str, Any],
        data: Any = b"",
        *,
        repeat: bool | None = None,
    ) -> Answer:
        """One request, tried again as the policy says. `path` is a URI template of `values`.

        `repeat`: whether doing it twice does no harm; so it is but for POST, unless the caller knows better.
        """
        repeat = method != "POST" if repeat is None else repeat
        attempt, waited = 0, 0.0
        while True:
            attempt += 1
            self._hold_back()
            try:
                return Answer(await self._once(method, path, values, data), attempt)
            except RedirectionException as error:
                raise Moved(int(error.status_code), error.headers.get("location", ""), attempt) from None
            except HTTPException as error:
                status, message = int(error.status_code), str(error)
                answer: rules.Answer = rules.decide(
                    self._policy,
                    status,
                    error.headers,
                    message,
                    attempt=attempt,
                    waited=waited,
                    now=self._clock(),
                )
                if status >= 500 and not repeat:
                    answer = rules.GiveUp()
                failed: Exception = self._told(error, attempt)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                harmless = repeat or isinstance(error, aiohttp.ClientConnectorError)
                answer = (
                    rules.again(self._policy, attempt=attempt, waited=waited) if harmless else rules.GiveUp()
                )
                failed = ForgeUnreachable(f"{self.base_url}: {self._words(error)}.")
            if isinstance(answer, Limited):
                self._quiet_until = answer.retry_at
                raise self._limited(answer.retry_at) from None
            if not isinstance(answer, Wait):
                raise failed
            waited += answer.seconds
            await self._sleep(answer.seconds)

    async def location(self, path: str, **values: Any) -> str:
        """Where GitHub sends one for a file; `LogGone` when it has none any more."""
        try:
            await self.ask("GET", path, values)
        except Moved as moved:
            return urljoin(self.base_url, moved.location)
        except Refused as refused:
            if refused.status in (404, 410):
                raise LogGone("GitHub does not have this log (any more).") from None
            raise
        raise ForgeUnreachable("GitHub answered with something else than the place of the log.")

    async def download(self, url: str, into: IO[bytes], most: int) -> None:
        """The file at `url`, on a request of its own without the token; `LogGone` when it is larger than `most`."""
        if urlsplit(url).scheme != "https" and urlsplit(self.base_url).scheme == "https":
            raise ForgeUnreachable("GitHub named a place for the log that is not encrypted.")
        size = 0
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise LogGone(f"The place that GitHub named for the log answered {response.status}.")
                async for piece in response.content.iter_chunked(1 << 16):
                    size += len(piece)
                    if size > most:
                        raise LogGone(f"The archive of the log is larger than {most} bytes.")
                    into.write(piece)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ForgeUnreachable(f"The log could not be fetched: {self._words(error)}.") from None

    async def _once(self, method: str, path: str, values: Mapping[str, Any], data: Any) -> Any:
        if method == "GET":
            return await self._api.getitem(path, values, extra_headers=VERSION)
        sends: dict[str, Callable[..., Awaitable[Any]]] = {
            "POST": self._api.post,
            "PUT": self._api.put,
            "PATCH": self._api.patch,
            "DELETE": self._api.delete,
        }
        return await sends[method](path, values, data=data, extra_headers=VERSION)

    def _hold_back(self) -> None:
        """Ask nothing while it is known that GitHub takes nothing."""
        known = self._api.rate_limit
        until = None
        if known is not None:
            until = rules.blocked_until(known.remaining, known.reset_datetime.timestamp(), self._clock())
        if until is None and self._quiet_until > self._clock():
            until = self._quiet_until
        if until is not None and until - self._clock() > self._policy.patience:
            raise self._limited(until)

    def _limited(self, until: float) -> RateLimited:
        at = epoch(until)
        return RateLimited(f"GitHub takes no more requests before {at}.", retry_at=at)

    def _told(self, error: HTTPException, attempts: int) -> Exception:
        status = int(error.status_code)
        if status >= 500:
            return ForgeUnreachable(f"{self.base_url} answered {status}, {attempts} times.")
        errors = getattr(error, "errors", None) if isinstance(error, BadRequest | ValidationError) else None
        return Refused(status, self._clean(str(error)), errors, attempts)

    def _words(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return "no answer in time"
        return self._clean(str(error) or type(error).__name__)[:300]

    def _clean(self, text: str) -> str:
        return hide(text.replace(self._token, "***") if self._token else text)
