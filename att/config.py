"""The settings: what there is to set, what holds when nothing is said, and which of several places wins.

A setting is taken from a flag, else from the variable `ATT_<NAME>`, else from `ATT_HOME/att.toml`, else its
default. Nothing is guessed: an unknown key in the file or a value that does not fit is refused by `BadSettings`,
which names the place, the key and the remedy, and the program leaves with `EXIT_CONFIG`. The file is only read.

Unknown `ATT_…` variables are not refused, since an older release must start under a newer launcher; `hints` tells
of those that look like a typing error.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from att import plain
from att.problems import Problem

EXIT_CONFIG = 78
DEFAULT_HOME = Path("~/.local/share/att")
FILE = "att.toml"
ADDRESS_FILE = "address"  # where the daemon of this home listens, told by itself

# Variables with our prefix that are no settings of the daemon: the client's, and the marks of managed processes.
OTHER_VARIABLES = frozenset({"ATT_HOME", "ATT_URL", "ATT_TOKEN", "ATT_RUN", "ATT_KEEPER"})


class BadSettings(Problem):
    """Raised with `source` (a file, a variable or a flag) and `key`."""

    code, status, title = "bad_settings", 500, "A setting is wrong"
    hint = "Mend the setting that is named and start again."


class Address(NamedTuple):
    """Where to listen. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: object) -> Address:
    """`HOST:PORT`, `[IPV6]:PORT` or `:PORT` (loopback)."""
    if isinstance(text, Address):
        return text
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})", str(text))
    if not isinstance(text, str) or not found or int(found[3]) > 65535:
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:8484")
    if found[1]:
        ipaddress.IPv6Address(found[1])
    return Address(found[1] or found[2] or "127.0.0.1", int(found[3]))


