"""What is asked and answered about a project's files. Sizes and offsets are in bytes, paths relative to the project."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from att.catalogue import Header, Query
from att.store.times import Timestamp

MIB = 1 << 20
Path = Annotated[
    str, Field(min_length=1, max_length=4096, description="Relative to the project, with slashes.")
]
Below = Annotated[str, Field(max_length=4096, description="The directory to look in; empty: the project.")]
Glob = Annotated[str, Field(min_length=1, max_length=1000)]
IfMatch = Annotated[
    str | None,
    Field(
        default=None,
        max_length=1000,
        description="Only if the file still has this etag (`*`: if there is one).",
    ),
    Header("If-Match"),
]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: str


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class Encoding(StrEnum):
    UTF8 = "utf-8"
    BASE64 = "base64"


class ListFiles(Asked):
    """Which entries, in the order of their paths. Globs as in a `.gitignore`: the last that fits decides, `!` takes out."""

    path: Below = ""
    glob: list[Glob] = Field(default=[], max_length=50, description="Only files that one of these means.")
    hidden: bool = Field(default=False, description="Also names that begin with a dot (never `.git`).")
    ignored: bool = Field(default=False, description="Also what `.gitignore` takes out.")
    depth: int = Field(default=200, ge=1, le=200, description="How many levels down; 1: no deeper.")
    cursor: str | None = Field(default=None, max_length=8192)
    limit: int = Field(default=200, ge=1, le=5000)


class FileEntry(BaseModel):
    path: str
    kind: Kind
    size: int | None
    modified_at: Timestamp | None
    target: str | None = Field(description="Where a link points.")


class FilePage(BaseModel):
    files: list[FileEntry]
    next_cursor: str | None


class ReadFile(Asked):
    """Which file, and which part of a large one."""

    path: Annotated[Path, Query]
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=4 * MIB, ge=1, le=16 * MIB, description="Bytes that are answered at most.")
    encoding: Encoding | None = Field(
        default=None, description="Left out: text when it is text, else base64."
    )


class FileContent(BaseModel):
    """A file, or a part of it. `next_offset`: where the rest begins (null: this is the end)."""

    path: str
    content: str
    encoding: Encoding
    size: int
    offset: int
    length: int
    next_offset: int | None
    etag: Annotated[str, Header("ETag")]
    executable: bool
    modified_at: Timestamp


class WriteFile(Asked):
    """The whole new content. Directories on the way are made."""

    path: Annotated[Path, Query]
    content: str = Field(description="Text, or base64 of any bytes with `encoding` base64.")
    encoding: Encoding = Encoding.UTF8
    if_match: IfMatch
    if_none_match: Annotated[
        Literal["*"] | None,
        Field(default=None, description="`*`: only if there is no such file."),
        Header("If-None-Match"),
    ]


class WrittenFile(BaseModel):
    path: str
    size: int
    etag: Annotated[str, Header("ETag")]
    created: bool
    modified_at: Timestamp


class DeleteFile(Asked):
    path: Annotated[Path, Query]
    recursive: bool = Field(default=False, description="A directory with all that is in it.")
    if_match: IfMatch


class DeletedFile(BaseModel):
    path: str
    directory: bool


class MoveFile(Asked):
    """From one path to another, within the project. Directories on the way are made."""

    source: Path
    target: Path
    replace: bool = Field(default=False, description="A file that is there gives way.")
    if_match: IfMatch


class MovedFile(BaseModel):
    source: str
    target: str


class SearchFiles(Asked):
    """What is looked for, line by line, and where."""

    query: str = Field(min_length=1, max_length=4000)
    regex: bool = Field(
        default=False,
        description="`query` is an expression (Rust's regex, PCRE2 where it looks around itself), else plain text.",
    )
    ignore_case: bool = False
    path: Below = ""
    globs: list[Glob] = Field(
        default=[], max_length=50, description="As in a `.gitignore`: `*.py`, `!tests/`."
    )
    hidden: bool = False
    ignored: bool = False
    context: int = Field(default=0, ge=0, le=10, description="Lines before and after each match.")
    limit: int = Field(default=200, ge=1, le=2000)
    timeout: float = Field(default=10.0, gt=0, le=30)


class Match(BaseModel):
    """A line; `column` and `length` are those of its first match, in characters. `cut`: of a long line only a part is told."""

    path: str
    line: int
    column: int
    length: int
    text: str
    cut: bool
    before: list[str] = []
    after: list[str] = []


class Matches(BaseModel):
    """What was found. `reason` tells why that may not be all (null: it is)."""

    matches: list[Match]
    complete: bool
    reason: Literal["limit", "timeout", "failed"] | None
    files: int = Field(description="Files that were looked into.")
    seconds: float


class AskDiff(Asked):
    """Left alone: the working tree against the last commit."""

    path: list[Path] = Field(default=[], max_length=100)
    base: str | None = Field(default=None, max_length=256, description="Revision to compare with; else HEAD.")
    head: str | None = Field(
        default=None, max_length=256, description="Revision to look at; else the working tree."
    )
    untracked: bool = Field(default=False, description="Also files that git does not know yet.")
    context: int = Field(default=3, ge=0, le=100)
    limit: int = Field(
        default=MIB, ge=1024, le=8 * MIB, description="Bytes of diff that are answered at most."
    )


class ChangedFile(BaseModel):
    """`additions` and `deletions` are null for a file that is no text."""

    path: str
    old_path: str | None
    additions: int | None
    deletions: int | None


class Diff(BaseModel):
    """`cut`: the text is longer than was asked for; `files` names all."""

    diff: str
    files: list[ChangedFile]
    cut: bool
