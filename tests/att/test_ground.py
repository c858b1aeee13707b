"""What the daemon stands on: here, that it tells its home where it listens, and who believes it."""

from __future__ import annotations

from pathlib import Path

from att import config, ground
from att.cli import client
from att.config import Address

ELSEWHERE = {"listen": "127.0.0.1:18484"}


def test_the_commands_of_a_home_find_a_daemon_that_was_started_at_another_address(tmp_path: Path) -> None:
    ground.announce(config.load({"home": tmp_path, **ELSEWHERE}, {}), "1.0")
    assert client.find(None, None, str(tmp_path), {}).url == "http://127.0.0.1:18484"


def test_what_the_user_says_of_the_address_goes_before_what_the_daemon_told(tmp_path: Path) -> None:
    ground.announce(config.load({"home": tmp_path, **ELSEWHERE}, {}), "1.0")
    assert client.find(None, None, str(tmp_path), {"ATT_LISTEN": "127.0.0.1:5"}).port == 5
    assert client.find("http://127.0.0.1:6", None, str(tmp_path), {}).port == 6
    (tmp_path / "att.toml").write_text('listen = "127.0.0.1:7"\n')
    assert client.find(None, None, str(tmp_path), {}).port == 7


def test_an_address_that_was_never_told_or_is_none_leaves_the_default(tmp_path: Path) -> None:
    usual = Address("127.0.0.1", 8484)
    assert config.where_it_runs(config.load({"home": tmp_path}, {})).listen == usual
    for text in (b"", b"nowhere\n", b"\xff\xfe", b"127.0.0.1:99999\n"):
        (tmp_path / "address").write_bytes(text)
        assert config.where_it_runs(config.load({"home": tmp_path}, {})).listen == usual


def test_a_home_that_takes_no_file_does_not_keep_the_daemon_from_running(tmp_path: Path) -> None:
    settings = config.load({"home": tmp_path / "gone", **ELSEWHERE}, {})
    ground.announce(settings, "1.0")
    assert not (tmp_path / "gone").exists()
