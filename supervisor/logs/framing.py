"""Blocks of lines to bytes: SSE, NDJSON, plain text. Cached on the block, so that all followers of a kind share them."""

from __future__ import annotations

from enum import StrEnum

from supervisor.logs.log import Batch


class Form(StrEnum):
    SSE = "sse"  # `event: line` / `event: lost`, `id:` is the cursor after the line
    NDJSON = "ndjson"  # a line: its object; lost: {"lost": {"bytes": …, "lines": …}, "cursor": …}
    TEXT = "text"


def frame(batch: Batch, form: Form) -> bytes:
    """The bytes to send for this batch, lost mark first."""
    return b""
