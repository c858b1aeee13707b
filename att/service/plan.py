"""Which files make the service, and where they belong. Does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from att.service import launchd, systemd
from att.service.description import LABEL, Kind, Scope, Service


@dataclass(frozen=True, slots=True)
class File:
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where the service manager looks. Tests look elsewhere."""

    kind: Kind
    scope: Scope
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """All files that an install may have made; the one that is the service comes first."""
        if self.kind is Kind.LAUNCHD:
            return (f"{LABEL}.plist",)
        return (systemd.SERVICE, systemd.SOCKET)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in self.names)


def places(kind: Kind, scope: Scope, home: Path, config_home: Path | None = None) -> Places:
    """The usual ones; `home` is the user's own folder, `config_home` what XDG_CONFIG_HOME says."""
    if kind is Kind.LAUNCHD:
        above = home if scope is Scope.USER else Path("/")
        return Places(
            kind, scope, above / "Library" / ("LaunchAgents" if scope is Scope.USER else "LaunchDaemons")
        )
    if scope is Scope.SYSTEM:
        return Places(kind, scope, Path("/etc/systemd/system"))
    return Places(kind, scope, (config_home or home / ".config") / "systemd" / "user")


def files(service: Service, where: Places) -> list[File]:
    if where.kind is Kind.LAUNCHD:
        return [File(where.paths[0], launchd.plist(service))]
    made = [File(where.folder / systemd.SERVICE, systemd.service(service))]
    if service.socket:
        made.append(File(where.folder / systemd.SOCKET, systemd.socket(service)))
    return made
