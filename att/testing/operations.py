"""What can be asked of the test room: run the project's tests, and what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Effect, Room
from att.confine_errors import FileUnavailable, InvalidPath, PathOutsideProject
from att.problems import BadCursor, ProjectNotFound
from att.project.errors import DirectoryMissing
from att.runtime.errors import EnvironmentBroken, EnvironmentBuilding, EnvironmentNotBuilt, SecretMissing
from att.testing import errors
from att.testing.models import ReadResults, RunTests, TestResults
from att.workflow.errors import RunBusy, RunNotFound, RunsStopping
from att.workflow.models import Run

if TYPE_CHECKING:
    from att.testing.service import Testing

room = Room("test", errors=(ProjectNotFound,))


@room.operation(
    "POST",
    "/projects/{project_id}/test/run",
    effect=Effect.WRITE,
    status=202,
    errors=(
        DirectoryMissing,
        errors.InvalidTestSettings,
        errors.TestPathNotFound,
        errors.SelectionNotSupported,
        errors.TestCommandNotFound,
        errors.PytestNotInstalled,
        errors.CoverageNotInstalled,
        PathOutsideProject,
        InvalidPath,
        FileUnavailable,
        EnvironmentNotBuilt,
        EnvironmentBroken,
        EnvironmentBuilding,
        SecretMissing,
        RunBusy,
        RunsStopping,
    ),
    progress="workflow.status",
)
async def run(ask: RunTests, call: Call, testing: Testing) -> Run:
    """Run the project's tests in its own environment.

    The run has failed when a test did; `test.results` has each of them. Nothing selected is a success with no tests.
    """
    return await testing.begin(ask, call)


@room.operation(
    "GET",
    "/projects/{project_id}/test/results",
    effect=Effect.READ,
    errors=(errors.NoTestResults, RunNotFound, BadCursor),
)
async def results(ask: ReadResults, testing: Testing) -> TestResults:
    """Read what came of a run of tests: counts, coverage, and each test, those that failed first."""
    return await testing.results(ask)
