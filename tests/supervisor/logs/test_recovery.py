"""After a death: what was kept is there, lines that were open are ended, the rest reads as lost, no offset comes twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.logs import cursor as cursors
from supervisor.logs import position as positions
from supervisor.logs.marks import SIZE
from supervisor.logs.position import Position
from supervisor.logs.segments import Segments
from supervisor.logs.values import Line, Lost
from tests.supervisor.logs.house import (
    SMALL,
    Feed,
    all_lines,
    lines_and_losses,
    numbered,
    offset,
    opened,
    story,
    texts,
    write,
)

INGESTER = """
import asyncio, os, subprocess, sys
from pathlib import Path
from supervisor.logs.log import Log
from supervisor.logs.values import LogSettings
log = Log.open("demo", Path(sys.argv[1]), LogSettings(ring_bytes=1 << 20, segment_bytes=1 << 20, keep_free_bytes=0))
out, out_w = os.pipe()
err, err_w = os.pipe()
log.capture("run-1", out, err)
writer = '''
import os
n = 0
os.write(2, b"open on stderr")
while True:
    os.write(1, b"".join(b"%010d " % k + b"x" * (k % 500) + b"\\\\n" for k in range(n, n + 200)))
    n += 200
'''
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", writer], stdout=out_w, stderr=err_w)
os.close(out_w), os.close(err_w)
async def main():
    at = log.end
    while True:
        await log.moved(at, None)
        at = log.end
        os.write(1, f"{at}\\n".encode())
asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 100_000, 3_000_000, 7_654_321])
def test_what_was_acknowledged_before_a_kill_is_there(tmp_path: Path, acknowledged: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INGESTER, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    told = 0
    for line in process.stdout:
        told = int(line)
        if told >= acknowledged:
            break
    process.send_signal(signal.SIGKILL)
    told = max([told, *(int(line) for line in process.stdout.read().split(b"\n")[:-1])])
    process.wait()
    _check_after_kill(tmp_path, told)


@story
async def _check_after_kill(tmp_path: Path, told: int) -> None:
    log = opened(tmp_path)
    newest = log.end
    found = await lines_and_losses(log)
    lines = [line for line in found if isinstance(line, Line)]
    out = texts(lines, "stdout")
    if told >= 1_000_000:  # killed sooner, it may not have come to the other pipe yet
        assert texts(lines, "stderr") == ["open on stderr"]
    assert [int(text[:10]) for text in out[:-1]] == list(range(len(out) - 1))
    assert all(len(text) == 11 + int(text[:10]) % 500 for text in out[:-1])
    kept = offset(lines[-1].cursor)
    assert kept >= told
    # bytes that were in memory only when it was killed
    assert found[len(lines) :] == ([Lost(newest - kept, None)] if newest > kept else [])
    await write(log, b"next life\n", run="run-2")
    new = (await all_lines(log, cursors.write(cursors.tag("demo"), newest)))[0]
    assert new.text == "next life"
    assert offset(new.cursor) == newest + 10
    log.close()


def test_a_machine_that_died_skips_what_was_reserved(tmp_path: Path) -> None:
    path = tmp_path / "position"
    position = Position(path, boot=1)
    position.start(0)
    position.end = 100
    position.close()
    again = Position(path, boot=1)
    assert (again.begin, again.clean) == (100, False)
    again.close()
    rebooted = Position(path, boot=2)
    assert rebooted.begin >= positions.STEP
    rebooted.finish(rebooted.begin)
    rebooted.close()
    clean = Position(path, boot=3)
    assert (clean.begin, clean.clean) == (rebooted.begin, True)
    clean.close()


def test_reservations_grow_under_a_flood_and_are_made_before_use(tmp_path: Path) -> None:
    position = Position(tmp_path / "position", boot=1)
    position.start(0)
    reserved = []
    for end in range(0, 40 << 30, 256 << 20):
        position.reserve(end)
        position.end = end
        (tmp_path / "copy").write_bytes((tmp_path / "position").read_bytes())
        rebooted = Position(tmp_path / "copy", boot=2)
        assert rebooted.begin >= end
        reserved.append(rebooted.begin)
        rebooted.close()
    assert len(set(reserved)) < 10
    position.close()


@story
async def test_the_hole_after_a_reboot_reads_as_lost(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"before\n")
    newest = log.newest
    log.close()
    position = Position(tmp_path / "log" / "position")
    position.start(position.begin + 5_000_000)
    position.close()
    log = opened(tmp_path)
    await write(log, b"after\n", run="run-2")
    page = await log.page("oldest")
    assert texts(page.lines) == ["before"]
    page = await log.page(page.next_cursor)
    assert page.lost is not None
    assert (page.lost.bytes, page.lost.lines) == (5_000_000, None)
    assert texts(page.lines) == ["after"]
    page = await log.page(limit=10)
    assert texts(page.lines) == ["after"]
    assert page.lost is not None
    assert page.lost.bytes == 5_000_000
    page = await log.page(cursors.write(cursors.tag("demo"), offset(newest) + 4_000_000))
    assert page.lost is not None
    assert page.lost.bytes == 1_000_000
    log.close()


def _a_log(folder: Path) -> None:
    @story
    async def make() -> None:
        log = opened(folder)
        feed = Feed(log)
        await feed.write(stderr=b"left open")
        for n in range(20):
            await feed.write(stdout=numbered(1000, first=1000 * n)[:-1])
            await feed.write(stdout=b"\n", stderr=b" %d" % n)
        await feed.end()
        log.close()

    make()


@settings(max_examples=40, deadline=None)
@given(cut_data=st.integers(0, 1 << 20), cut_index=st.integers(0, 5000), torn=st.booleans())
def test_segments_are_cut_to_what_data_and_index_both_cover(
    tmp_path_factory: pytest.TempPathFactory, cut_data: int, cut_index: int, torn: bool
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    _a_log(folder)
    newest = max((folder / "log").glob("*.log"))
    whole = newest.read_bytes()
    index = newest.with_suffix(".idx")
    os.truncate(newest, max(0, len(whole) - cut_data))
    os.truncate(index, max(0, index.stat().st_size - cut_index))
    if torn and index.stat().st_size > SIZE:
        data = bytearray(index.read_bytes())
        data[-5] ^= 0xFF
        index.write_bytes(data)
    segments = Segments(folder / "log", SMALL.segment_bytes)
    for a, b in zip(segments.all, segments.all[1:], strict=False):
        assert a.end == b.base
    if segments.all and segments.all[-1].data == newest:
        kept = newest.read_bytes()
        assert whole.startswith(kept)
        assert segments.all[-1].end - segments.all[-1].base == len(kept)
    position = Position(folder / "log" / "position")
    position.start(position.begin)  # it did not end cleanly
    position.close()
    _read_after_cut(folder)


@story
async def _read_after_cut(folder: Path) -> None:
    log = opened(folder)
    lines = [line for line in await lines_and_losses(log) if isinstance(line, Line)]
    out = texts(lines, "stdout")
    assert [int(text[:10]) for text in out[:-1]] == list(range(len(out) - 1))
    assert len(texts(lines, "stderr")) == 1
    assert texts(lines, "stderr")[0].startswith("left open")
    await write(log, b"goes on\n", run="run-2")
    assert (await log.page(limit=1)).lines[0].text == "goes on"
    log.close()


@story
async def test_a_deletion_that_was_not_finished_is_finished(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, numbered(5000))
    lines = await all_lines(log)
    old = {
        path: path.read_bytes() for path in (tmp_path / "log").iterdir() if path.suffix in (".log", ".idx")
    }
    await log.delete(lines[2000].cursor)
    log.close()
    for path, data in old.items():
        path.write_bytes(data)  # killed before the old files were gone
    (tmp_path / "log" / "00000000000000000007.log.new").write_bytes(b"half written")
    log = opened(tmp_path)
    assert texts(await all_lines(log)) == texts(lines[2001:])
    assert not list((tmp_path / "log").glob("*.new"))
    log.close()


@story
async def test_run_names_survive_a_torn_entry(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await write(log, b"one\n", run="run-1")
    log.close()
    runs = tmp_path / "log" / "runs"
    runs.write_bytes(runs.read_bytes() + b"2 ru")
    log = opened(tmp_path)
    await write(log, b"two\n", run="run-2")
    log.close()
    log = opened(tmp_path)
    assert [line.run for line in await all_lines(log)] == ["run-1", "run-2"]
    log.close()
