"""What each line of NAT releases needs, as one table. Pure.

Measured with the real releases: a plain install of 1.4.x breaks on Starlette 1, one of 1.9.0 lacks SQLAlchemy's asyncio parts,
and both leak a log filter per request (`worker`). A release that is newer than the table is treated as the newest line, but
without its constraints: those name one exact release. The worker looks for itself whether the fault is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

PACKAGE = "nvidia-nat"
CONSTRAINTS = Path(__file__).parent / "constraints"
SHIM = Path(__file__).parent / "shim"
WORKER = "att_nat_worker.Worker"
MISLEADING = "object has no attribute '_dask_client'"


@dataclass(frozen=True, slots=True)
class Need:
    """A package that must be there for `nat serve` to start: why, and which versions will not do."""

    package: str
    because: str
    bad: SpecifierSet = field(default_factory=SpecifierSet)
    missing_is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of NAT releases. `release` is the one that is tried and pinned in the constraints."""

    name: str
    versions: SpecifierSet
    release: str
    requirements: tuple[str, ...]
    needs: tuple[Need, ...]
    eval_extra: str
    mcp_extra: str
    agent_extra: str

    @property
    def constraints(self) -> Path:
        return CONSTRAINTS / f"nat-{self.name}.txt"


LINES = (
    Line(
        name="1.9",
        versions=SpecifierSet(">=1.9,<1.10"),
        release="1.9.0",
        requirements=("sqlalchemy[asyncio]>=2",),
        needs=(
            Need("sqlalchemy", "NAT 1.9 imports it to serve, without declaring it", missing_is_bad=True),
            Need("greenlet", "SQLAlchemy's asyncio part needs it", missing_is_bad=True),
        ),
        eval_extra="nvidia-nat[eval]",
        mcp_extra="nvidia-nat[mcp]",
        agent_extra="nvidia-nat[langchain]",
    ),
    Line(
        name="1.4",
        versions=SpecifierSet(">=1.4,<1.5"),
        release="1.4.3",
        requirements=("fastapi<0.130", "starlette<1"),
        needs=(Need("starlette", "NAT 1.4 cannot serve with Starlette 1 or newer", bad=SpecifierSet(">=1")),),
        eval_extra="nvidia-nat",
        mcp_extra="nvidia-nat[mcp]",
        agent_extra="nvidia-nat[langchain]",
    ),
)
NEWEST = LINES[0]


def normal(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def line(name: str) -> Line | None:
    """The line called `name` ("1.4"), or None."""
    return next((entry for entry in LINES if entry.name == name), None)


def line_of(version: str) -> Line | None:
    """The line that an installed release belongs to; None when it is not in the table."""
    try:
        found = Version(version)
    except InvalidVersion:
        return None
    return next((entry for entry in LINES if entry.versions.contains(found, prereleases=True)), None)


def line_wanted(dependencies: list[str]) -> Line | None:
    """The newest tried line that the dependencies allow; None when NAT is asked for in a version that was not tried.

    No mention of NAT at all means that the choice is free: the newest.
    """
    asked = SpecifierSet()
    for text in dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if normal(requirement.name) in {PACKAGE, "nvidia-nat-core"}:
            if requirement.url:
                return None
            asked &= requirement.specifier
    return next((entry for entry in LINES if asked.contains(entry.release, prereleases=True)), None)


def faults(installed: Mapping[str, str], nat_version: str) -> list[str]:
    """Sentences on why `nat serve` will not start with these packages; empty when it will, as far as is known."""
    entry = line_of(nat_version)
    found = []
    for need in entry.needs if entry else ():
        version = installed.get(need.package)
        if version is None:
            if need.missing_is_bad:
                found.append(f"{need.package} is missing ({need.because})")
        elif str(need.bad) and need.bad.contains(version, prereleases=True):
            found.append(f"{need.package} {version} does not do ({need.because})")
    return found
