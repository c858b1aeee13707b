"""What comes in comes out: whole lines, in order, by cursor, whoever asks and from wherever."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

import pytest

from supervisor.logs import cursor as cursors
from supervisor.logs.errors import BadCursor, BadFilter, CursorOfAnotherProject, LogClosed, LogUnusable
from supervisor.logs.log import Log
from supervisor.logs.values import PIECE, Filters
from tests.supervisor.logs.house import (
    PATIENCE,
    SMALL,
    Feed,
    all_lines,
    follow_until,
    numbered,
    offset,
    opened,
    story,
    texts,
    write,
)


@story
async def test_both_streams_come_out_with_time_run_and_cursor(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"one\ntwo\n", b"bad\n", run="20261121-abc")
    page = await log.page("oldest")
    assert texts(page.lines, "stdout") == ["one", "two"]
    assert texts(page.lines, "stderr") == ["bad"]
    assert {line.run for line in page.lines} == {"20261121-abc"}
    assert all(line.at.endswith("Z") and len(line.at) == 27 for line in page.lines)
    assert page.lost is None
    assert (await log.page(page.next_cursor)).lines == []
    log.close()


@story
async def test_resuming_at_every_cursor_gives_exactly_the_rest(tmp_path: Path) -> None:
    log = opened(tmp_path)
    feed = Feed(log)
    for n in range(30):  # lines in pieces, the streams in turns
        await feed.write(stdout=b"out-%d " % n)
        await feed.write(stderr=b"err-%d\nopen-%d" % (n, n))
        await feed.write(stdout=b"end\n" if n % 3 else b"and on ")
    await feed.end()
    whole = await all_lines(log)
    assert len(whole) == 31 + 20
    for place in range(offset(log.newest) + 1):
        rest = [line for line in whole if offset(line.cursor) > place]
        assert (await log.page(cursors.write(cursors.tag("demo"), place))).lines == rest
    log.close()


@story
async def test_interleaved_partial_lines_stay_apart(tmp_path: Path) -> None:
    log = opened(tmp_path)
    feed = Feed(log)
    await feed.write(stdout=b"he")
    await feed.write(stderr=b"wor")
    await feed.write(stdout=b"llo\n")
    await feed.write(stderr=b"ld\n")
    await feed.end()
    assert [(line.stream, line.text) for line in await all_lines(log)] == [
        ("stdout", "hello"),
        ("stderr", "world"),
    ]
    log.close()


@story
async def test_a_last_line_without_newline_is_a_line(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"one\nlast words")
    await write(log, b"whole\n", run="run-2")
    assert texts(await all_lines(log)) == ["one", "last words", "whole"]
    log.close()


@story
async def test_bytes_of_all_kinds_are_readable(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"crlf\r\nbad \xff\xfe utf\nnul \x00 \x1b[31mred\x1b[0m\n\n\xf0\x9f\x98\x80\nbar\rbar\n")
    assert texts(await all_lines(log)) == [
        "crlf",
        "bad �� utf",
        "nul \x00 \x1b[31mred\x1b[0m",
        "",
        "😀",
        "bar\rbar",
    ]
    plain = await log.page("oldest", filters=Filters(strip_ansi=True))
    assert plain.lines[2].text == "nul \x00 red"
    log.close()


@story
async def test_a_ten_megabyte_line_comes_in_pieces_that_join(tmp_path: Path) -> None:
    log = opened(tmp_path)
    line = ("häufig " * 1_250_000).encode()
    assert len(line) == 10_000_000
    await write(log, b"before\n" + line + b"\nafter\n", b"beside\n")
    lines = [x for x in await all_lines(log) if x.stream == "stdout"]
    assert (lines[0].text, lines[-1].text) == ("before", "after")
    pieces = lines[1:-1]
    assert "".join(texts(pieces)).encode() == line
    assert [x.continued for x in pieces] == [True] * (len(pieces) - 1) + [False]
    assert all(PIECE <= len(x.text.encode()) <= PIECE + 3 for x in pieces[:-1])
    for piece in pieces[:: len(pieces) // 7]:
        rest = [x for x in lines if offset(x.cursor) > offset(piece.cursor)]
        assert [x for x in await all_lines(log, piece.cursor) if x.stream == "stdout"] == rest
    log.close()


@story
async def test_a_flood_through_a_small_ring_is_whole_in_pages_and_for_followers(tmp_path: Path) -> None:
    log = opened(tmp_path)
    follower = asyncio.create_task(_follow_lines(log, 100_000))
    data = numbered(100_000)  # ten times the ring, several segments
    await write(log, data)
    want = data.decode().splitlines()
    assert texts(await all_lines(log, limit=10_000)) == want
    assert await follower == want
    assert len(list((tmp_path / "log").glob("*.log"))) > 5
    log.close()


async def _follow_lines(log: Log, count: int) -> list[str]:
    follower, found = log.follow("oldest"), []
    while len(found) < count:
        batch = await follower.next(PATIENCE)
        assert batch is not None
        assert batch.lost is None
        found += texts(batch)
    return found


@story
async def test_without_a_cursor_come_the_last_lines(tmp_path: Path) -> None:
    log = opened(tmp_path)
    assert (await log.page()).lines == []
    await write(log, numbered(20_000))
    page = await log.page(limit=5)
    assert [int(text[:10]) for text in texts(page.lines)] == [19995, 19996, 19997, 19998, 19999]
    assert page.next_cursor == page.newest_cursor
    page = await log.page(limit=10_000)
    assert [int(text[:10]) for text in texts(page.lines)] == list(range(10_000, 20_000))
    page = await log.page(limit=3, filters=Filters(grep="00500 "))
    assert [int(text[:10]) for text in texts(page.lines)] == [500]
    log.close()


@story
async def test_pages_join_without_gap_or_repeat(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, numbered(5000))
    for limit in (1, 7, 999, 5000):
        page = await log.page("oldest", limit)
        assert len(page.lines) == min(limit, 5000)
        following = await log.page(page.next_cursor, 1)
        assert texts(following.lines) == (
            [] if limit == 5000 else [numbered(1, first=limit).decode().strip()]
        )
    log.close()


@story
async def test_a_filtered_page_moves_on_over_what_it_leaves_out(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"a\nb\na\n", b"a\n")
    page = await log.page("oldest", filters=Filters(stream="stdout", grep="^a$"))
    assert texts(page.lines) == ["a", "a"]
    page = await log.page("oldest", filters=Filters(grep="nothing like it"))
    assert page.lines == []
    assert page.next_cursor == page.newest_cursor
    page = await log.page("oldest", filters=Filters(run="another"))
    assert page.lines == []
    log.close()


@story
async def test_waiting_for_a_line_ends_when_it_comes(tmp_path: Path) -> None:
    log = opened(tmp_path)
    feed = Feed(log)
    asking = asyncio.create_task(log.page("newest", filters=Filters(grep="wanted"), wait=PATIENCE))
    await feed.write(b"other\n")
    await feed.write(b"wan")
    await feed.write(b"ted\n")
    assert texts((await asking).lines) == ["wanted"]
    assert (await log.page("newest", wait=0.01)).lines == []
    await feed.end()
    log.close()


@story
async def test_waits_are_ended_at_their_cursor(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"one\n")
    asking = asyncio.create_task(log.page("newest", wait=PATIENCE))
    await asyncio.sleep(0)
    log.end_waits()
    async with asyncio.timeout(PATIENCE / 2):
        page = await asking
        assert (page.lines, page.next_cursor) == ([], log.newest)
        assert (await log.page("newest", wait=PATIENCE)).lines == []
    log.close()


@story
async def test_a_follower_sees_a_line_when_it_ends_and_not_before(tmp_path: Path) -> None:
    log = opened(tmp_path)
    feed = Feed(log)
    follower = log.follow()
    await feed.write(b"half")
    assert await follower.next(0.01) is None
    await feed.write(b" and half\n")
    batch = await follower.next(PATIENCE)
    assert batch is not None
    assert texts(batch) == ["half and half"]
    cancelled = asyncio.create_task(follower.next())
    await asyncio.sleep(0)
    cancelled.cancel()
    await feed.write(b"next\n")
    batch = await follower.next(PATIENCE)
    assert batch is not None
    assert texts(batch) == ["next"]
    await feed.end()
    log.close()


@story
async def test_followers_at_one_place_share_one_batch(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, numbered(10_000))
    one, two = await asyncio.gather(*(follow_until(log, "oldest", log.newest) for _ in range(2)))
    assert all(a is b for a, b in zip(one, two, strict=True))
    log.close()


@story
async def test_closing_takes_what_the_pipes_hold_and_ends_followers(tmp_path: Path) -> None:
    log = opened(tmp_path)
    feed = Feed(log)
    ended = asyncio.create_task(_batches(log))
    await feed.write(b"one\n")
    os.write(feed.out, b"still in the pipe\n")
    await asyncio.to_thread(log.close)
    await ended
    os.close(feed.out)
    os.close(feed.err)
    with pytest.raises(LogClosed):
        await log.page()
    again = opened(tmp_path)
    assert texts(await all_lines(again)) == ["one", "still in the pipe"]
    again.close()


async def _batches(log: Log) -> None:
    async for _ in log.follow():
        pass


@story
async def test_pipes_that_somebody_else_holds_are_let_go(tmp_path: Path) -> None:
    log = opened(tmp_path)
    feed = Feed(log)
    os.write(feed.out, b"last words")
    assert not await log.drained("run-1", patience=0.01)
    assert texts(await all_lines(log)) == ["last words"]
    with pytest.raises(BrokenPipeError):
        os.write(feed.out, b"too late\n")
    assert await log.drained("never captured")
    os.close(feed.out)
    os.close(feed.err)
    log.close()


@story
async def test_cursors_go_on_over_a_restart(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"one\ntwo\n")
    middle = (await log.page("oldest", 1)).next_cursor
    newest = log.newest
    log.close()
    log = opened(tmp_path)
    assert log.newest == newest
    await write(log, b"three\n", run="run-2")
    assert [(x.run, x.text) for x in await all_lines(log, middle)] == [("run-1", "two"), ("run-2", "three")]
    log.close()


@story
async def test_a_wrong_cursor_is_refused_with_its_own_code(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"one\n")
    other = Log.open("other", tmp_path / "other", SMALL)
    bad = ["", "5", "x-", "-1", f"{log.newest}0", f"{log.newest}.5", "ABCDEF-1", f"{cursors.tag('demo')}-01"]
    for text in bad:
        with pytest.raises(BadCursor):
            await log.page(text)
        with pytest.raises(BadCursor):
            log.follow(text)
    with pytest.raises(CursorOfAnotherProject):
        await log.page(other.newest)
    log.close()
    other.close()


@story
async def test_a_filter_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for filters in (
        Filters(stream="both"),
        Filters(level="loud"),
        Filters(grep="("),
        Filters(grep="x" * 1001),
    ):
        with pytest.raises(BadFilter):
            await log.page(filters=filters)
    with pytest.raises(ValueError, match="limit"):
        await log.page(limit=0)
    log.close()


@story
async def test_a_pattern_that_would_run_for_ever_is_stopped(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"a" * 30_000 + b"!\n")
    with pytest.raises(BadFilter, match="too long"):
        await log.page("oldest", filters=Filters(grep=r"(a|aa)+$"))
    log.close()


@story
async def test_an_unusable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    with pytest.raises(LogUnusable):
        opened(tmp_path)
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "position").write_bytes(b"ATTPOS99" + bytes(4088))
    with pytest.raises(LogUnusable):
        Log.open("demo", tmp_path / "newer", SMALL)


def test_fifty_rounds_leak_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    @story
    async def once() -> None:
        log = opened(tmp_path)
        await write(log, b"line\n", b"line\n")
        await log.page("oldest")
        await asyncio.to_thread(log.close)

    once()
    gc.collect()
    before = (
        sorted(os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []),
        threading.active_count(),
    )
    maps = _ring_maps()
    for _ in range(50):
        once()
    gc.collect()
    after = (
        sorted(os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []),
        threading.active_count(),
    )
    assert len(after[0]) == len(before[0])
    assert after[1] == before[1]
    assert _ring_maps() == maps


def _ring_maps() -> int:
    path = Path("/proc/self/maps")
    return path.read_text().count("att-ring") if path.exists() else 0
