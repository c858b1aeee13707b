"""What can go wrong with long work."""

from __future__ import annotations

from att.problems import Conflict, InvalidRequest, NotFound, Problem, Unavailable


class RunNotFound(NotFound):
    code, title = "run_not_found", "There is no such run"
    hint = "`att workflow list PROJECT` tells which there are; old ones are forgotten."


class RunBusy(Conflict):
    """Raised with `run_id`: the one that is under way."""

    code, title = "run_busy", "Such a run is under way already"
    hint = "Wait for the run that is named, or cancel it with `att workflow cancel`."


class RunEnded(Conflict):
    code, title = "run_ended", "The run has ended"
    hint = "There is nothing to cancel; look at its result."


class RunNotResumable(Conflict):
    code, title = "run_not_resumable", "The run cannot be resumed"
    hint = "Only a failed, cancelled or interrupted run of a kind that goes on by steps can; begin a new one."


class RunsStopping(Unavailable):
    code, title = "runs_stopping", "No new work is begun"
    hint = "The daemon is leaving; ask again when it is back."


class StepTimeout(Conflict):
    code, title = "step_timeout", "A step took too long"
    hint = "Look at what the step waits for; `att workflow status` tells how far it came."


class RunTimeout(Conflict):
    code, title = "run_timeout", "The run took too long"
    hint = "Look at what it waits for; `att workflow status` tells how far it came."


class RunInterrupted(Conflict):
    code, title = "run_interrupted", "The daemon ended in the middle of the run"
    hint = "Begin it again, or resume it where its kind allows that."


class TooLarge(Problem):
    code, status, title = "run_too_large", 413, "There is more in it than a run may hold"
    hint = "Give less at once."


class StepBroke(Problem):
    code, status, title = "run_broke", 500, "The run broke on a fault of the program"
    hint = "This is a fault in ATT itself: the daemon's log has the traceback under the run's id."


class UndoFailed(Problem):
    code, status, title = "undo_failed", 500, "Not all could be taken back"
    hint = "Look at the steps of the run: those called `undo: …` tell what was left as it is."


class FilesDirty(Conflict):
    """Raised with `paths`."""

    code, title = "files_dirty", "Files to be changed have uncommitted changes"
    hint = "Commit them first, or say `allow_dirty`: then they are committed together with the change."


class FilesChanged(Conflict):
    """Raised with `paths`."""

    code, title = "files_changed_meanwhile", "Somebody else has changed these files meanwhile"
    hint = "What they wrote is kept as it is. Look at the files that are named, then try again."


class PatchRefused(Problem):
    """Raised with `said`, git's own words."""

    code, status, title = "patch_does_not_apply", 422, "The patch does not apply"
    hint = "Make it against the files as they are now, as `git diff` writes it."


class NothingToChange(Conflict):
    code, title = "nothing_to_change", "The files are like that already"
    hint = "There is nothing to test or to commit; run the tests with `att test run`."


class InvalidChange(InvalidRequest):
    code, title = "invalid_change", "The change is not valid"
    hint = "Mend what is named: every path once, and content that is base64 when it is said to be."
