"""What the launcher is given may be damaged, missing, full, mute or mad: it goes on, and says what it found."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.births import Births, NotBorn
from launcher.disk import Disk
from launcher.home import Home as LaunchedHome
from launcher.home import Program
from launcher.keeper import REQUESTS, Keeper
from launcher.output import prune
from launcher.poller import Poller
from launcher.settings import read
from launcher.verdict import Kind
from tests.launcher.conftest import Home, Launched, alive
from tests.launcher.packing import pack
from tests.launcher.test_crash_points import FaultyDisk
from tests.launcher.test_keeper import MODULE, WRITER, pid_in
from tests.launcher.test_replace import finish_and_check
from tests.support import eventually_sync

Launch = Callable[..., Launched]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def said(att: Launched, words: str) -> str:
    """Reads what it says until the line with these words."""
    assert att.process.stderr is not None
    while words not in (line := att.process.stderr.readline()):
        assert line, f"it has ended without {words}"
    return line


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_dangling_link(path: Path) -> None:
    path.symlink_to("/no/such/place")


def a_full_disk(path: Path) -> None:
    path.symlink_to("/dev/full")


def nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize("what", [a_folder, a_pipe, a_dangling_link, nothing])
def test_a_record_that_is_no_file_is_made_anew(
    home: Home, launch: Launch, what: Callable[[Path], None]
) -> None:
    home.add_release("r1")
    (home.path / "launcher.ndjson").write_text('{"n": 7, "event": "good", "release": "r1"}\n')
    what(home.path / "boot.json")
    att = launch()
    att.wait_for("healthy", "r1")
    assert home.state("r1") == "good"
    assert att.entries("record_rebuilt")


@pytest.mark.parametrize("what", [a_folder, a_pipe, a_dangling_link, a_full_disk])
def test_a_journal_that_cannot_be_written_is_said_and_holds_up_nothing(
    home: Home, launch: Launch, what: Callable[[Path], None]
) -> None:
    journal = home.path / "launcher.ndjson"
    what(journal)
    att = launch_blind(home, launch)
    said(att, "the journal cannot be written")
    said(att, "healthy")
    journal.rmdir() if what is a_folder else journal.unlink()
    att.signal(signal.SIGTERM)
    assert att.wait() == 0
    events = [entry["event"] for entry in home.journal()]
    assert events[:2] == ["launcher_started", "listening"], "what could not be written is kept until it can"
    assert events[-1] == "launcher_left"


def launch_blind(home: Home, launch: Launch) -> Launched:
    """The journal is not there to be read when it starts."""
    read_journal, home.journal = home.journal, list  # type: ignore[method-assign]
    att = launch()
    home.journal = read_journal  # type: ignore[method-assign]
    att.skip = 0
    return att


def test_a_full_disk_keeps_no_daemon_from_running(home: Home, launch: Launch) -> None:
    a_full_disk(home.path / "boot.json.new")
    home.add_release("r1")
    home.write_record("installed", r1="staged")
    att = launch("--probation", "0.5")
    said(att, "the boot record cannot be written")
    att.wait_for("healthy")
    att.get("/say/switch/r1")
    att.wait_for("good", "r1")
    assert home.record()["current"] == "installed", "what is on disk is older but whole"
    (home.path / "boot.json.new").unlink()
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("healthy", "r1", times=2)
    eventually_sync(lambda: home.record()["current"] == "r1")


@pytest.mark.parametrize("at", range(1, 6))
def test_the_log_of_a_life_on_a_full_disk_is_shown_all_the_same(tmp_path: Path, at: int) -> None:
    from launcher.output import LifeLog

    read_end, write_end = os.pipe()
    shown_read, shown_write = os.pipe()
    log = LifeLog(FaultyDisk(at, "full"), str(tmp_path / "life.log"), read_end, shown_write)
    for word in (b"one ", b"two ", b"three"):
        os.write(write_end, word)
        assert log.step()
    os.close(write_end)
    assert os.read(shown_read, 100) == b"one two three"
    log.close()
    for fd in (shown_read, shown_write):
        os.close(fd)


def test_releases_that_are_no_folder_are_no_obstacle(home: Home, launch: Launch) -> None:
    (home.path / "releases").write_text("a file")
    home.write_record("r1", r1="good")
    att = launch()
    att.wait_for("missing", "r1")
    att.wait_for("healthy", "installed")


def test_all_release_folders_gone_end_in_what_is_installed(home: Home, launch: Launch) -> None:
    home.write_record("r3", r1="good", r2="good", r3="good")
    att = launch()
    att.wait_for("healthy", "installed")
    assert sorted(entry["release"] for entry in att.entries("missing")) == ["r1", "r2", "r3"]


def test_too_few_descriptors_are_no_word_about_a_release(home: Home) -> None:
    home.add_release("r1")
    poller = Poller()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        its_home = LaunchedHome(str(home.path), Disk())
        program = Program(sys.executable, "tests.launcher.fake_daemon")
        births = Births(
            poller,
            its_home,
            read(["--home", str(home.path)], {}),
            program,
            listener,
            {},
            lambda *_: None,
            lambda *_: None,
        )
        limit = os.sysconf("SC_OPEN_MAX")
        held: list[int] = []
        try:
            while len(held) < limit:
                held.append(os.dup(0))
        except OSError:
            pass
        try:
            unborn = births.born("r1", False, False)
        finally:
            for fd in held:
                os.close(fd)
        assert isinstance(unborn, NotBorn)
        assert unborn.kind is Kind.KILLED
        gone = births.born("r2", False, False)
        assert isinstance(gone, NotBorn)
        assert gone.kind is Kind.MISSING
    poller.close()


# -- a mad daemon


def test_a_thousand_descriptors_and_a_daemon_that_never_reads_cost_nothing(
    home: Home, launch: Launch
) -> None:
    att = launch()
    att.wait_for("healthy")
    att.get("/flood/100")
    before, small = descriptors(att.process.pid), rss(att.process.pid)
    att.get("/flood/5000", timeout=30)
    att.get("/flood/1000/log", timeout=30)
    # the ring of the log, and what waits to be sent
    eventually_sync(lambda: descriptors(att.process.pid) <= before + 6 + 64)
    assert rss(att.process.pid) < small + 3
    assert att.get()["release"] == "installed"
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("healthy", times=2)
    eventually_sync(lambda: descriptors(att.process.pid) <= before + 6)


def test_a_stopped_reader_with_a_full_channel_holds_up_no_app(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(WRITER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app, daemon = pid_in(home.path / "app.pid"), att.get()["pid"]
    for _ in range(3):
        os.kill(daemon, signal.SIGSTOP)
        for _ in range(400):
            att.signal(signal.SIGHUP)  # each is a message to the daemon
        os.kill(daemon, signal.SIGCONT)
        assert att.get()["pid"] == daemon
    assert alive(app)
    finish_and_check(home)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([1 << 31, 1 << 62, 1 << 64, -(1 << 70)]),
    st.floats(),
    st.sampled_from(["", "x", "app", "\0", "\ud800", "nonsense.invalid", "127.0.0.1", "::1", "a" * 5000]),
    st.just([]),
    st.just({}),
)
FIELDS = (
    "run_id",
    "log",
    "base",
    "ring_bytes",
    "slots",
    "log_wait",
    "number",
    "grace",
    "name",
    "host",
    "port",
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(set(REQUESTS) - {"sweep"})),
    st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=8),
    st.one_of(st.none(), st.binary(max_size=50), st.just(b'{"a":' * 5000), JUNK.map(repr).map(str.encode)),
)
def test_any_request_is_answered_once_and_raises_nothing(
    kind: str, fields: dict[str, object], order: bytes | None
) -> None:
    poller = Poller()
    keeper = Keeper(poller, lambda _message: None)
    answers: list[dict[str, object]] = []
    read_end, write_end = os.pipe()
    os.write(write_end, order or b"")
    os.close(write_end)
    fds = [] if order is None else [_memory(order)]
    keeper.serve({"type": kind, "n": 1, **fields}, fds, lambda fds=(), **more: answers.append(more))
    assert len(answers) == 1
    for fd in (read_end, *fds):
        os.close(fd)
    keeper.end_all(0.0, lambda: None)
    poller.close()


def _memory(data: bytes) -> int:
    fd = os.memfd_create("order")
    os.pwrite(fd, data, 0)
    return fd


# -- clocks

JUMPING = (
    "__main__.py",
    "import os\nimport sys\n",
    """import os
