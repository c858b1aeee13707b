"""What the events of a version under watch make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.deploy import settings
from att.deploy.probation import TABLE, Standing, Told, Watch, after, time_left, verdict
from att.runtime.errors import InvalidSettings

NEW = Watch("a2", frozenset({"r1"}))


def told(name: str, run: str = "r1", failed: bool = False, **payload: Any) -> Told:
    return Told(f"runtime.{name}", {"run_id": run, **payload}, failed)


def died(run: str = "r1", why: str = "code 3") -> Told:
    return told("exited", run, failed=True, asked=False, error=None, reason=why)


def again(run: str, artefact: str = "a2", role: str = "current") -> Told:
    return told("started", run, artefact_id=artefact, role=role)


def story(*events: Told, watch: Watch = NEW, left: float = 1) -> tuple[Standing, str]:
    for each in events:
        watch = after(watch, each)
    return verdict(watch, left)


@pytest.mark.parametrize(
    ("events", "left", "standing"),
    [
        ((), 1, Standing.ON),
        ((), 0, Standing.PASSED),
        ((told("failed", code="crash_loop", reason="it ended 4 times"),), 1, Standing.ILL),
        ((told("unhealthy", probe="http", reason="HTTP 503"),), 1, Standing.ILL),
        ((died(),), 1, Standing.ON),
        ((died(), again("r2"), told("ready", "r2")), 0, Standing.PASSED),
        ((died(), again("r2"), died("r2")), 1, Standing.ILL),
        ((died(), again("r2")), 0, Standing.ILL),  # the time is over and it is not back
        ((told("exited", asked=True),), 0, Standing.PASSED),
        ((told("exited", failed=True, reason="daemon_lost"),), 0, Standing.PASSED),
        ((told("exited", failed=False, asked=False, reason="files changed"),), 0, Standing.PASSED),
        ((died("r0"), told("failed", "r0")), 1, Standing.ON),  # of the version before
        ((again("r9", role="candidate"), died("r9"), died("r9")), 1, Standing.ON),
        ((again("r9", artefact="a3"), died("r9"), died("r9")), 1, Standing.ON),
    ],
)
def test_what_is_told_decides(events: tuple[Told, ...], left: float, standing: Standing) -> None:
    assert story(*events, left=left)[0] is standing


def test_the_reason_is_the_apps_own() -> None:
    error = told("exited", failed=True, asked=False, error="ValueError: no key", reason="code 1")
    assert story(error, watch=replace(NEW, allowed=0))[1] == "it died once under watch: ValueError: no key"
    assert story(told("unhealthy", probe="http", reason="HTTP 503"))[1] == "the probe http failed: HTTP 503"


EVENTS = st.builds(
    lambda name, run, failed, asked: told(name.removeprefix("runtime."), run, failed, asked=asked),
    st.sampled_from(sorted(TABLE)),
    st.sampled_from(["r0", "r1"]),
    st.booleans(),
    st.sampled_from([True, False, None]),
)


@given(st.lists(EVENTS, max_size=12), st.integers(0, 12), st.integers(0, 3))
def test_whoever_begins_in_the_middle_comes_to_the_same_end(
    events: list[Told], cut: int, allowed: int
) -> None:
    whole = first = replace(NEW, allowed=allowed)
    for each in events:
        whole = after(whole, each)
    for each in events[:cut]:
        first = after(first, each)
    for each in events[cut:]:
        first = after(first, each)
    assert first == whole
    deaths = [one for one in events if one.event_type == "runtime.exited" and one.failed]
    mine = [one for one in deaths if one.payload["run_id"] == "r1" and one.payload["asked"] is False]
    if len(mine) > allowed:
        assert verdict(whole, 1)[0] is Standing.ILL


def test_a_new_life_looks_for_a_while_also_when_the_time_is_over() -> None:
    assert time_left(100, 90, fresh=False, pause=5) == 10
    assert time_left(100, 90, fresh=True, pause=5) == 10
    assert time_left(100, 200, fresh=True, pause=5) == 5
    assert time_left(100, 200, fresh=False, pause=5) == 0


def test_the_settings_of_the_watch_have_defaults_and_are_checked() -> None:
    assert settings.parse("") == settings.DeploySettings(watch=60, watch_crashes=1)
    assert settings.parse("[deploy]\nwatch = 0\n").watch == 0
    for wrong, field in (("watch = -1", "deploy.watch"), ("wacth = 5", "deploy.wacth")):
        with pytest.raises(InvalidSettings) as refused:
            settings.parse(f"[deploy]\n{wrong}\n")
        assert refused.value.extra["fields"][0]["field"] == field
