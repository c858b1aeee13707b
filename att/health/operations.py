"""What can be asked about health: one question, which needs no token."""

from __future__ import annotations

from att.catalogue import Call, Effect, Room, Scope
from att.health.models import AskHealth, Health
from att.health.vitals import Vitals
from att.problems import Unavailable

room = Room("health")


class NotReady(Unavailable):
    """Raised with `state`."""

    code, title = "not_ready", "The daemon cannot take work"
    hint = "Wait until it has started; `att doctor` tells what is missing."


@room.operation("GET", "/health", effect=Effect.READ, scope=Scope.OPEN, errors=(NotReady,), name="health")
async def health(ask: AskHealth, call: Call, vitals: Vitals) -> Health:
    """Tell whether the daemon lives, or with `ready` whether it can take work."""
    checks = vitals.checks()
    status = vitals.status(checks)
    if ask.ready and not vitals.can_work(checks):
        raise NotReady(f"The daemon is {status}.", state=str(status))
    told = Health(status=status, release=vitals.release, version=vitals.version, safe_mode=vitals.safe_mode)
    if Scope.READ in call.scopes:
        told.pid, told.uptime_seconds, told.checks = vitals.pid, round(vitals.uptime, 3), checks
        told.boot_id, told.heartbeat = vitals.boot_id, vitals.heartbeat()
    return told
