"""The table of NAT lines and the constraints that are shipped."""

import re

import pytest
from packaging.requirements import Requirement

from att.runtime import nat

every_line = pytest.mark.parametrize("line", nat.LINES, ids=lambda line: line.name)


@every_line
def test_the_constraints_are_plain_and_complete(line: nat.Line) -> None:
    text = line.constraints.read_text("utf-8")
    pins = {}
    for said in text.splitlines():
        assert re.fullmatch(
            r"[a-z0-9][a-z0-9.-]*==[0-9A-Za-z.]+( ; python_full_version (<|>=) '[0-9.]+')?", said
        ), said
        requirement = Requirement(said)
        pins[nat.normal(requirement.name)] = str(requirement.specifier).removeprefix("==")
    assert pins["nvidia-nat"] == line.release
    assert nat.faults(pins, line.release) == []
    for text in line.requirements:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins[nat.normal(wanted.name)])


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ([], "1.9"),
        (["nvidia-nat>=1.4.3,<2"], "1.9"),
        (["nvidia-nat[langchain]~=1.4.3"], "1.4"),
        (["nvidia_nat==1.9.0", "httpx"], "1.9"),
        (["nvidia-nat<1.5"], "1.4"),
        (["nvidia-nat==1.6.0"], None),
        (["nvidia-nat @ git+https://example.org/nat"], None),
        (["not a requirement !", "nvidia-nat~=1.9.0"], "1.9"),
    ],
)
def test_the_newest_line_that_is_allowed_is_taken(asked: list[str], name: str | None) -> None:
    found = nat.line_wanted(asked)
    assert (found.name if found else None) == name


def test_an_installation_that_cannot_serve_is_known_before_it_is_tried() -> None:
    assert nat.faults({"starlette": "0.50.0"}, "1.4.3") == []
    assert "starlette 1.10.0" in nat.faults({"starlette": "1.10.0"}, "1.4.3")[0]
    assert [said.split()[0] for said in nat.faults({}, "1.9.0")] == ["sqlalchemy", "greenlet"]
    assert nat.faults({"sqlalchemy": "2.0.1", "greenlet": "3.0"}, "1.9.0") == []
    assert nat.faults({}, "2.0.0") == []


def test_an_unknown_or_odd_version_belongs_to_no_line() -> None:
    assert nat.line_of("1.6.0") is None
    assert nat.line_of("not-a-version") is None
    assert nat.line_of("1.9.0rc1") is None or nat.line_of("1.9.0rc1").name == "1.9"  # type: ignore[union-attr]
