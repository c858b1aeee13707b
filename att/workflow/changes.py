"""What is asked of a change that is tested before it is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from att.testing.models import Selection
from att.workflow.models import Wait

PathText = Annotated[
    str, Field(min_length=1, max_length=4096, description="Relative to the project's directory.")
]


class Change(BaseModel):
    """One file: its whole new content, or its deletion."""

    model_config = ConfigDict(extra="forbid")

    path: PathText
    content: str | None = Field(default=None, max_length=32 << 20)
    base64: bool = Field(default=False, description="The content is given as base64.")
    delete: bool = False
    executable: bool | None = Field(default=None, description="Default: as the file was; a new one is not.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Change:
        if self.delete == (self.content is not None):
            raise ValueError("exactly one of content and delete is needed")
        return self


class ChangeTest(BaseModel):
    """Change files, run tests, commit; or leave everything as it was."""

    model_config = ConfigDict(extra="forbid")

    project_id: str
    message: str = Field(min_length=1, max_length=1 << 16, description="Of the commit.")
    changes: list[Change] = Field(
        default=[], max_length=1000, description="Files with their new content, or to be deleted."
    )
    patch: str | None = Field(
        default=None, min_length=1, max_length=32 << 20, description="A unified diff, in place of changes."
    )
    test: Selection = Field(default_factory=Selection, description="Which tests to run; all without it.")
    branch: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A new branch for the commit; else the one that is checked out.",
    )
    allow_dirty: bool = Field(
        default=False,
        description="Also change files that have uncommitted changes; those are committed with it.",
    )
    wait: Wait = 0

    @model_validator(mode="after")
    def _one_source(self) -> ChangeTest:
        if bool(self.changes) == (self.patch is not None):
            raise ValueError("exactly one of changes and patch is needed")
        return self
