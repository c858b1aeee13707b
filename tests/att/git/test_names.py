"""Which names git takes for a branch: our rules against git's own."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from att.git import errors, names
from tests.att.git.test_changing import NAMES, ODD


def git_takes(name: str) -> bool:
    done = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_judged_as_git_judges(name: str) -> None:
    assert names.is_branch(name) == git_takes(name)


@given(NAMES.filter(lambda name: "\0" not in name))
@settings(max_examples=300, deadline=None)
def test_our_rules_are_gits(name: str) -> None:
    assert names.is_branch(name) == git_takes(name)


@given(st.text(max_size=40))
def test_what_is_no_name_is_refused_with_the_field(name: str) -> None:
    if names.is_branch(name):
        assert names.branch(name) == name
    else:
        with pytest.raises(errors.InvalidBranch) as told:
            names.branch(name, field="new_name")
        assert told.value.extra["fields"][0]["field"] == "new_name"


@pytest.mark.parametrize("text", ["-x", "--all", "", "a\0b", "a\nb", "a..b", "a...b"])
def test_a_revision_is_no_flag_and_no_range(text: str) -> None:
    with pytest.raises(errors.UnknownRevision):
        names.revision(text)
