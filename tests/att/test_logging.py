"""What the daemon says of itself, when nobody takes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAY = """
import logging, sys
from att import logging as ours
import structlog
ours.configure("info")
structlog.get_logger("att").error("told", text="\\ud800 and ü")
logging.getLogger("library").warning("told too")
sys.exit(75)
"""


def test_lines_are_json_where_there_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, timeout=30)
    ours, theirs = done.stderr.decode().splitlines()
    assert '"event": "told"' in ours
    assert theirs == "library WARNING told too"
    assert done.returncode == 75


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_below_the_log_stops_nothing_and_keeps_the_exit_code() -> None:
    with Path("/dev/full").open("wb") as full:
        assert subprocess.run([sys.executable, "-c", SAY], stderr=full, timeout=30).returncode == 75


def test_a_reader_that_is_gone_stops_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", f"input()\n{SAY}"], stdin=-1, stderr=-1)
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(30) == 75
