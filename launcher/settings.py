"""How the launcher is to run.

Flags first, then ATT_ variables, then what is usual. Parsed by hand: argparse would cost half a megabyte.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from launcher.protocol.words import NamedTuple
from launcher.verdict import Limits

USAGE = """usage: python -m launcher [--home DIR] [--listen HOST:PORT] [OPTIONS] [-- ARGUMENTS OF THE DAEMON]

  --home DIR          where everything is kept (ATT_HOME; ~/.local/share/att)
  --listen HOST:PORT  where the API listens (ATT_LISTEN; 127.0.0.1:8484); sockets from systemd come first
  --hang SECONDS      a daemon without a sign of life is replaced, and its successor answers, within that
                      (ATT_HANG; 15)
  --start SECONDS     how long a daemon may take to become healthy (ATT_START; 60)
  --probation SECONDS how long a new release must be healthy to count as good, and any to begin
                      the back-off anew (ATT_PROBATION; 60)
  --grace SECONDS     how long a stop may take (ATT_GRACE; 30)
  --drain SECONDS     how long an old release may take to hand over (ATT_DRAIN; 15)
  --retry SECONDS     after the last resort, try again after (ATT_RETRY; 300)
  --module NAME       what to run as the daemon (ATT_MODULE; att.daemon)
"""
NUMBERS = {"hang": 15.0, "start": 60.0, "probation": 60.0, "grace": 30.0, "drain": 15.0, "retry": 300.0}
TEXTS = {"home": "", "listen": "127.0.0.1:8484", "module": "att.daemon"}


class UsageError(Exception):
    """The command line or a variable cannot be understood."""


class Settings(NamedTuple):
    home: str
    host: str
    port: int
    module: str
    arguments: tuple[str, ...]
    hang: float
    limits: Limits


def read(argv: Sequence[str], env: Mapping[str, str]) -> Settings:
    """The settings; UsageError says what is wrong with them."""
    ours = list(argv)
    arguments: tuple[str, ...] = ()
    if "--" in ours:
        at = ours.index("--")
        ours, arguments = ours[:at], tuple(ours[at + 1 :])
    given = _flags(ours)
    texts = {
        name: given.get(name) or env.get(f"ATT_{name.upper()}") or usual for name, usual in TEXTS.items()
    }
    numbers = {
        name: _seconds(name, given.get(name) or env.get(f"ATT_{name.upper()}"), usual)
        for name, usual in NUMBERS.items()
    }
    host, port = address(texts["listen"])
    limits = Limits()._replace(
        start_timeout=numbers["start"],
        probation=numbers["probation"],
        reset_after=min(Limits().reset_after, numbers["probation"]),
        grace=numbers["grace"],
        drain=numbers["drain"],
        retry=numbers["retry"],
    )
    home = os.path.abspath(os.path.expanduser(texts["home"] or os.path.join(_data_home(env), "att")))
    return Settings(home, host, port, texts["module"], arguments, numbers["hang"], limits)


def _data_home(env: Mapping[str, str]) -> str:
    return env.get("XDG_DATA_HOME") or "~/.local/share"


def _flags(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    at = 0
    while at < len(words):
        word, found, value = words[at].partition("=")
        name = word[2:]
        if not word.startswith("--") or (name not in TEXTS and name not in NUMBERS):
            raise UsageError(f"not understood: {words[at]}")
        if not found:
            at += 1
            if at == len(words):
                raise UsageError(f"{word} needs a value")
            value = words[at]
        given[name] = value
        at += 1
    return given


def _seconds(name: str, text: str | None, usual: float) -> float:
    if text is None:
        return usual
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"{name} is a number of seconds above 0, not {text!r}")
    return seconds


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, with [HOST] for an IPv6 address; port 0 means any free one."""
    host, found, port = text.rpartition(":")
    bare = host.startswith("[") and host.endswith("]")
    if (
        not found
        or not host
        or not port.isascii()
        or not port.isdigit()
        or int(port) > 65535
        or (":" in host and not bare)
    ):
        raise UsageError(f"listen is HOST:PORT, not {text!r}")
    return (host[1:-1] if bare else host), int(port)
