"""Calls of tools: let in, read, run, bound, answer; as the HTTP door does it, with the same problems and the same audit.

What an agent's cancelling ends depends on the operation. A read is dropped. What changes something goes on to its end, as it
does over HTTP when the client goes away: only the waiting for it ends. Long work that was begun goes on in any case.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from pydantic import BaseModel

from att.bulk import aside
from att.catalogue import Bound, Call, Effect
from att.http.guard import permit
from att.http.heavy import is_large
from att.http.routes import Audit, Audited
from att.mcp import answers
from att.mcp.answers import Json
from att.mcp.arguments import Arguments
from att.mcp.doorkeeper import Visitor
from att.mcp.errors import ResultTooLarge
from att.mcp.pieces import gathered
from att.mcp.progress import Follower, Report, followed, ticking
from att.metrics import Counted, Metrics
from att.problems import Problem

_TRIES = 4  # of a smaller page

log = structlog.get_logger("att.mcp")


@dataclass(frozen=True, slots=True)
class Counter:
    """What the door is counted and audited by."""

    metrics: Metrics
    audit: Audit | None = None


class Caller:
    """Runs operations for tools and resources."""

    def __init__(self, bound: Mapping[str, Bound], counter: Counter) -> None:
        self._tools = {name: _Tool(one, bound, counter) for name, one in bound.items()}
        self._going_on: set[asyncio.Task[Any]] = set()

    async def call(
        self, name: str, given: Mapping[str, Any], visitor: Visitor, report: Report | None
    ) -> Json:
        """The answer of the tool: its result, or a tool error with the problem."""
        tool = self._tools[name]
        began, status, instance = time.monotonic(), 500, ""
        try:
            instance = tool.arguments.instance(given)
            body = await self.body(name, given, visitor, report)
            status = tool.bound.operation.status
            return answers.success(body)
        except Problem as problem:
            status = problem.status
            return answers.failure(problem, instance=instance, request_id=visitor.request_id)
        finally:
            tool.count(status, time.monotonic() - began)

    async def body(
        self, name: str, given: Mapping[str, Any], visitor: Visitor, report: Report | None = None
    ) -> bytes:
        """The JSON of the result; a `Problem` for all that goes wrong."""
        tool = self._tools[name]
        work = tool.run(given, visitor, report)
        if tool.bound.operation.effect is Effect.READ:
            return await _foreseen(work, name, visitor.request_id)
        task = asyncio.create_task(_foreseen(work, name, visitor.request_id), name=f"mcp {name}")
        self._going_on.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._going_on.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to hear it; it was logged where it was unforeseen

    async def close(self, patience: float) -> None:
        """Let what was begun finish for a moment, then end it."""
        if self._going_on:
            _, late = await asyncio.wait(set(self._going_on), timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


class _Tool:
    """One tool, with all that can be looked up once."""

    def __init__(self, bound: Bound, others: Mapping[str, Bound], counter: Counter) -> None:
        operation = bound.operation
        self.bound = bound
        self.count = Counted(counter.metrics, operation.name)
        self._audit = counter.audit if operation.effect is not Effect.READ else None
        self._follower = Follower.of(bound, others)
        self._paged = operation.effect is Effect.READ and "limit" in operation.input.model_fields

    @cached_property
    def arguments(self) -> Arguments:
        """Made for the first call: a start would pay for that of every tool."""
        return Arguments(self.bound.operation)

    async def run(self, given: Mapping[str, Any], visitor: Visitor, report: Report | None) -> bytes:
        permit(visitor.caller, self.bound.operation)
        call = visitor.call
        if self._audit is None:
            return await self._answer(given, call, report)
        began, outcome = time.monotonic(), "internal_error"
        try:
            body = await self._answer(given, call, report)
            outcome = "ok"
            return body
        except Problem as problem:
            outcome = problem.code
            raise
        finally:
            told = self._audit(self._audited(given, call, outcome, time.monotonic() - began))
            if inspect.isawaitable(told):
                await told

    def _audited(self, given: Mapping[str, Any], call: Call, outcome: str, seconds: float) -> Audited:
        operation, project = self.bound.operation, given.get("project_id")
        known = project if isinstance(project, str) and "project_id" in operation.path_fields else None
        return Audited(
            operation.name, operation.effect, call.actor, call.request_id, call.door, known, outcome, seconds
        )

    async def _answer(self, given: Mapping[str, Any], call: Call, report: Report | None) -> bytes:
        read = self.arguments.read
        ask = await aside(read, given) if is_large(given) else read(given)
        body = await self._once(ask, call, report)
        for _ in range(_TRIES):
            if len(body) <= answers.LARGEST or not self._paged:
                break
            limit = getattr(ask, "limit", None)
            if not isinstance(limit, int) or limit <= 1:
                break
            ask = ask.model_copy(update={"limit": max(1, limit * answers.LARGEST * 3 // (len(body) * 4))})
            body = await self._once(ask, call, None)
        if len(body) > answers.LARGEST:
            raise ResultTooLarge(
                f"The result has {len(body)} bytes, more than the {answers.LARGEST} that one answer holds.",
                bytes=len(body),
                limit=answers.LARGEST,
            )
        return body

    async def _once(self, ask: BaseModel, call: Call, report: Report | None) -> bytes:
        operation = self.bound.operation
        if operation.output is None and operation.streams:
            return await gathered(self.bound, ask, call)
        if report is None:
            result = await self.bound.run(ask, call)
        elif self._follower is not None and self._follower.waits(ask):
            result = await followed(self._follower, ask, call, report)
        else:
            result = await ticking(self.bound.run(ask, call), operation.name, report)
        return answers.encoded(result if isinstance(result, BaseModel) else None)


async def _foreseen(work: Coroutine[Any, Any, bytes], name: str, request_id: str) -> bytes:
    """The result; what nobody foresaw is logged here, once, and told without its insides."""
    try:
        return await work
    except Problem:
        raise
    except Exception as error:
        log.error(
            "tool_failed",
            tool=name,
            request_id=request_id,
            error=type(error).__name__,
            traceback=traceback.format_exc(),
        )
        raise Problem("Something went wrong that was not foreseen.") from None
