"""The property list of launchd, made from a `Service`. Does no I/O.

launchd knows no readiness, no watchdog, no sandbox and no exit code that asks for nothing: a launcher that leaves with
another code than 0 is started again after `LAUNCHD_AGAIN` seconds, also when the configuration is wrong.
"""

from __future__ import annotations

import plistlib
from typing import Any

from att.service.description import LABEL, LAUNCHD_AGAIN, STOP, Scope, Service
from att.service.errors import UnfitService
from att.service.marking import mark

FILES = 4096  # launchd's own soft limit is 256 descriptors: too few for streams and apps


def keys(service: Service) -> dict[str, Any]:
    """The keys, in the order in which they are read best."""
    if service.socket:
        raise UnfitService(
            "The launcher takes no sockets from launchd.", hint="Install without --socket: it is for systemd."
        )
    log = str(service.home / "service.log")
    account = {"UserName": service.account} if service.scope is Scope.SYSTEM else {}
    return {
        "Label": LABEL,
        "ProgramArguments": list(service.command),
        "EnvironmentVariables": dict(service.environment),
        **account,
        "WorkingDirectory": "/",
        "Umask": 0o077,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},  # 0 means that a stop was asked for
        "ThrottleInterval": LAUNCHD_AGAIN,
        "ExitTimeOut": STOP,
        "ProcessType": "Interactive",  # else launchd throttles CPU and disk of the apps
        "SoftResourceLimits": {"NumberOfFiles": FILES},
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }


def plist(service: Service) -> str:
    body = plistlib.dumps(keys(service), sort_keys=False).decode()
    lines = body.removesuffix("\n").split("\n")  # the first two are the XML declaration and the type
    lines.insert(2, "<!-- Made by `att service install`, which replaces it. -->")
    return mark(lines, 3, {"home": str(service.home), "listen": str(service.listen)}, ("<!-- ", " -->"))