import sys
import time

def jumping(real, unit):
    def told(*seconds):
        try:
            by = int(open(os.environ["ATT_HOME"] + "/jump").read())
        except (OSError, ValueError):
            by = 0
        return real() + by * unit
    return told

time.time, time.time_ns = jumping(time.time, 1), jumping(time.time_ns, 10**9)
""",
)
YEARS = 365 * 24 * 3600


@pytest.mark.parametrize("years", [-30, 30])
def test_a_wall_clock_that_is_set_changes_no_decision(home: Home, launch: Launch, years: int) -> None:
    (home.path / "app.py").write_text(WRITER)
    code = pack(home.path / "jumping.pyz", JUMPING)
    env = {"ATT_HOME": str(home.path)}
    att = launch(*MODULE, "--hang", "2.5", "--probation", "1", code=code, env=env)
    att.wait_for("healthy")
    app, daemon = pid_in(home.path / "app.pid"), att.get()["pid"]
    (home.path / "jump.new").write_text(str(years * YEARS))
    (home.path / "jump.new").rename(home.path / "jump")
    att.get("/replace/no/such/code")
    year = int(att.wait_for("replace_failed")["at"][:4])
    assert (year < 2010) if years < 0 else (year > 2050), "the clock did jump"
    os.kill(daemon, signal.SIGSTOP)
    att.wait_for("unhealthy")
    att.wait_for("healthy", times=2)
    for life in (3, 4):
        os.kill(att.get()["pid"], signal.SIGKILL)
        att.wait_for("healthy", times=life)
    (home.path / "jump").unlink()
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("healthy", times=5)
    assert alive(app)
    assert [entry["n"] for entry in home.journal()] == list(range(1, len(home.journal()) + 1))
    finish_and_check(home)


def test_the_log_of_the_present_life_is_kept_when_its_name_sorts_first(tmp_path: Path) -> None:
    for year in range(2020, 2050):
        (tmp_path / f"{year}0101T000000-aa.log").write_text("")
    present = tmp_path / "19991231T000000-aa.log"
    present.write_text("")
    prune(str(tmp_path), 20, spare=str(present))
    assert present.exists()
    assert len(list(tmp_path.iterdir())) == 21


def test_a_record_of_any_depth_is_refused(home: Home, launch: Launch) -> None:
    (home.path / "boot.json").write_text(json.dumps({"version": 1}) + "[" * 200_000)
    launch().wait_for("record_rebuilt")
