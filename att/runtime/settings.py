"""What att.toml says, as a value. Pure: text in, settings out.

An unknown key or a bad value is refused by name instead of being passed over: a typing error in `stop_grace` must not turn up
as a killed app weeks later. Tables of other rooms (`[test]`, `[deploy]` …) are left to them. Durations are seconds; sizes may
be written as `"512MiB"`; a secret is written as a reference (`"${env:NAME}"`, `"${file:path}"`) and stays one here.
"""

from __future__ import annotations

import re
import signal
import tomllib
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from att.runtime.errors import InvalidSettings
from supervisor.spec import ProbeKind, Restart, Use

ROOMS = frozenset(
    {"project", "code", "git", "ci", "test", "debug", "deploy", "workflow", "release", "event", "mcp"}
)

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?b?|b)?\s*", re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def size(value: object) -> int:
    """Bytes of `"2GiB"`, `"500 MB"` or a whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError('a size is a number of bytes or a text like "2GiB"')
    if isinstance(value, int):
        return value
    found = _SIZE.fullmatch(value)
    if not found:
        raise ValueError(f'"{value}" is no size; write for example "512MiB" or "2GB"')
    unit = (found[2] or "").lower()
    base = 1024 if "i" in unit else 1000
    return int(float(found[1]) * base ** _UNITS[unit.rstrip("b").rstrip("i")])


def signal_number(value: object) -> int:
    """15 of `"SIGTERM"`, `"TERM"` or 15."""
    if isinstance(value, str):
        name = value.upper() if value.upper().startswith("SIG") else f"SIG{value.upper()}"
        if name in signal.Signals.__members__:
            return int(signal.Signals[name])
    elif isinstance(value, int) and not isinstance(value, bool) and value in set(signal.Signals):
        return value
    raise ValueError(f"{value!r} is no signal of this system")


Size = Annotated[int, BeforeValidator(size), Field(gt=0)]
Signal = Annotated[int, BeforeValidator(signal_number)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]


def pattern(text: str) -> str:
    """A regular expression, refused when it is none."""
    try:
        re.compile(text)
    except re.error as fault:
        raise ValueError(f"this is no regular expression: {fault}") from None
    return text


Pattern = Annotated[str, AfterValidator(pattern)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProbeSettings(_Table):
    """One `[[runtime.probe]]`."""

    kind: ProbeKind
    name: str = ""
    use: frozenset[Use] = frozenset(Use)
    period: Seconds = 10.0
    timeout: Seconds = 3.0
    initial_delay: float = Field(default=0.0, ge=0)
    success_threshold: int = Field(default=1, ge=1)
    failure_threshold: int = Field(default=3, ge=1)
    url: str = ""
    path: str = ""
    expect_status: tuple[int, int] = (200, 399)
    expect_text: Pattern = ""
    host: str = ""
    port: Port = 0
    command: tuple[str, ...] = ()
    pattern: Pattern = ""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> ProbeSettings:
        if self.kind is ProbeKind.COMMAND and not self.command:
            raise ValueError("a probe of kind `command` needs `command`")
        if self.kind is ProbeKind.LOG and not self.pattern:
            raise ValueError("a probe of kind `log` needs `pattern`")
        return self


class EnvironmentSettings(_Table):
    """`[runtime.environment]`: how the project's own Python environment is made."""

    python: str = ""  # version or path; empty: the interpreter that runs the daemon
    nat: str = ""  # "1.4", "1.9": which known-good set; empty: by the project's own dependency
    extras: tuple[str, ...] = ()  # extras of the project to install
    requirements: tuple[str, ...] = ()  # more packages
    constraints: bool = True  # hold back to versions that are known to work


class RuntimeSettings(_Table):
    """`[runtime]`, with the defaults of a plain NAT app."""

    command: tuple[str, ...] = ()  # empty: `nat serve` with all it needs
    config: str = ""
    host: str = ""
    port: Port | None = None
    serve: Literal["nat", "socket"] = "nat"
    app: Annotated[str, Field(pattern=r"^([\w.]+:[\w.]+)?$")] = (
        ""  # with `socket`: any ASGI app in place of NAT's
    )
    log_level: Literal["", "debug", "info", "warning", "error", "critical"] = ""
    env: dict[str, str] = Field(default_factory=dict)
    restart: Restart = Restart.PERMANENT
    restart_delays: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    restart_intensity: int | None = Field(default=None, ge=1)
    restart_period: Seconds | None = None
    restart_reset: Seconds | None = None
    stop_signal: Signal = 15
    stop_grace: float = Field(default=10.0, ge=0, le=3600)
    start_timeout: Seconds = 120.0
    memory_limit: Size | None = None
    watch: tuple[str, ...] = ()
    watch_debounce: Seconds = 0.5
    probe: tuple[ProbeSettings, ...] = ()
    environment: EnvironmentSettings = EnvironmentSettings()

    @model_validator(mode="after")
    def _serves_one_thing(self) -> RuntimeSettings:
        if self.app and (self.serve != "socket" or self.command):
            raise ValueError('`app` needs `serve = "socket"`, and no `command` beside it')
        return self


def parse(text: str, where: str = "att.toml") -> RuntimeSettings:
    """The settings that `text` holds; `InvalidSettings` names the file and the key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise InvalidSettings(f"{where} is not valid TOML: {fault}", file=where, fields=[]) from fault
    for table in document:
        if table != "runtime" and table not in ROOMS:
            raise InvalidSettings(
                f"{where} has an unknown table [{table}]",
                file=where,
                fields=[{"field": table, "message": "unknown"}],
            )
    try:
        return RuntimeSettings.model_validate(document.get("runtime", {}))
    except ValidationError as fault:
        fields = [_field(error) for error in fault.errors()]
        said = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
        raise InvalidSettings(f"{where}: {said}", file=where, fields=fields) from None


def _field(error: Any) -> dict[str, str]:
    place = "runtime"
    for step in error["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    message = (
        "unknown key" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    )
    return {"field": place, "message": message}
