"""The table of a project's status."""

from __future__ import annotations

import itertools

import pytest

from att.project.errors import StatusNotAllowed
from att.project.models import ProjectStatus
from att.project.status import TRANSITIONS, moved

PAIRS = list(itertools.product(ProjectStatus, ProjectStatus))


@pytest.mark.parametrize(("now", "to"), PAIRS)
def test_only_what_the_table_allows_happens(now: ProjectStatus, to: ProjectStatus) -> None:
    if now is to or to in TRANSITIONS[now]:
        assert moved(now, to) is to
    else:
        with pytest.raises(StatusNotAllowed, match=f"{now.value} cannot become {to.value}"):
            moved(now, to)


def test_every_status_has_a_row_and_none_leads_back_to_the_beginning() -> None:
    assert set(TRANSITIONS) == set(ProjectStatus)
    beginnings = {ProjectStatus.CREATED, ProjectStatus.CLONED}
    assert all(beginnings.isdisjoint(after) for after in TRANSITIONS.values())


def test_whatever_happens_an_app_can_be_started_and_can_fail() -> None:
    assert all(
        ProjectStatus.RUNNING in TRANSITIONS[s] for s in ProjectStatus if s is not ProjectStatus.RUNNING
    )
    assert all(ProjectStatus.ERROR in TRANSITIONS[s] for s in ProjectStatus if s is not ProjectStatus.ERROR)
