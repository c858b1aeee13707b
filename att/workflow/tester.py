"""The tests of a change, as the test room runs them."""

from __future__ import annotations

from typing import Any

from att.problems import Problem
from att.testing.models import Selection
from att.testing.service import Testing, problem_of, summary
from att.workflow.flow import Flow


class RoomTester:
    def __init__(self, testing: Testing) -> None:
        self._testing = testing

    async def __call__(self, flow: Flow, selection: Selection) -> tuple[dict[str, Any], Problem | None]:
        result = await self._testing.test(flow.project_id, flow.run_id, selection, flow.call, flow.report)
        return summary(result), problem_of(result)
