"""Making one process: what it is given, what it is spared, and how a refusal is told."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from launcher.protocol import child

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture(params=["native", "alone", "portable"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "native" and not child.NATIVE:
        pytest.skip("the C library lacks the calls")
    monkeypatch.setattr(child, "NATIVE", request.param == "native")
    if request.param == "alone":
        monkeypatch.setattr(child, "spawn", partial(child.spawn, alone=True))
    return str(request.param)


@pytest.fixture
def output() -> Iterator[child.Output]:
    pipes = child.open_output()
    yield pipes
    for fd in (pipes.stdout, pipes.stderr, pipes.their_stdout, pipes.their_stderr):
        try:
            os.close(fd)
        except OSError:
            continue


def tell(
    output: child.Output, program: str, env: dict[str, str] | None = None, **more: object
) -> tuple[str, str, int]:
    """stdout, stderr and exit status of a Python program."""
    command = [sys.executable, "-I", "-S", "-c", program]
    pid = child.spawn(command, "/", env or ENV, output, {"ATT_RUN": "r"}, **more)  # type: ignore[arg-type]
    output.close_theirs()
    with os.fdopen(os.dup(output.stdout)) as out, os.fdopen(os.dup(output.stderr)) as err:
        said = out.read(), err.read()
    return *said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_output_directory_environment_and_status_are_as_ordered(
    output: child.Output, way: str, tmp_path: Path
) -> None:
    program = "import os; print(os.getcwd(), os.environ['A'], os.environ['ATT_RUN']); os.write(2, b'err'); os._exit(7)"
    command = [sys.executable, "-I", "-S", "-u", "-c", program]
    pid = child.spawn(
        command, str(tmp_path), {**ENV, "A": "1", "ATT_RUN": "outer"}, output, {"ATT_RUN": "inner"}
    )
    output.close_theirs()
    with os.fdopen(os.dup(output.stdout)) as out, os.fdopen(os.dup(output.stderr)) as err:
        assert (out.read(), err.read()) == (f"{tmp_path} 1 inner\n", "err")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_it_leads_its_own_session_with_nothing_on_stdin(output: child.Output, way: str) -> None:
    said, _, _ = tell(
        output, "import os; print(os.getsid(0) == os.getpid() == os.getpgrp(), repr(os.read(0, 1)))"
    )
    assert said == "True b''\n"


def test_blocked_and_ignored_signals_are_not_inherited(output: child.Output, way: str) -> None:
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    try:
        said, _, _ = tell(
            output,
            "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGUSR1))",
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGUSR1, ignored)
    assert said.startswith("set() ")
    assert "SIG_DFL" in said or said.split()[1] == "0"


def test_sigpipe_ends_it_as_it_ends_any_program(output: child.Output, way: str) -> None:
    """Python ignores SIGPIPE and would pass that on to a program that does not set it itself."""
    pid = child.spawn(["sh", "-c", "kill -PIPE $$; exit 3"], "/", ENV, output, {})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGPIPE


def test_a_listening_socket_is_descriptor_three_and_nothing_else_comes_along(
    output: child.Output, way: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = (
            "import os, socket; s = socket.socket(fileno=3); print(s.getsockname()[1]);"
            "n = os.open('/proc/self/fd', os.O_RDONLY); print(sorted(map(int, os.listdir(n))), n)"
        )
        said, trouble, _ = tell(output, program, listening=server.fileno())
    assert said.splitlines()[0] == str(port), trouble
    if way != "portable":
        assert said.splitlines()[1].startswith("[0, 1, 2, 3, 4")


def test_descriptors_that_are_in_each_others_place_are_not_mixed_up(output: child.Output, way: str) -> None:
    """The worst case: the socket is where stderr's pipe should not be overwritten, and the other way round."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = os.dup(3) if _is_open(3) else None
        try:
            os.dup2(output.their_stderr, 3)
            crossed = child.Output(output.stdout, output.stderr, output.their_stdout, 3)
            pid = child.spawn(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-c",
                    "import os, stat; os.write(2, b'%d' % stat.S_ISSOCK(os.fstat(3).st_mode))",
                ],
                "/",
                ENV,
                crossed,
                {},
                listening=server.fileno(),
            )
        finally:
            if kept is not None:
                os.dup2(kept, 3)
                os.close(kept)
            else:
                os.close(3)
    os.waitpid(pid, 0)
    assert os.read(output.stderr, 10) == b"1"


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def refusal(
    output: child.Output, command: list[str], cwd: str = "/", env: dict[str, str] | None = None
) -> child.CannotSpawn:
    with pytest.raises(child.CannotSpawn) as caught:
        child.spawn(command, cwd, env or ENV, output, {})
    return caught.value


