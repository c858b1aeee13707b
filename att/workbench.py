"""The wiring of the workbench: the services of the rooms that stand on projects and the runtime, and how they know each other.

A part of the daemon's wiring (`att.daemon`), in a file of its own: each room's services are made here, in the order in which
they need each other, and closed by the stack in the opposite one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from att.access import Access
from att.code.files import Code
from att.config import Settings
from att.deploy.deploys import Deploys
from att.event.log import EventLog
from att.git.forge.forges import ForgeOptions, Forges
from att.git.service import Git
from att.mcp.offer import Offer
from att.project.projects import Projects
from att.rooms import catalogue
from att.runtime.logs import Logs
from att.runtime.service import Runtime
from att.store.store import Store
from att.testing.service import Testing
from att.token.tokens import Tokens
from att.workflow.change_test import KIND as CHANGE_TEST
from att.workflow.change_test import Changes
from att.workflow.runs import Runs
from att.workflow.tester import RoomTester


@dataclass(frozen=True, slots=True)
class Ground:
    """What the rooms of the workbench stand on. `environ`: what programs that they start inherit."""

    settings: Settings
    store: Store
    events: EventLog
    projects: Projects
    runtime: Runtime
    logs: Logs
    access: Access
    environ: Mapping[str, str]


async def open_workbench(stack: contextlib.AsyncExitStack, ground: Ground) -> dict[type, Any]:
    """The services by their class, as the catalogue is bound to them."""
    tokens = Tokens(ground.store, ground.access)
    await tokens.open()
    runs = Runs(ground.store, ground.projects)
    testing = Testing(
        ground.projects,
        ground.runtime,
        ground.events,
        runs,
        home=ground.settings.home,
        environ=ground.environ,
    )
    forges = _make_forges(ground)
    git = Git(
        ground.projects,
        ground.events,
        give_remote=forges.give_remote,
        untested=lambda project_id: runs.busy(project_id, CHANGE_TEST),
    )
    tester = RoomTester(testing)
    changes = Changes(ground.settings.home, ground.projects, ground.events, runs, tester, git.turn)
    deploys = Deploys(
        ground.settings.home,
        ground.store,
        ground.projects,
        ground.runtime,
        runs,
        ground.events,
        ground.environ,
    )
    await deploys.clear()
    # The services that do long work stand between here and the next line: they register it with `runs.register`.
    stack.push_async_callback(runs.aclose)  # so it ends before what it uses is closed
    stack.push_async_callback(deploys.aclose)
    await runs.open()
    await deploys.settle()
    await changes.sweep()
    stack.push_async_callback(forges.aclose)
    await forges.open()
    code = Code(ground.projects, ground.events)
    return {
        Code: code,
        Offer: Offer(catalogue(), ground.settings),
        Tokens: tokens,
        Git: git,
        Forges: forges,
        Runs: runs,
        Testing: testing,
        Changes: changes,
        Deploys: deploys,
    }


def _make_forges(ground: Ground) -> Forges:
    settings = ground.settings
    return Forges(
        ground.store,
        ground.events,
        ground.projects,
        home=settings.home,
        roots=settings.allowed_roots,
        environ=ground.environ,
        options=ForgeOptions(settings.forge, settings.github_url, settings.github_token, settings.checks),
    )
