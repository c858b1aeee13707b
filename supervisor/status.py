"""How things stand, put together for whoever asks: out of the phase, the run if there is one, and what is known of the last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from supervisor.keeper import Exit
from supervisor.lifecycle import Phase
from supervisor.report import ProbeStatus, RunnerStatus, RunStatus
from supervisor.resources import Figures
from supervisor.run import Run
from supervisor.spec import AppSpec


@dataclass(slots=True)
class Past:
    """What stays known when the run it is about is over."""

    run_id: str | None = None
    restarts: int = 0  # by itself, since a person last wanted it
    reason: str = ""
    code: str = ""
    backoff_until: datetime | None = None
    exit: Exit | None = None
    started_at: datetime | None = None
    ready_at: datetime | None = None
    probes: tuple[ProbeStatus, ...] = ()

    def note(self, run: Run, exit: Exit, reason: str) -> None:
        self.exit = exit
        self.reason = reason
        self.started_at = run.began_at
        self.ready_at = run.ready_at
        self.probes = run.probes()


def compose(
    phase: Phase, spec: AppSpec, run: Run | None, past: Past, cursor: str, figures: Figures | None
) -> RunnerStatus:
    shown = run.spec if run else spec
    probes = run.probes() if run else past.probes
    speaker = _speaker(run, probes)
    # The end of an earlier run is still the last that is known while a new one lives.
    exit = past.exit
    return RunnerStatus(
        state=phase.state,
        run_id=run.run_id if run else past.run_id,
        pid=run.pid if run else None,
        command=shown.command,
        host=shown.host,
        port=shown.port,
        started_at=run.began_at if run else past.started_at,
        ready_at=run.ready_at if run else past.ready_at,
        exited_at=exit.at if exit else None,
        exit_code=exit.code if exit else None,
        exit_signal=exit.signal if exit else None,
        restarts=past.restarts,
        backoff_until=past.backoff_until,
        healthy=run.health.healthy if run else None,
        health_probe=speaker.name if speaker else None,
        health_reason=speaker.reason if speaker else "",
        health_checked_at=speaker.checked_at if speaker else None,
        probes=probes,
        cpu_percent=figures.cpu_percent if figures else None,
        rss_bytes=figures.rss_bytes if figures else None,
        processes=figures.processes if figures else None,
        open_files=figures.open_files if figures else None,
        threads=figures.threads if figures else None,
        log_cursor=cursor,
        reason=past.reason,
        runs=(RunStatus(run.run_id, run.pid, "current", phase.state),) if run else (),
    )


def _speaker(run: Run | None, probes: tuple[ProbeStatus, ...]) -> ProbeStatus | None:
    if run is None or run.health.speaker is None:
        return None
    return probes[run.health.speaker]
