"""How a run of tests ended, out of all that is known of it: status, code and one sentence. Pure.

The runner's own word counts only when it came to its end: an interpreter that dies with 0 (`os._exit(0)` in a test) has not
passed anything.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from att.testing import errors
from att.testing.models import BAD, Coverage, Status
from att.testing.tally import Tally

_EMPTY = 5  # pytest's exit codes
_USAGE = 4
_INTERNAL = 3
_INTERRUPTED = 2
_CONFTEST = re.compile(r"(?:ImportError while loading conftest|While loading conftest) '?([^'\n]+?)'?\.?$")
_AT = re.compile(r'File "([^"<][^"]*)", line (\d+)')
_AT_SHORT = re.compile(r"^([^\s:][^:]*\.py):(\d+): ")
NAMED = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    status: Status
    code: str | None = None
    message: str = ""
    file: str | None = None
    line: int | None = None


def of_pytest(
    tally: Tally, exit_code: int, output: Sequence[str], coverage: Coverage | None = None
) -> Verdict:
    """What a run of pytest that ended by itself came to."""
    if not tally.started and exit_code > 0:
        return _not_begun(output)
    if tally.finished is None or exit_code < 0:
        return _crashed(tally, exit_code)
    if tally.broken:
        first = tally.broken[0]
        return Verdict(
            Status.BROKEN,
            errors.CollectionFailed.code,
            f"{first.id} could not be collected: {_line(first.message)}",
            first.file,
            first.line,
        )
    failed = _failed(tally)
    if failed is not None:
        return failed
    if exit_code == _INTERNAL or tally.internal:
        said = _line(tally.internal) or _last(output)
        return Verdict(Status.BROKEN, errors.RunnerRefused.code, f"pytest itself failed: {said}")
    if tally.counts.total == 0 and exit_code in (0, _EMPTY):
        return Verdict(Status.EMPTY, message="No test was selected.")
    if exit_code in (_USAGE, _INTERRUPTED):
        said = _error(output)
        return Verdict(Status.BROKEN, errors.RunnerRefused.code, f"pytest stopped with {exit_code}: {said}")
    return _passed(exit_code, output, coverage)


def of_command(
    tally: Tally, exit_code: int, output: Sequence[str], coverage: Coverage | None = None
) -> Verdict:
    """What a run of the project's own command came to, by its report."""
    if exit_code < 0:
        return _crashed(tally, exit_code)
    failed = _failed(tally)
    if failed is not None:
        return failed
    if tally.counts.total == 0 and exit_code in (0, _EMPTY):
        return Verdict(Status.EMPTY, message="The report has no tests.")
    return _passed(exit_code, output, coverage)


def timed_out(tally: Tally, seconds: float) -> Verdict:
    during = f" while {tally.during} ran" if tally.during else ""
    return Verdict(
        Status.TIMEOUT, errors.TestsTimedOut.code, f"The tests were ended after {seconds:g} s{during}."
    )


def _failed(tally: Tally) -> Verdict | None:
    counts = tally.counts
    bad = counts.failed + counts.errors
    if not bad:
        return None
    names = [case.id for case in tally.cases.values() if case.outcome in BAD][:NAMED]
    more = f" and {bad - len(names)} more" if bad > len(names) else ""
    said = f"{bad} of {counts.total} tests failed: {', '.join(names)}{more}"
    return Verdict(Status.FAILED, errors.TestsFailed.code, said)


def _passed(exit_code: int, output: Sequence[str], coverage: Coverage | None) -> Verdict:
    if coverage is not None and coverage.met is False:
        said = f"{coverage.percent:g} % is covered, {coverage.threshold:g} % is asked for"
        return Verdict(Status.FAILED, errors.CoverageTooLow.code, said)
    if exit_code:
        said = f"No test failed, but the runner ended with {exit_code}: {_last(output)}"
        return Verdict(Status.FAILED, errors.TestsFailed.code, said)
    return Verdict(Status.PASSED)


def _crashed(tally: Tally, exit_code: int) -> Verdict:
    how = f"with {exit_code}"
    if exit_code < 0:
        known = {int(each): each.name for each in signal.Signals}
        how = f"by {known.get(-exit_code, f'signal {-exit_code}')}"
    during = f" while {tally.during} ran" if tally.during else ""
    return Verdict(Status.BROKEN, errors.TestsCrashed.code, f"The interpreter ended {how}{during}.")


def _not_begun(output: Sequence[str]) -> Verdict:
    """pytest ended before its session: a conftest that cannot be read, or an option that it does not know."""
    for number, line in enumerate(output):
        found = _CONFTEST.search(line)
        if found:
            file, at = found[1], None
            for later in output[number + 1 :]:
                place = _AT.search(later) or _AT_SHORT.search(later)
                if place and "site-packages" not in place[1] and "importlib" not in place[1]:
                    file, at = place[1], int(place[2])
            said = f"{found[1]} could not be loaded: {_error(output[number:])}"
            return Verdict(Status.BROKEN, errors.CollectionFailed.code, said, file, at)
    said = f"pytest did not begin: {_error(output)}"
    return Verdict(Status.BROKEN, errors.RunnerRefused.code, said)


def _error(output: Sequence[str]) -> str:
    """The last line that looks like an error, else the last."""
    marked = [line[1:].strip() for line in output if line.startswith("E ")]
    told = [line.partition("error: ")[2] for line in output if "error: " in line]
    told += [line[7:] for line in output if line.startswith("ERROR: ")]
    return _line((marked[-1:] or told[:1] or [_last(output)])[0])


def _last(output: Sequence[str]) -> str:
    return _line(next((line for line in reversed(output) if line.strip(" =")), "nothing was said"))


def _line(text: str) -> str:
    first = text.strip().splitlines()[:1]
    return first[0][:500] if first else ""