_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(value: object) -> int:
    """A number of bytes: 1048576, `1048576`, `16MiB`, `2 GB` (units of 1024)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kmgt]?)(?:i?b)?", str(value).strip().lower())
    if not isinstance(value, str) or not found:
        raise ValueError("must be a size such as 16MiB or a number of bytes")
    return int(float(found[1]) * _UNITS[found[2]]) if "." in found[1] else int(found[1]) * _UNITS[found[2]]


def _listed(value: object) -> object:
    """A list as text, as variables give it: separated by commas or blanks."""
    return tuple(re.split(r"[,\s]+", value.strip())) if isinstance(value, str) else value


def _paths(value: object) -> object:
    """Paths as text, separated as PATH is, since their names may hold commas and blanks."""
    return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value


def _root(path: Path) -> Path:
    path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  resolve() would follow links, which is done at each use
    if path == Path(path.anchor):
        raise ValueError("the root of the file system cannot be a place for projects")
    return path


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or text != f"{parts.scheme}://{parts.netloc}"
    ):
        raise ValueError("must be an origin such as https://example.org, without a path")
    return text.lower()


def _host_name(text: str) -> str:
    if not re.fullmatch(r"\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?|[A-Za-z0-9._-]+(:[0-9]{1,5})?", text):
        raise ValueError("must be a host name such as att.example.org, with a port or without")
    return text.lower()


def _database(text: str) -> str:
    if text and urlsplit(text).scheme not in ("sqlite", "postgresql"):
        raise ValueError("must begin with postgresql:// or sqlite://, or be empty for the file in ATT_HOME")
    return text


def _api(text: str) -> str:
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host or parts.username or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://github.example.org/api/v3")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https://, since a token is sent there")
    return text.rstrip("/")


Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0, lt=1 << 62)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """What the daemon is told. Each field is a key of `att.toml`, a variable `ATT_<NAME>`, a flag of `att serve`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(default=DEFAULT_HOME, description="Folder that holds all state of ATT.")
    listen: Annotated[Address, BeforeValidator(parse_address)] = Field(
        default=Address("127.0.0.1", 8484), description="HOST:PORT to listen on."
    )
    allow_remote: bool = Field(
        default=False,
        description="Allow listening where other machines reach it. Who has the token can run programs as you.",
    )
    roots: Annotated[tuple[Annotated[Path, AfterValidator(_root)], ...], BeforeValidator(_paths)] = Field(
        default=(), description="Folders, besides ATT_HOME/projects, below which projects may live."
    )
    cors_origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_listed)] = (
        Field(default=(), description="Other web origins that may use the API from a browser.")
    )
    allowed_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(_host_name)], ...], BeforeValidator(_listed)
    ] = Field(
        default=(),
        description="Names, besides localhost and the address listened on, that requests may be sent to.",
    )
    log_ring: Size = Field(
        default=16 << 20, ge=1 << 16, le=1 << 34, description="Bytes of each app's log kept in memory."
    )
    log_segment: Size = Field(
        default=64 << 20, ge=1 << 16, le=1 << 34, description="Bytes of one file of a log on disk."
    )
    log_min_free: Size = Field(default=512 << 20, description="Bytes of disk that logs leave free.")
    log_min_free_percent: float = Field(
        default=5.0, ge=0, le=100, description="Share of the disk that logs leave free, in percent."
    )
    log_wait: Seconds = Field(
        default=2.0, ge=0, le=60, description="Seconds that an app may be held up until its log is taken."
    )
    database: Annotated[str, AfterValidator(_database)] = Field(
        default="",
        repr=False,
        description="postgresql:// URL of the store; empty: a SQLite file in ATT_HOME.",
    )
    body_limit: Size = Field(
        default=16 << 20,
        ge=1 << 10,
        le=1 << 31,
        description="Bytes that the body of a request may have; over MCP 4 MiB at most.",
    )
    allow_local_downloads: bool = Field(
        default=False, description="Allow archives to be fetched from loopback and link-local addresses."
    )
    heartbeat: Seconds = Field(
        default=15.0, gt=0, le=3600, description="Seconds between signs of life on a quiet stream."
    )
    finish: Seconds = Field(
        default=10.0,
        ge=0,
        le=300,
        description="Seconds that requests are given to finish when the daemon stops.",
    )
    mcp_tool_names: Literal["underscore", "dotted"] = Field(
        default="underscore", description="How MCP tools are called: att_runtime_start or att.runtime.start."
    )
    mcp_json: bool = Field(
        default=False,
        description="Answer MCP clients of before 2026-07-28 in plain JSON: faster, but without progress.",
    )
    forge: Literal["auto", "github", "local"] = Field(
        default="auto", description="Who keeps pull requests; auto: GitHub where `origin` lies there."
    )
    github_url: Annotated[str, AfterValidator(_api)] = Field(
        default="https://api.github.com", description="Base URL of GitHub's REST API."
    )
    github_token: str = Field(
        default="", repr=False, max_length=4096, description="Token for GitHub, or a reference to it."
    )
    checks: int = Field(default=1, ge=1, le=64, description="Checks of pull requests that run at once.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much the daemon says of itself."
    )
    release: str = Field(
        default="", max_length=128, description="Id of the release that runs; set by the launcher."
    )

    @model_validator(mode="after")
    def _remote_must_be_meant(self) -> Settings:
        if not self.listen.loopback and not self.allow_remote:
            raise ValueError(
                f"listen: {self.listen} is open to other machines; set allow_remote to true if that is meant"
            )
        return self

    @property
    def projects(self) -> Path:
        """Where projects live that were given no path."""
        return self.home / "projects"

    @property
    def allowed_roots(self) -> tuple[Path, ...]:
        return (self.projects, *self.roots)

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def token_file(self) -> Path:
        return self.home / "token"

    @property
    def database_url(self) -> str:
        """The store's URL; for SQLite the file in the home."""
        return self.database or f"sqlite:///{self.home / 'att.db'}"

    @property
    def url(self) -> str:
        """Where a client on this machine finds the daemon."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen.host, self.listen.host)  # noqa: S104
        return f"http://{Address(host, self.listen.port)}"


def find_home(flag: str | Path | None, environ: Mapping[str, str]) -> Path:
    """The folder of all state: the flag, else ATT_HOME, else the default; made absolute, links kept."""
    return Path(os.path.abspath(Path(flag or environ.get("ATT_HOME") or DEFAULT_HOME).expanduser()))  # noqa: PTH100


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this start. Flags that are None count as not given, and so do empty variables."""
    environ = os.environ if environ is None else environ
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    home = find_home(given.pop("home", None), environ)
    file = home / FILE
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, value in _read(file).items():
        if key not in Settings.model_fields or key == "home":
            raise _unknown(key, str(file))
        values[key], sources[key] = value, str(file)
    for key in Settings.model_fields:
        if key != "home" and (text := environ.get(f"ATT_{key.upper()}")):
            values[key], sources[key] = text, f"the variable ATT_{key.upper()}"
    for key, value in given.items():
        values[key], sources[key] = value, f"the flag --{key.replace('_', '-')}"
    try:
        return Settings(home=home, **values)
    except ValidationError as error:
        raise _bad(error, sources, file) from None


