"""How a deploy is noted: that it began, how it ended and why, each once, with the event that tells of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from att.deploy import rows, watch_rows
from att.deploy.watching import ILL
from att.event.models import Outcome
from att.runtime import rows as runtime_rows
from att.runtime.rows import Note
from att.runtime.service import Runtime
from att.store.store import Store
from att.workflow.flow import Flow

ROLLBACK = "deploy.rollback"


class Record:
    """`watch` is told of each deploy that came to its good end."""

    def __init__(self, store: Store, runtime: Runtime, watch: Callable[[str], Awaitable[None]]) -> None:
        self._store, self._runtime, self._watch = store, runtime, watch
        self.stopped: set[str] = set()  # runs that end since the app was stopped

    async def begin(self, flow: Flow, target: str) -> dict[str, Any]:
        before = (await self._store.read(runtime_rows.source(flow.project_id))).artefact_id
        kind = "rollback" if flow.kind == ROLLBACK else "deploy"
        values = {
            "project_id": flow.project_id,
            "artefact_id": target,
            "previous_artefact_id": before,
            "actor": flow.call.actor,
        }
        note = self._note("deploy.started", flow, target, before, kind=kind)
        await self._store.write(rows.begin(flow.run_id, values, {"run_id": flow.run_id, "kind": kind}, note))
        return {"previous": before}

    async def cut_off(self, flow: Flow, target: str, before: str | None) -> None:
        """Of a run that was cancelled: its version may have been out before that word came."""
        chosen = await self._store.read(runtime_rows.source(flow.project_id))
        app = self._runtime.current(flow.project_id)
        runs = app is not None and (app.role, app.artefact_id) == ("current", target)
        if runs or (target != before and (chosen.artefact_id, chosen.files) == (target, False)):
            await self.end(flow, target, before, "succeeded", None)
        else:
            why = "the app was stopped" if flow.run_id in self.stopped else "it was cancelled"
            await self.end(flow, target, before, "cancelled", why)

    async def end(
        self,
        flow: Flow,
        target: str,
        before: str | None,
        state: str,
        reason: str | None,
        code: str | None = None,
    ) -> None:
        """How it ended. A rollback by ATT itself says why, also in the record of the deploy that it takes back (`of`)."""
        more: dict[str, Any] = {"reason": reason, "code": code}
        of = flow.input.get("of")
        back = None
        if state == "succeeded":
            kind = "deploy.rolled_back" if flow.kind == ROLLBACK else "deploy.completed"
            if of is not None:
                reason, back = flow.input["reason"], watch_rows.gone_back(of)
            own = {"reason": reason, "code": ILL, "of": of} if of is not None else {}
            notes = [self._note(kind, flow, target, before, **own)]
        else:
            notes = [self._note("deploy.failed", flow, target, before, Outcome.FAILED, **more)]
            if state == "rolled_back":
                notes.append(self._note("deploy.rolled_back", flow, before, target, **more))
        await self._store.write(rows.end(flow.run_id, state, reason, notes, back))
        if state == "succeeded":
            await self._watch(flow.run_id)

    def _note(
        self,
        event: str,
        flow: Flow,
        to: str | None,
        before: str | None,
        outcome: Outcome = Outcome.OK,
        **more: object,
    ) -> Note:
        told = {"deploy_id": flow.run_id, "artefact_id": to, "previous_artefact_id": before, **more}
        return Note(event, flow.project_id, told, flow.call.actor, flow.call.request_id or None, outcome)
