"""What was deleted is gone from disk and memory, reads as lost, and moves no cursor."""

from __future__ import annotations

from pathlib import Path

from tests.supervisor.logs.house import all_lines, numbered, offset, opened, story, texts, write


@story
async def test_deleting_up_to_a_cursor_leaves_exactly_the_rest(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, numbered(50_000), b"beside\n")
    lines = await all_lines(log)
    size = log.size_on_disk
    middle = lines[31_234]
    freed = await log.delete(middle.cursor)
    assert size - log.size_on_disk == freed > 2_500_000
    rest = [line for line in lines if offset(line.cursor) > offset(middle.cursor)]
    assert await all_lines(log) == rest
    assert log.oldest == middle.cursor
    page = await log.page(lines[0].cursor, 1)
    assert page.lost is not None
    assert page.lost.bytes == offset(middle.cursor) - offset(lines[0].cursor)
    assert page.lines == rest[:1]
    await write(log, b"goes on\n", run="run-2")
    log.close()
    log = opened(tmp_path)
    assert [x.cursor for x in await all_lines(log)][: len(rest)] == [x.cursor for x in rest]
    assert (await all_lines(log))[-1].text == "goes on"
    log.close()


@story
async def test_deleting_all_leaves_nothing_and_the_cursor_goes_on(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"secret\n" * 1000)
    newest = log.newest
    await log.delete()
    assert await all_lines(log) == []
    assert log.oldest == log.newest == newest
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "log").iterdir())
    await write(log, b"new\n", run="run-2")
    assert texts(await all_lines(log)) == ["new"]
    log.close()
    log = opened(tmp_path)
    assert texts(await all_lines(log)) == ["new"]
    assert (await log.page(newest)).lost is None
    await log.delete()
    assert (await log.page("oldest")).lines == []
    log.close()
