"""Is a port free, and if not, who has it? NAT itself finds out only after it has built the whole workflow."""

from __future__ import annotations

import errno
import socket

from att.runtime.errors import InvalidSettings, PortInUse


def check(host: str, port: int) -> None:
    """`PortInUse` names the process that listens there."""
    fault = _try(host, port)
    if fault is None:
        return
    if fault.errno == errno.EADDRINUSE:
        raise in_use(host, port)
    raise InvalidSettings(
        f"att.toml: the app cannot listen on {host}:{port}: {fault.strerror or fault}",
        fields=[{"field": "runtime.host", "message": fault.strerror or str(fault)}],
    )


def in_use(host: str, port: int) -> PortInUse:
    """The refusal, with all that can be told of who has the port."""
    pid, name, ours = owner(port)
    if pid is None:
        return PortInUse(
            f"{host}:{port} is taken by a process of another user",
            port=port,
            pid=None,
            process=None,
            ours=False,
        )
    whose = ", which ATT itself started" if ours else ""
    return PortInUse(
        f"{host}:{port} is taken by {name} (pid {pid}){whose}", port=port, pid=pid, process=name, ours=ours
    )


def free(host: str) -> int:
    """A port that nobody listens on now."""
    family, _, _, _, address = _addresses(host, 0)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])


def owner(port: int) -> tuple[int | None, str, bool]:
    """Pid and name of who listens on `port`, and whether it carries the mark of a run of ours."""
    import os

    import psutil

    try:
        found = [
            c
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port
        ]
    except (psutil.AccessDenied, OSError):
        return None, "", False
    pid = next((c.pid for c in found if c.pid), None)
    if pid is None:
        return None, "", False
    try:
        process = psutil.Process(pid)
        name = process.name()
        ours = pid == os.getpid() or "ATT_RUN" in process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return pid, "a process", False
    return pid, name, ours


def _try(host: str, port: int) -> OSError | None:
    try:
        for family, _, _, _, address in _addresses(host, port):
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as fault:
        return fault
    return None


def _addresses(host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # type: ignore[return-value]
    except socket.gaierror as fault:
        raise InvalidSettings(
            f"att.toml: {host} is no address of this machine: {fault.strerror}",
            fields=[{"field": "runtime.host", "message": str(fault.strerror)}],
        ) from None
