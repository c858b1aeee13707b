"""The end of a run in words: why it ended, and the report of a stop. Pure."""

from __future__ import annotations

from signal import SIGKILL, Signals

from supervisor.keeper import Cleared, Exit
from supervisor.report import Exited, StopReport
from supervisor.restart import Again, Cause, Death, Verdict, is_failure
from supervisor.run import Run


def why(run: Run, exit: Exit, asked: bool) -> str:
    """In a clause, without a full stop."""
    if asked:
        return "it was asked to"
    if run.trouble is not None:
        return run.trouble.reason
    if exit.code is not None:
        return f"it left with exit status {exit.code}"
    return f"it was ended by the signal {_name(exit.signal)}"


def _name(number: int | None) -> str:
    try:
        return Signals(number or 0).name
    except ValueError:
        return str(number)


def death(run: Run, exit: Exit, now: float) -> Death:
    cause = run.trouble.cause if run.trouble else Cause.EXIT
    return Death(cause, exit.code, exit.signal, now - run.began)


def exited(
    run: Run, exit: Exit, cleared: Cleared, asked: bool, end: Death, verdict: Verdict | None
) -> Exited:
    return Exited(
        run_id=run.run_id,
        at=exit.at,
        exit_code=exit.code,
        exit_signal=exit.signal,
        asked=asked or end.cause is Cause.CHANGE,
        failure=not asked and is_failure(end, run.spec.restart),
        forced=forced(run, exit),
        leftovers=cleared.ended,
        reason=why(run, exit, asked),
        next_start_in=verdict.delay if isinstance(verdict, Again) else None,
    )


def forced(run: Run, exit: Exit) -> bool:
    return run.killed and exit.signal == SIGKILL


def stop_report(run: Run, exit: Exit, cleared: Cleared, now: float) -> StopReport:
    since = run.asked_to_leave if run.asked_to_leave is not None else now
    return StopReport(run.run_id, exit.code, exit.signal, forced(run, exit), cleared.ended, now - since)