def test_each_refusal_has_its_kind(output: child.Output, way: str, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert refusal(output, ["surely-not-there"]).what == "command"
    assert refusal(output, ["/not/there"]).what == "command"
    assert refusal(output, [str(plain)]).what == "permission"
    assert refusal(output, [str(tmp_path)]).what == "permission"
    assert refusal(output, ["ls"], cwd="/not/there").what == "directory"
    assert refusal(output, ["ls"], cwd=str(plain)).what == "directory"
    assert refusal(output, ["ls", "a\0b"]).what == "system"
    assert refusal(output, []).what == "system"


def test_a_script_whose_interpreter_is_missing_is_told_as_that(output: child.Output, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/not/there/python\n")
    script.chmod(0o755)
    if not child.NATIVE:
        pytest.skip("a shell tells it by its exit status")
    told = refusal(output, [str(script)])
    assert told.what == "command"
    assert "interpreter" in str(told)


def test_a_file_that_is_no_program_is_told_at_once(output: child.Output, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"\x00\x01\x02")
    script.chmod(0o755)
    if not child.NATIVE:
        pytest.skip("a shell tells it by its exit status")
    assert refusal(output, [str(script)]).what == "permission"


def test_the_program_is_found_on_the_path_of_the_app_not_on_ours(
    output: child.Output, way: str, tmp_path: Path
) -> None:
    tool = tmp_path / "bin" / "my-tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho here\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    pid = child.spawn(["my-tool"], "/", {"PATH": f"/nowhere:{tool.parent}"}, output, {})
    os.waitpid(pid, 0)
    assert os.read(output.stdout, 100) == b"here\n"
    relative = child.find_program("bin/my-tool", str(tmp_path), "")
    assert relative == str(tool)


def test_a_large_environment_reaches_it(output: child.Output, way: str) -> None:
    large = {**ENV, **{f"V{n}": "x" * 1000 for n in range(1000)}}
    said, trouble, _ = tell(
        output, "import os; print(sum(len(v) for k, v in os.environ.items() if k[0] == 'V'))", large
    )
    assert said == "1000000\n", trouble


def test_an_environment_that_the_system_does_not_take_is_told_as_that(output: child.Output, way: str) -> None:
    told = refusal(output, ["ls"], env={**ENV, "HUGE": "x" * (1 << 22)})
    assert told.what == "system"
    assert "too large" in str(told)


@pytest.mark.parametrize("name", ["", "A=B", "=A"])
def test_a_name_that_no_variable_can_have_is_refused(output: child.Output, way: str, name: str) -> None:
    told = refusal(output, ["true"], env={**ENV, name: "x"})
    assert (told.what, told.errno) == ("system", errno.EINVAL)


ELSEWHERE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from launcher.protocol import child
import ctypes
own = os.path.realpath(sys.argv[2])
os.mkdir(own)
os.chdir(own)
if sys.argv[3] == "gone":
    os.rmdir(own)
else:
    os.chmod(own, 0)
    if os.getuid() == 0:
        os.setgroups([])
        os.setuid(65534)
before, descriptors = os.stat("/proc/self/cwd").st_ino, os.listdir("/proc/self/fd")
for program, said in ("/bin/pwd", b"/tmp\\n"), ("/etc/passwd", b""):
    output = child.open_output()
    try:
        pid = child.spawn([program], "/tmp", {}, output, {}, alone=True)
    except child.CannotSpawn as refusal:
        assert (refusal.what, refusal.path, said) == ("permission", program, b""), refusal
    else:
        os.waitpid(pid, 0)
        assert os.read(output.stdout, 100) == said
    output.close()
assert os.stat("/proc/self/cwd").st_ino == before
assert os.listdir("/proc/self/fd") == descriptors
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
@pytest.mark.parametrize("own", ["gone", "closed"])
def test_a_directory_of_our_own_that_cannot_be_entered_again_is_not_left(tmp_path: Path, own: str) -> None:
    """Such as the home of the user who started the launcher as another one."""
    root = Path(__file__).resolve().parents[3]
    words = [sys.executable, "-I", "-S", "-c", ELSEWHERE, str(root), str(tmp_path / "own"), own]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_where_there_is_no_list_of_descriptors_all_that_may_be_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container need not have /dev/fd."""

    def refuse(path: str) -> list[str]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    one = os.dup2(2, 200)
    monkeypatch.setattr(os, "listdir", refuse)
    child.keep_descriptors()
    kept = not os.get_inheritable(one)
    os.close(one)
    assert kept


@pytest.fixture(params=[True, False], ids=["waitid", "waitpid"])
def waitid(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "WAITID", request.param)


def test_without_descriptors_for_processes_there_is_none_and_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert child.open_pidfd(os.getpid()) is None
    monkeypatch.delattr(os, "pidfd_open")
    assert child.open_pidfd(os.getpid()) is None


def test_an_exit_can_be_looked_at_before_it_is_reaped(waitid: None) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], ENV)
    child.wait_for_exit(pid)
    assert child.look_at_exit(pid) == (5, None)
    assert child.look_at_exit(pid) == (5, None)
    assert child.reap(pid)
    assert not child.reap(pid)


def test_a_death_by_signal_is_told_as_that(waitid: None) -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "100"], ENV)
    assert child.look_at_exit(pid) is None
    os.kill(pid, signal.SIGKILL)
    child.wait_for_exit(pid)
    assert child.look_at_exit(pid) == (None, signal.SIGKILL)
    child.reap(pid)
