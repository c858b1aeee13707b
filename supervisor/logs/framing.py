"""Blocks of lines to bytes: SSE, NDJSON, plain text. What was framed stays with the batch, so that all followers share it.

SSE: `event: line` with the line's object as data and the cursor after it as `id`, so that `Last-Event-ID` resumes exactly; a loss
is `event: lost` with `{"bytes", "lines"}`. NDJSON: the same objects, a loss as `{"lost": {…}, "cursor": …}`. Text: the bare lines.
Only the text of a line needs escaping, and the C encoder of `json` does that; all else is put around it.
"""

from __future__ import annotations

from enum import StrEnum
from json.encoder import encode_basestring as quote

from supervisor.logs.batch import Batch, Span, stamp
from supervisor.logs.records import Kind
from supervisor.logs.values import Lost


class Form(StrEnum):
    SSE = "sse"
    NDJSON = "ndjson"
    TEXT = "text"


def frame(batch: Batch, form: Form) -> bytes:
    """The bytes to send for this batch, the lost mark first; b"" when there is nothing in it."""
    framed = batch.framed.get(form)
    if framed is None:
        framed = batch.framed[form] = _frame(batch, form)
    return framed


def _frame(batch: Batch, form: Form) -> bytes:
    parts: list[str] = []
    if batch.lost is not None:
        parts.append(_lost(batch.lost, f"{batch.tag}-{batch.begin}", form))
    for span in batch.spans:
        if form is Form.TEXT:
            parts += [f"{text}\n" for text in span.texts]
        else:
            parts += _objects(span, batch.tag, form)
    return "".join(parts).encode("utf-8", "replace")


def _lost(lost: Lost, cursor: str, form: Form) -> str:
    lines = "null" if lost.lines is None else str(lost.lines)
    if form is Form.SSE:
        return f'id: {cursor}\nevent: lost\ndata: {{"bytes":{lost.bytes},"lines":{lines}}}\n\n'
    if form is Form.NDJSON:
        return f'{{"lost":{{"bytes":{lost.bytes},"lines":{lines}}},"cursor":"{cursor}"}}\n'
    told = "some lines" if lost.lines is None else f"{lost.lines} lines"
    return f"--- {told} lost ({lost.bytes} bytes) ---\n"


def _objects(span: Span, tag: str, form: Form) -> list[str]:
    """One text a line. `head` and `middle` are the same for all lines of a span."""
    sse = form is Form.SSE
    middle = f'","at":"{stamp(span.at)}","stream":"{span.stream}","run":{quote(span.run)},"text":'
    ends: dict[tuple[bool, Kind], str] = {}
    close = "}\n\n" if sse else "}\n"

    def end(more: bool, kind: Kind) -> str:
        found = ends.get((more, kind))
        if found is None:
            level = "null" if kind.level is None else f'"{kind.level}"'
            logger = "null" if kind.logger is None else quote(kind.logger)
            tail = f',"continued":{"true" if more else "false"},"level":{level},"logger":{logger}'
            found = ends[more, kind] = tail + close
        return found

    same = not span.continued and len(set(span.kinds)) == 1
    if same:
        tail = end(False, span.kinds[0])
        if sse:
            return [
                f'id: {tag}-{at}\nevent: line\ndata: {{"cursor":"{tag}-{at}{middle}{quote(text)}{tail}'
                for text, at in zip(span.texts, span.ends, strict=True)
            ]
        return [
            f'{{"cursor":"{tag}-{at}{middle}{quote(text)}{tail}'
            for text, at in zip(span.texts, span.ends, strict=True)
        ]
    rows = zip(span.texts, span.ends, span.kinds, strict=True)
    return [
        (f"id: {tag}-{at}\nevent: line\ndata: " if sse else "")
        + f'{{"cursor":"{tag}-{at}{middle}{quote(text)}{end(n in span.continued, kind)}'
        for n, (text, at, kind) in enumerate(rows)
    ]