def where_it_runs(settings: Settings) -> Settings:
    """The same, with the address that the daemon of this home told last: for those who want to reach it. What the user
    says about the address goes before."""
    if "listen" in settings.model_fields_set:
        return settings
    try:
        told = parse_address((settings.home / ADDRESS_FILE).read_text(encoding="utf-8").strip())
    except (OSError, ValueError):  # never told, or by a broken disk
        return settings
    return settings.model_copy(update={"listen": told})


def hints(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each `ATT_…` variable that is no setting but looks like one."""
    known = {f"ATT_{key.upper()}" for key in Settings.model_fields} | OTHER_VARIABLES
    near = {
        name: difflib.get_close_matches(name, known, 1, 0.85)
        for name in sorted(environ)
        if name.startswith("ATT_") and name not in known
    }
    return [
        f"The variable {name} is not known and does nothing; {like[0]} is."
        for name, like in near.items()
        if like
    ]


def warnings(settings: Settings) -> list[str]:
    """What the user should be told at the start though it is allowed."""
    if settings.listen.loopback:
        return []
    return [
        f"ATT listens on {settings.listen}, which other machines can reach. "
        "Whoever has the token can run programs as this user, and it travels unencrypted: put TLS before it."
    ]


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(plain.text(file))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"{file} is not valid TOML: {error}.",
            hint="Mend the line that is named.",
            source=str(file),
            key=None,
        ) from None
    except OSError as error:
        raise BadSettings(
            f"{file} cannot be read: {error.strerror}.",
            hint="Check its owner and its rights.",
            source=str(file),
            key=None,
        ) from None


def _unknown(key: str, source: str) -> BadSettings:
    near = difflib.get_close_matches(key, [name for name in Settings.model_fields if name != "home"], 1)
    remedy = (
        f"Did you mean `{near[0]}`?"
        if near
        else f"Take it out. Known are: {', '.join(sorted(Settings.model_fields))}."
    )
    if key == "home":
        remedy = "The home is set by --home or ATT_HOME, since the file stands in it."
    return BadSettings(f"{source} has the unknown key `{key}`.", hint=remedy, source=source, key=key)


def _bad(error: ValidationError, sources: Mapping[str, str], file: Path) -> BadSettings:
    """The first fault, in words, without the value (it may be a secret)."""
    fault = error.errors(include_url=False, include_input=False)[0]
    text = str(fault["msg"]).removeprefix("Value error, ")
    key = str(fault["loc"][0]) if fault["loc"] else text.split(":")[0]
    if not fault["loc"]:
        text = text.split(": ", 1)[-1]
    source = sources.get(key, str(file))
    if fault["type"] == "extra_forbidden":
        return _unknown(key, source)
    return BadSettings(
        f"{source} gives `{key}` a value that does not fit: {text}.",
        hint=f"`{key}`: {Settings.model_fields[key].description}",
        source=source,
        key=key,
    )
