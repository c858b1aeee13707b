"""Speaking to the daemon from a terminal: small, blocking, quick to load.

The token is read from the file of the home by itself; but that file's token is sent to this machine only, or to the
address that the settings name, so that a mistyped `--url` gives it to nobody.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from att import config
from att.access import read_token
from att.problems import Problem, Unavailable

API = "/api/v1"
_CONNECT = 5.0  # seconds


class Unreachable(Unavailable):
    """Nobody answers at the daemon's address."""

    code, title = "unreachable", "ATT cannot be reached"
    hint = "Start it with `att up`, or name its address with --url or ATT_URL."


class BadUrl(Problem):
    code, status, title = "bad_url", 400, "This is no address of a daemon"
    hint = "Give it as http://HOST:PORT."


class Refused(Problem):
    """The daemon answered with a problem, which is repeated as it came."""

    def __init__(self, status: int, body: bytes) -> None:
        try:
            told = json.loads(body)
            self.told: dict[str, Any] = told if isinstance(told, dict) else {}
        except ValueError:
            self.told = {}
        super().__init__(
            str(self.told.get("detail", f"The answer was {status}.")), hint=self.told.get("hint")
        )
        self.answer_status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Where:
    """Whom to ask, and as whom."""

    host: str
    port: int
    tls: bool
    token: str | None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{config.Address(self.host, self.port)}"


def find(
    url: str | None, token: str | None, home: str | None, environ: Mapping[str, str] = os.environ
) -> Where:
    """The daemon of these flags, these variables and the home's settings; without those, where the home's daemon last was."""
    settings = config.where_it_runs(config.load({"home": home}, environ))
    chosen = url or environ.get("ATT_URL") or settings.url
    try:
        parts = urlsplit(chosen)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise BadUrl(f"{chosen!r} is no address.") from None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query:
        raise BadUrl(f"{chosen!r} is no address.")
    known = token or environ.get("ATT_TOKEN")
    if (
        not known
        and (config.is_loopback(host) or (host, port) == tuple(settings.listen))
        and settings.token_file.exists()
    ):
        known = read_token(settings.token_file)
    return Where(host, port, parts.scheme == "https", known)


def path_for(template: str, values: Mapping[str, Any]) -> str:
    """The address of an operation with its path fields filled in; `template` has no patterns (`Operation.template`)."""
    return API + template.format_map({name: quote(str(value), safe="") for name, value in values.items()})


def query_for(values: Mapping[str, Any]) -> str:
    """The query, lists as repeated keys; empty when there is nothing to say."""
    pairs = [(k, each) for k, v in values.items() for each in (v if isinstance(v, list | tuple) else [v])]
    return (
        "?" + urlencode([(k, str(v).lower() if isinstance(v, bool) else v) for k, v in pairs])
        if pairs
        else ""
    )


class Client:
    """One daemon. Each request has a connection of its own."""

    def __init__(self, where: Where) -> None:
        self.where = where

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of the answer. `Refused` for a problem, `Unreachable` when nobody answers."""
        connection, response = self._send(method, target, body, headers or {}, timeout)
        try:
            read = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.where.url} broke off its answer: {error}.") from None
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise Refused(response.status, read)
        return read

    def get(self, path: str, **query: Any) -> Any:
        """The JSON that a read of the API answers with."""
        return json.loads(self.ask("GET", API + path + query_for(query), timeout=30))

    def save(self, target: str, file: IO[bytes]) -> None:
        """Write the answer to a file as it comes; `Unreachable` when it ends before its end."""
        connection, response = self._send("GET", target, None, {}, None)
        try:
            if response.status >= http.client.BAD_REQUEST:
                raise Refused(response.status, response.read())
            while piece := response.read(1 << 18):
                file.write(piece)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.where.url} broke off its answer: {error}.") from None
        finally:
            connection.close()

    def lines(self, target: str, last_event_id: str | None = None) -> Iterator[bytes]:
        """The lines of an NDJSON stream as they come; ends when the connection does, after a whole line."""
        headers = {"Accept": "application/x-ndjson"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        connection, response = self._send("GET", target, None, headers, None)
        try:
            if response.status >= http.client.BAD_REQUEST:
                raise Refused(response.status, response.read())
            rest = b""
            with suppress(OSError, http.client.HTTPException):
                while piece := response.read1(1 << 18):
                    *whole, rest = (rest + piece).split(b"\n")
                    yield from whole
        finally:
            response.close()
            connection.close()

    def _send(
        self, method: str, target: str, body: Any, headers: Mapping[str, str], timeout: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self.where.tls else http.client.HTTPConnection
        connection = kind(self.where.host, self.where.port, timeout=_CONNECT)
        given = dict(headers)
        if self.where.token:
            given["Authorization"] = f"Bearer {self.where.token}"
        data = None
        if body is not None:
            data, given["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            connection.connect()
            connection.sock.settimeout(timeout)
            connection.request(method, target, data, given)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(f"{self.where.url} cannot be reached: {reason}.") from None
        except BaseException:
            connection.close()
            raise
