"""The units of systemd, made from a `Service`, each setting with its reason. Does no I/O.

No setting is newer than systemd 250. What a managed app may need is left to it: it is any program of a developer, with
builds, browsers, just-in-time compilers and GPUs. In the scope of a user stands only what systemd can do there without
namespaces, which many systems deny to users.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from att.service.description import (
    AGAIN,
    HOMES,
    NAME,
    START,
    STOP,
    SUMMARY,
    TEMPORARY,
    WATCHDOG,
    WRONG,
    Scope,
    Service,
)
from att.service.marking import mark

SERVICE, SOCKET = f"{NAME}.service", f"{NAME}.socket"
BACKLOG = 1024
WIDTH = 100


class Line(NamedTuple):
    key: str
    value: str
    why: str = ""


def word(text: str, *, dollar: str = "$") -> str:
    """One word of a list: quoted where it has blanks; `%` is doubled, since it begins a specifier."""
    text = text.replace("%", "%%").replace("$", dollar)
    return text if re.fullmatch(r"[^\s;#]+", text) else f'"{text}"'


def service(what: Service) -> str:
    """The service unit."""
    head = [
        f"# Made by `att service install`, which replaces it. Your own settings: systemctl {_flag(what)}edit {NAME}"
    ]
    sections = {
        "Unit": _unit(what),
        "Service": [*_process(what), *_ends(what), *_both(what), *_sandbox(what)],
        "Install": _wanted(what),
    }
    return _marked(what, [*head, *_rendered(sections)])


def socket(what: Service) -> str:
    """The socket unit: only for who asks for it, since a connection starts again what was stopped."""
    head = ["# Made by `att service install --socket`, which replaces it."]
    own = [Line("FreeBind", "yes", "The address may come later than we do.")] if what.own_address else []
    sections = {
        "Unit": [Line("Description", f"Address of {SUMMARY}")],
        "Socket": [
            Line(
                "ListenStream",
                str(what.listen),
                "Stays open while the service is stopped: the next connection starts it again. "
                f"To stop both: systemctl {_flag(what)}stop {SOCKET} {SERVICE}",
            ),
            Line("Backlog", str(BACKLOG), "Connections wait here while a launcher starts."),
            *own,
        ],
        "Install": [Line("WantedBy", "sockets.target")],
    }
    return _marked(what, [*head, *_rendered(sections)])


def _flag(what: Service) -> str:
    return "--user " if what.scope is Scope.USER else ""


def _marked(what: Service, lines: list[str]) -> str:
    return mark(lines, 1, {"home": str(what.home), "listen": str(what.listen)}, ("# ", ""))


def _rendered(sections: dict[str, list[Line]]) -> Iterator[str]:
    for name, lines in sections.items():
        yield from ("", f"[{name}]")
        for line in lines:
            yield from textwrap.wrap(
                line.why,
                WIDTH,
                initial_indent="# ",
                subsequent_indent="# ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            yield f"{line.key}={line.value}"


def _unit(what: Service) -> list[Line]:
    lines = [Line("Description", SUMMARY)]
    after = [*([SOCKET] if what.socket else []), *what.after]
    if what.scope is Scope.SYSTEM:
        after = ["network.target", "nss-user-lookup.target", *after]
        if what.own_address:
            after.append("network-online.target")
            lines.append(Line("Wants", "network-online.target", "It listens on an address of the network."))
    if after:
        lines.append(
            Line(
                "After",
                " ".join(after),
                "Also the order of stopping: we stop first, and apps can still finish their requests.",
            )
        )
    if what.socket:
        lines.append(Line("Requires", SOCKET))
    lines.append(
        Line(
            "StartLimitIntervalSec",
            "0",
            "A launcher that died, or found its address taken, is tried again for as long as it takes. "
            "What does not mend by itself is named in RestartPreventExitStatus.",
        )
    )
    return lines


def _process(what: Service) -> Iterator[Line]:
    first, *rest = what.command
    yield Line(
        "Type",
        "notify",
        "The launcher says READY when the daemon is healthy, or when it answers for it with the reason.",
    )
    yield Line("NotifyAccess", "main")
    yield Line("ExecStart", " ".join([word(first), *(word(one, dollar="$$") for one in rest)]))
    yield Line(
        "ExecReload", "/bin/kill -HUP $MAINPID", "Reads the configuration again, or tries again at once."
    )
    if what.account is not None:
        yield Line("User", what.account, "Whoever holds the token can run programs as this account.")
    yield Line("WorkingDirectory", "/")
    for name, value in what.environment:
        yield Line("Environment", word(f"{name}={value}"))
    yield Line(
        "EnvironmentFile",
        f"-{what.variables_file}".replace("%", "%%"),
        "More variables, keys for example, in a file that others cannot read. This one they can.",
    )
    yield Line("SyslogIdentifier", NAME)


def _ends(what: Service) -> Iterator[Line]:
    yield Line(
        "Restart",
        "on-failure",
        "0: asked to stop. 69: the home is in use or the address is taken, tried again. "
        "2: wrong usage, 78: wrong configuration; both are left for a person.",
    )
    yield Line("RestartPreventExitStatus", " ".join(map(str, WRONG)))
    yield Line(
        "RestartForceExitStatus",
        "SIGHUP SIGPIPE",
        "systemd takes these for an orderly end; a reload that comes before Python has started is none.",
    )
    yield Line("RestartSec", str(AGAIN))
    yield Line(
        "TimeoutStartSec", str(START), "Longer than all that the launcher tries before it answers by itself."
    )
    yield Line("TimeoutStopSec", str(STOP), "Longer than the graces of daemon and app together.")
    yield Line(
        "WatchdogSec", str(WATCHDOG), "The launcher's own loop says that it turns, three times as often."
    )
    yield Line(
        "KillMode", "mixed", "The launcher ends daemon and app in order; what then is left is killed with it."
    )
    yield Line(
        "OOMPolicy",
        "continue",
        "An app that is killed for its memory is started again by ATT: it must not take ATT with it.",
    )


def _both(what: Service) -> Iterator[Line]:
    yield Line("UMask", "0077", "Logs, token and the configuration of apps are nobody else's to read.")
    yield Line("NoNewPrivileges", "yes", "No app becomes root by sudo or a setuid program.")
    yield Line("LockPersonality", "yes")
    yield Line("RestrictRealtime", "yes", "An app in a real-time class could starve the launcher.")
    yield Line("RestrictSUIDSGID", "yes", "No app leaves a setuid program behind.")
    yield Line(
        "RestrictAddressFamilies",
        "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "What servers and name resolution need; no raw packets.",
    )
    yield Line("SystemCallArchitectures", "native")
    yield Line(
        "SystemCallFilter",
        "~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap",
        "A list of what is denied, since no list of what is needed fits any app: debuggers (@debug) and the "
        "sandboxes of browsers (@mount, namespaces) stay possible, and so does machine code made at run time "
        "(no MemoryDenyWriteExecute).",
    )
    yield Line("SystemCallErrorNumber", "EPERM", "A denied call fails, it does not kill the app.")


def _sandbox(what: Service) -> Iterator[Line]:
    if what.scope is Scope.USER:
        return
    yield Line("CapabilityBoundingSet", "", "Nothing here needs a right of root.")
    yield Line("AmbientCapabilities", "")
    yield Line("ProtectSystem", "strict", "The whole file system is read-only, but for the places below.")
    yield from _places(what)
    if what.touches(HOMES):
        yield Line("ProtectHome", "read-only", "Something that is needed lies in a home.")
    else:
        yield Line("ProtectHome", "yes", "Homes of people are no business of apps.")
    if not what.touches(TEMPORARY):
        yield Line("PrivateTmp", "yes", "Apps leave secrets in temporary files: nobody else sees them.")
    yield Line(
        "ProtectProc", "invisible", "Processes of others are not seen. /proc/meminfo and the like are needed."
    )
    yield Line("PrivateMounts", "yes")
    yield Line("ProtectKernelTunables", "yes")
    yield Line("ProtectKernelModules", "yes")
    yield Line("ProtectKernelLogs", "yes")
    yield Line(
        "ProtectControlGroups",
        "yes",
        "No Delegate: the launcher finds its processes by marks, not by groups.",
    )
    yield Line(
        "ProtectHostname",
        "yes",
        "Left out on purpose: PrivateDevices, DevicePolicy and ProtectClock (which brings a device list with it) "
        "would take GPUs away; the clock is guarded by the filter above. PrivateUsers would show projects as owned "
        "by nobody, and git refuses those. RemoveIPC and ProcSubset would hit what else the account does, and the "
        "figures of resource use.",
    )


def _places(what: Service) -> Iterator[Line]:
    rest: Iterable[PurePosixPath] = what.writable
    if what.state_folder is not None:
        yield Line("StateDirectory", word(what.state_folder))
        yield Line("StateDirectoryMode", "0700")
        rest = [place for place in rest if place != what.home]
    if words := [word(f"-{place}") for place in rest]:
        yield Line(
            "ReadWritePaths",
            " ".join(words),
            "Home, account and allowed roots of the settings; install again after changing `roots`.",
        )


def _wanted(what: Service) -> list[Line]:
    target = "default.target" if what.scope is Scope.USER else "multi-user.target"
    return [Line("WantedBy", target), *([Line("Also", SOCKET)] if what.socket else [])]
