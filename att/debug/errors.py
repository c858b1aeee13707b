"""What can go wrong in the debug room, each with its own code. Decides nothing."""

from __future__ import annotations

from att.problems import NotFound, Problem


class NoProfile(NotFound):
    """Raised with `looked_in`."""

    code, title = "no_profile", "There is no profile"
    hint = (
        "Switch `eval.general.profiler` on in the config (for example `compute_llm_metrics: true`) and evaluate: "
        "`att runtime eval PROJECT`."
    )


class MalformedProfile(Problem):
    """Raised with `file`."""

    code, status, title = "malformed_profile", 422, "The profile cannot be read"
    hint = "The file was not written to its end, or by something else; evaluate again."
