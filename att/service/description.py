"""What the service is, in one place: what is started, as whom, with which variables, and what it may touch.

systemd's units and launchd's property list are both made from a `Service`. This file decides and does no I/O.

How long systemd and launchd wait is measured by the launcher: its own waits are shorter than ours (a test compares them),
so that it is the launcher that ends things in order, and the service manager only when the launcher itself is stuck.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from att.config import Address
from att.service.errors import UnfitService

NAME = "att"
LABEL = "io.github.agent-toolkit-toolkit"
SUMMARY = "ATT, keeps one NeMo Agent Toolkit app running"

START = 900  # seconds: five late starts of a release and five more in safe mode, before the launcher answers by itself
STOP = 60  # the daemon's grace, what it leaves behind, and the app's grace
WATCHDOG = 60  # generous, since the app dies with a launcher that is ended
AGAIN = 2  # between the death of a launcher and the next
LAUNCHD_AGAIN = 30  # the same by launchd, which cannot tell a wrong configuration from a death
WRONG = (2, 78)  # exit codes that another start does not mend: wrong usage, wrong configuration

HOMES = (PurePosixPath("/home"), PurePosixPath("/root"), PurePosixPath("/run/user"))
TEMPORARY = (PurePosixPath("/tmp"), PurePosixPath("/var/tmp"))  # noqa: S108  named, not used
STATE = PurePosixPath("/var/lib")

_UNFIT = re.compile(r"[\x00-\x1f\x7f\"'\\\ud800-\udfff\ufffe\uffff]")


class Scope(StrEnum):
    USER = "user"
    SYSTEM = "system"


class Kind(StrEnum):
    SYSTEMD = "systemd"
    LAUNCHD = "launchd"


@dataclass(frozen=True, slots=True)
class Service:
    """`account` is set in the scope of the system only. `reads`: what must stay readable besides what is written."""

    scope: Scope
    python: PurePosixPath
    home: PurePosixPath
    listen: Address
    path: tuple[PurePosixPath, ...]
    account: str | None = None
    account_home: PurePosixPath | None = None
    roots: tuple[PurePosixPath, ...] = ()
    reads: tuple[PurePosixPath, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()
    socket: bool = False

    def __post_init__(self) -> None:
        if (self.scope is Scope.SYSTEM) != (self.account is not None):
            raise UnfitService("A service of the system runs as an account, one of a user as that user.")
        for place in (self.python, self.home, *self.path, *self.writable, *self.reads):
            _check_path(place)
        if "$" in str(self.python):
            raise UnfitService(f"{self.python}: systemd cannot start a program with a dollar in its path.")
        if any(":" in str(place) for place in self.path):
            raise UnfitService("A folder of PATH must not have a colon in its name.")
        for name, value in self.variables:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or _UNFIT.search(value):
                raise UnfitService(
                    f"The variable {name!r} or its value has a character that a unit cannot hold.",
                    hint="Leave it out of --env, and put it into the service's file of variables.",
                )
        if self.account is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}", self.account):
            raise UnfitService(f"{self.account!r} is no name of an account.")
        if self.socket and (self.listen.port == 0 or _number(self.listen.host) is None):
            raise UnfitService(
                f"A socket unit needs an address in numbers and a port, not {self.listen}.",
                hint="Install without --socket, or name the address: --listen 127.0.0.1:8484",
            )

    @property
    def command(self) -> tuple[str, ...]:
        """-I: what stands in the working directory or in PYTHON… variables is not mistaken for the launcher."""
        return (
            *(str(self.python), "-I", "-m", "launcher"),
            *("--home", str(self.home), "--listen", str(self.listen)),
        )

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """All that is set, nothing by accident of who installed it."""
        path = ":".join(map(str, self.path))
        ours = {"ATT_HOME": str(self.home), "ATT_LISTEN": str(self.listen), "PATH": path}
        if self.scope is Scope.SYSTEM:
            ours["XDG_CACHE_HOME"] = str(self.home / "cache")
        return tuple({**ours, **dict(self.variables)}.items())

    @property
    def variables_file(self) -> PurePosixPath:
        """Where more variables, such as keys, may be written to.

        For the system one that only root can write: systemd reads it as root, and would follow a link there.
        """
        return PurePosixPath("/etc/att.env") if self.scope is Scope.SYSTEM else self.home / "service.env"

    @property
    def writable(self) -> tuple[PurePosixPath, ...]:
        """All that ATT and its apps write to; the home comes first."""
        own = (self.account_home,) if self.account_home not in (None, PurePosixPath("/")) else ()
        return tuple(dict.fromkeys(place for place in (self.home, *own, *self.roots) if place is not None))

    @property
    def state_folder(self) -> str | None:
        """The home's name below /var/lib, when it stands right there: systemd then makes it."""
        return self.home.name if self.home.parent == STATE else None

    def touches(self, places: Iterable[PurePosixPath]) -> bool:
        """Whether anything that is needed lies in one of `places`."""
        needed = (*self.writable, *self.reads, self.python)
        return any(one == place or place in one.parents for place in places for one in needed)

    @property
    def own_address(self) -> bool:
        """Whether it listens on an address of its own, which is there only once the network is."""
        address = _number(self.listen.host)
        return not self.listen.loopback and not (address is not None and address.is_unspecified)


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_path(place: PurePosixPath) -> None:
    if not place.is_absolute() or ".." in place.parts:
        raise UnfitService(f"{place} is no absolute path.")
    if _UNFIT.search(str(place)) or str(place) != str(place).strip():
        raise UnfitService(
            f"{str(place)!r} has a character that a unit cannot hold.",
            hint="Use a path without quotes, backslashes, control characters and blanks at its ends.",
        )


# What the files kept in `systemd/` are made from.
EXAMPLES: dict[Kind, Service] = {
    Kind.SYSTEMD: Service(
        scope=Scope.SYSTEM,
        python=PurePosixPath("/opt/att/bin/python"),
        home=PurePosixPath("/var/lib/att"),
        listen=Address("127.0.0.1", 8484),
        path=tuple(map(PurePosixPath, ("/opt/att/bin", "/usr/local/bin", "/usr/bin", "/bin"))),
        account="att",
        account_home=PurePosixPath("/var/lib/att"),
        socket=False,
    ),
    Kind.LAUNCHD: Service(
        scope=Scope.USER,
        python=PurePosixPath("/Users/me/att/bin/python"),
        home=PurePosixPath("/Users/me/.local/share/att"),
        listen=Address("127.0.0.1", 8484),
        path=tuple(
            map(
                PurePosixPath,
                ("/Users/me/att/bin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin"),
            )
        ),
    ),
}
