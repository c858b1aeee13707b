"""What is framed says the same as the lines, is valid in its form, and is made once."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs.batch import Batch, Span, stamp
from supervisor.logs.framing import Form, frame
from supervisor.logs.records import UNKNOWN, Kind
from supervisor.logs.values import Lost
from tests.supervisor.logs.house import follow_until, opened, story, write

texts = st.text(st.characters(blacklist_characters="\n", blacklist_categories=("Cs",)), max_size=20)
some_kinds = st.sampled_from([UNKNOWN, Kind("info", 'a"b')])


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    spans, end = [], 7
    for _ in range(draw(st.integers(0, 4))):
        found = draw(st.lists(texts, min_size=1, max_size=5))
        ends = [end := end + len(text.encode()) + 1 for text in found]
        kinds = [draw(some_kinds) for _ in found]
        continued = frozenset(draw(st.sets(st.integers(0, len(found) - 1))))
        stream = draw(st.sampled_from(["stdout", "stderr"]))
        spans.append(Span(draw(st.integers(0, 1 << 61)), stream, 'r"1', found, ends, continued, kinds))
    lost = draw(st.sampled_from([None, Lost(5, None), Lost(1 << 40, 3)]))
    return Batch("abcdef", 7, end, spans, lost)


@given(batches())
def test_every_line_of_ndjson_is_its_object(batch: Batch) -> None:
    found = [json.loads(line) for line in frame(batch, Form.NDJSON).decode().split("\n")[:-1]]
    if batch.lost is not None:
        assert found.pop(0) == {"lost": asdict(batch.lost), "cursor": "abcdef-7"}
    assert found == [asdict(line) for line in batch.lines()]


@given(batches())
def test_every_sse_event_carries_the_cursor_after_it(batch: Batch) -> None:
    found = frame(batch, Form.SSE).decode().split("\n\n")[:-1]
    if batch.lost is not None:
        assert found.pop(0).split("\n")[:2] == ["id: abcdef-7", "event: lost"]
    for event, line in zip(found, batch.lines(), strict=True):
        id_, kind, data = event.split("\n")
        assert (id_, kind) == (f"id: {line.cursor}", "event: line")
        assert "\r" not in data  # it would end a line of SSE
        assert json.loads(data.removeprefix("data: ")) == asdict(line)


@given(batches())
def test_plain_text_is_the_bare_lines(batch: Batch) -> None:
    text = frame(batch, Form.TEXT).decode()
    if batch.lost is not None:
        told, _, text = text.partition("\n")
        assert "lost" in told
    assert text == "".join(f"{line.text}\n" for line in batch.lines())


def test_a_batch_is_framed_once() -> None:
    batch = Batch("abcdef", 0, 2, [Span(0, "stdout", "r", ["a"], [2], kinds=[UNKNOWN])])
    assert frame(batch, Form.SSE) is frame(batch, Form.SSE)


def test_times_are_utc_with_microseconds() -> None:
    assert stamp(1_795_225_425_123_456_789) == "2026-11-21T01:43:45.123456Z"


@story
async def test_the_level_of_a_line_is_that_of_its_record_wherever_one_begins(tmp_path: Path) -> None:
    log = opened(tmp_path)
    head = b"2026-11-20 23:58:34 - ERROR    - nat.x:1 - failed\n"
    await write(log, head + b"  more\n" * 20_000 + head.replace(b"ERROR  ", b"WARNING") + b"tail\n")
    lines = [line for batch in await follow_until(log, "oldest", log.newest) for line in batch]
    assert [line.level for line in lines] == ["error"] * 20_001 + ["warning"] * 2
    page = await log.page(lines[5].cursor, 3)
    assert [(line.level, line.logger) for line in page.lines] == [("error", "nat.x")] * 3
    log.close()
