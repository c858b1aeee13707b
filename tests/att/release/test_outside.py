"""What lies outside of the releases: the launcher as one file, and the command that calls the current release."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from att.release import zipapp
from att.release.disk import Disk
from att.release.shim import point_at, write_shim
from tests.att.release.house import add_release

ROOT = Path(__file__).resolve().parents[3]
ECHO = '#!/bin/sh\necho "$0 $@ $ATT_HOME"\n'


def test_the_launcher_is_one_file_that_runs_without_the_packages(tmp_path: Path) -> None:
    path = zipapp.write_launcher(Disk(), tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(path), "--help"], cwd="/", env={}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "usage"), done.stderr


def test_the_same_sources_give_the_same_bytes_in_any_order() -> None:
    files = zipapp.sources()
    assert "launcher/loop.py" in files
    turned = dict(reversed(files.items()))
    assert zipapp.archive(files) == zipapp.archive(turned)
    assert zipapp.archive(files) != zipapp.archive(files | {"launcher/loop.py": b""})
    program = "import sys; from att.release import zipapp; sys.stdout.buffer.write(zipapp.archive(zipapp.sources()))"
    env = {"PYTHONPATH": str(ROOT)}
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], env=env | {"PYTHONHASHSEED": seed}, capture_output=True
        )
        assert done.stdout == zipapp.archive(files)


def test_another_python_takes_the_source(tmp_path: Path) -> None:
    files = zipapp.with_code({"launcher/__init__.py": b"", "launcher/__main__.py": b"def main(): return 7\n"})
    strange = {name: b"\0\0\0\0" + code[4:] for name, code in files.items() if name.endswith("c")}
    path = tmp_path / "x.pyz"
    with zipfile.ZipFile(path, "w") as out:
        for name, content in {**files, **strange, "__main__.py": zipapp.MAIN}.items():
            out.writestr(name, content)
    assert subprocess.run([sys.executable, "-I", "-S", str(path)]).returncode == 7


def test_the_file_is_written_only_when_it_differs(tmp_path: Path) -> None:
    path = zipapp.write_launcher(Disk(), tmp_path)
    first = path.stat().st_ino
    assert zipapp.write_launcher(Disk(), tmp_path).stat().st_ino == first
    path.write_bytes(b"older")
    zipapp.write_launcher(Disk(), tmp_path)
    assert path.read_bytes() == zipapp.archive(zipapp.sources())


def release(home: Path, name: str) -> None:
    python = add_release(home, name) / "env" / "bin" / "python"
    python.unlink()
    python.write_text(ECHO)
    python.chmod(0o755)


def call(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run([str(home / "bin" / "att"), *words], env=env, capture_output=True, text=True)


def test_the_command_calls_the_current_release_wherever_it_goes(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    home.mkdir()
    release(home, "r1")
    release(home, "r2")
    write_shim(Disk(), home, installed=False)
    for name in ("r1", "r2", "r1"):
        point_at(Disk(), home, name)
        said = call(home, "status", "a b").stdout
        assert said == f"{home}/releases/{name}/env/bin/python -P -m att status a b {home}\n"


def test_without_a_current_release_what_is_installed_is_called(tmp_path: Path) -> None:
    write_shim(Disk(), tmp_path, installed=True)
    point_at(Disk(), tmp_path, None)
    assert sys.executable in (tmp_path / "bin" / "att").read_text()
    write_shim(Disk(), tmp_path, installed=False)
    assert sys.executable in (tmp_path / "bin" / "att").read_text(), "a release does not know better"


def test_a_broken_current_release_leaves_the_newest_one(tmp_path: Path) -> None:
    release(tmp_path, "r1")
    write_shim(Disk(), tmp_path, installed=False)
    point_at(Disk(), tmp_path, "gone")
    assert "/r1/env/bin/python" in call(tmp_path, "status").stdout


def test_with_no_release_at_all_it_says_so(tmp_path: Path) -> None:
    write_shim(Disk(), tmp_path, installed=False)
    done = call(tmp_path, "status")
    assert (done.returncode, "no release of ATT" in done.stderr) == (69, True)
