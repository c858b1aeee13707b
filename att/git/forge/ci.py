"""What att.toml says of forge and checks, and which command checks a commit. Pure: no I/O.

    [git]
    forge = "auto"                # github | local; what the daemon's setting `forge` says when this is left out
    reviews = 0                   # approvals that the local forge asks for before it merges
    [ci]
    command = ["./.ci/run"]       # run in a clean copy of the commit; found by itself when it is left out
    timeout = 1800                # seconds
    required = true               # whether the local forge merges only what passed

Without a command an executable `.ci/run` is taken, else pytest when there are tests; where there is neither, a commit has no
checks. The command is that of the commit which is checked; what is required to merge is said by the base branch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from att.git.forge.errors import InvalidForgeSettings
from att.git.forge.remote import Kind

FILE = "att.toml"
LOOKED_AT = (FILE, ".ci/run", "tests", "test", "conftest.py", "pytest.ini")
"""The names in a commit that decide."""
EXECUTABLE = "100755"
PYTEST = ("python", "-m", "pytest", "-q")
Word = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GitSettings(_Table):
    """`[git]`."""

    forge: Kind | None = None
    reviews: int = Field(default=0, ge=0, le=20)


class CiSettings(_Table):
    """`[ci]`."""

    command: Annotated[tuple[Word, ...], Field(min_length=1, max_length=100)] | None = None
    timeout: float = Field(default=1800.0, gt=0, le=86_400)
    required: bool = True


class ForgeSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    git: GitSettings = GitSettings()
    ci: CiSettings = CiSettings()


def parse(text: str) -> ForgeSettings:
    """The settings in an att.toml; `InvalidForgeSettings` names the key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise InvalidForgeSettings(f"{FILE} is not valid TOML: {fault}.", fields=[]) from None
    try:
        return ForgeSettings.model_validate(
            {name: document[name] for name in ("git", "ci") if name in document}
        )
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        fields = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in faults]
        said = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
        raise InvalidForgeSettings(f"{FILE}: {said}.", fields=fields) from None


def command(settings: CiSettings, modes: Mapping[str, str]) -> tuple[str, ...] | None:
    """What checks a commit. `modes`: git's mode of those of `LOOKED_AT` that the commit has."""
    if settings.command is not None:
        return settings.command
    if modes.get(".ci/run") == EXECUTABLE:
        return ("./.ci/run",)
    return PYTEST if modes.keys() & {"tests", "test", "conftest.py", "pytest.ini"} else None
