"""What can go wrong with a run of tests, each with its own code. Decides nothing."""

from __future__ import annotations

from att.problems import InvalidRequest, NotFound, Problem


class InvalidTestSettings(Problem):
    """A key of [test] in att.toml is unknown or has a bad value; `fields` names it."""

    code, status, title = "invalid_test_settings", 422, "[test] in att.toml is not valid"
    hint = "Mend the key that is named; nothing was run."


class PytestNotInstalled(Problem):
    """Raised with `packages`: what is missing."""

    code, status, title = "pytest_not_installed", 409, "The project's environment has no pytest"
    hint = "Ask with `install`, or add pytest to the project's dependencies and build the environment again."


class CoverageNotInstalled(Problem):
    code, status, title = "coverage_not_installed", 409, "The project's environment cannot measure coverage"
    hint = (
        "Ask with `install`, or add pytest-cov to the project's dependencies and build the environment again."
    )


class TestPathNotFound(NotFound):
    __test__ = False
    code, title = "test_path_not_found", "There is no such test file or folder"
    hint = "Paths are relative to the project's folder; a test is FILE::NAME."


class SelectionNotSupported(InvalidRequest):
    code, title = "selection_not_supported", "The project's own test command takes no selection"
    hint = "Put `{tests}` into `command` under [test] in att.toml where the paths belong, or select nothing."


class TestCommandNotFound(Problem):
    __test__ = False
    code, status, title = "test_command_not_found", 422, "The test command cannot be found"
    hint = "Check `command` under [test] in att.toml, and that the project's environment brings the program."


class NoTestResults(NotFound):
    code, title = "no_test_results", "There are no test results"
    hint = "Run the tests first: `att test run PROJECT`."


class InstallFailed(Problem):
    """Raised with `lines`, the installer's last words."""

    code, status, title = "test_install_failed", 422, "What the tests need could not be installed"
    hint = "Read the last lines; then add it to the project's dependencies yourself."


class MalformedReport(Problem):
    """Raised with `line` where it is known."""

    code, status, title = "malformed_test_report", 422, "The report of the test command cannot be read"
    hint = "It must be JUnit XML, or JSON as pytest-json-report writes it; see `report` under [test] in att.toml."


class ReportMissing(Problem):
    """Raised with `exit_code` and `lines`, the command's last words."""

    code, status, title = "test_report_missing", 422, "The test command wrote no report"
    hint = "Have it write its report where `report` under [test] in att.toml says; `{report}` in `command` is that file."


class TestsFailed(Problem):
    """Raised with `counts` and `failed`, the names of some that did."""

    __test__ = False
    code, status, title = "tests_failed", 422, "Tests failed"
    hint = "`att test results PROJECT --failed` shows each with its traceback."


class CoverageTooLow(TestsFailed):
    code, title = "coverage_below_threshold", "The tests cover too little"
    hint = "`att test results PROJECT` lists the lines that no test ran."


class CollectionFailed(TestsFailed):
    """Raised with `file` and `line`."""

    code, title = "test_collection_failed", "Tests could not be collected"
    hint = "Mend the file at the line that is named; the other files were not run either."


class TestsCrashed(TestsFailed):
    """Raised with `exit_code` and `during`, the test that was running."""

    code, title = "tests_crashed", "The interpreter died while the tests ran"
    hint = "Look at the test that is named; `output` of the results has the last words."


class TestsTimedOut(TestsFailed):
    code, title = "test_timeout", "The tests took too long and were ended"
    hint = "Look at the test that is named, or give more time with `timeout`."


class RunnerRefused(TestsFailed):
    code, title = "test_runner_refused", "The test runner refused to run"
    hint = "`output` of the results has its own words; most often an option of the project's configuration is wrong."


FAILURES: dict[str, type[TestsFailed]] = {
    each.code: each
    for each in (
        TestsFailed,
        CoverageTooLow,
        CollectionFailed,
        TestsCrashed,
        TestsTimedOut,
        RunnerRefused,
    )
}
