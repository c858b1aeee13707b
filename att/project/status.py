"""Which status of a project may follow which: a table, and nothing else. No I/O."""

from __future__ import annotations

from att.project.errors import StatusNotAllowed
from att.project.models import ProjectStatus

_AFTER_THE_FIRST_START = frozenset({ProjectStatus.RUNNING, ProjectStatus.STOPPED, ProjectStatus.ERROR})

TRANSITIONS: dict[ProjectStatus, frozenset[ProjectStatus]] = {
    ProjectStatus.CREATED: _AFTER_THE_FIRST_START,
    ProjectStatus.CLONED: _AFTER_THE_FIRST_START,
    ProjectStatus.RUNNING: frozenset({ProjectStatus.STOPPED, ProjectStatus.ERROR}),
    ProjectStatus.STOPPED: frozenset({ProjectStatus.RUNNING, ProjectStatus.ERROR}),
    ProjectStatus.ERROR: frozenset({ProjectStatus.RUNNING, ProjectStatus.STOPPED}),
}
"""How a project came to be (created, cloned) is told until its first start, and never again."""


def moved(now: ProjectStatus, to: ProjectStatus) -> ProjectStatus:
    """`to`, if the table allows it or nothing changes; else `StatusNotAllowed`."""
    if to is not now and to not in TRANSITIONS[now]:
        raise StatusNotAllowed(f"A project that is {now.value} cannot become {to.value}.")
    return to
