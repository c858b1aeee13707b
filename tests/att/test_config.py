"""Where settings come from, which wins, and what is said of those that are wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from att import config
from att.config import Address, BadSettings, Settings, load


def bad(
    tmp_path: Path, file: str | None = None, flags: dict[str, Any] | None = None, **environ: str
) -> BadSettings:
    if file is not None:
        (tmp_path / "att.toml").write_text(file)
    with pytest.raises(BadSettings) as caught:
        load(flags or {}, {"ATT_HOME": str(tmp_path), **environ})
    return caught.value


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    found = load({}, {"HOME": str(tmp_path)})
    assert found.home == Path("~/.local/share/att").expanduser()
    assert found.listen == Address("127.0.0.1", 8484)
    assert found.url == "http://127.0.0.1:8484"
    assert found.allowed_roots == (found.home / "projects",)
    assert found.database_url == f"sqlite:///{found.home}/att.db"
    assert not config.warnings(found)


def test_flags_win_over_variables_and_these_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "att.toml").write_text('heartbeat = 1.0\nlog_wait = 1.0\nbody_limit = "1MiB"\n')
    env = {"ATT_HOME": str(tmp_path), "ATT_HEARTBEAT": "2", "ATT_LOG_WAIT": "2", "ATT_LOG_LEVEL": ""}
    found = load({"heartbeat": "3", "log_ring": None}, env)
    assert (found.heartbeat, found.log_wait, found.body_limit) == (3.0, 2.0, 1 << 20)
    assert found.log_level == "info", "an empty variable says nothing"


def test_the_home_comes_from_the_flag_then_the_variable_and_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({"home": "x"}, {"ATT_HOME": "/elsewhere"}).home == tmp_path / "x"
    assert load({}, {"ATT_HOME": "y"}).home == tmp_path / "y"


def test_lists_in_variables(tmp_path: Path) -> None:
    roots = os.pathsep.join([str(tmp_path / "a b"), str(tmp_path / "c,d")])
    found = load(
        {},
        {
            "ATT_HOME": str(tmp_path),
            "ATT_ROOTS": roots,
            "ATT_CORS_ORIGINS": "https://a.example, http://b.example:3000",
            "ATT_ALLOWED_HOSTS": "att.example other:80",
        },
    )
    assert found.roots == (tmp_path / "a b", tmp_path / "c,d")
    assert found.cors_origins == ("https://a.example", "http://b.example:3000")
    assert found.allowed_hosts == ("att.example", "other:80")


def test_an_unknown_key_names_the_file_the_key_and_the_one_that_was_meant(tmp_path: Path) -> None:
    problem = bad(tmp_path, 'lisen = "x"\n')
    assert problem.extra == {"source": str(tmp_path / "att.toml"), "key": "lisen"}
    assert str(tmp_path / "att.toml") in problem.detail
    assert "`listen`" in problem.advice
    assert "Take it out" in bad(tmp_path, "zzzzzz = 1\n").advice


def test_the_home_cannot_stand_in_the_file_that_stands_in_it(tmp_path: Path) -> None:
    assert "--home or ATT_HOME" in bad(tmp_path, 'home = "/x"\n').advice


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ('listen = "8484"', "listen"),
        ('listen = "localhost:99999"', "listen"),
        ('listen = "[::g]:1"', "listen"),
        ("listen = 8484", "listen"),
        ('log_ring = "16 parsecs"', "log_ring"),
        ("log_ring = 1", "log_ring"),
        ("log_ring = true", "log_ring"),
        ("log_wait = -1", "log_wait"),
        ("heartbeat = nan", "heartbeat"),
        ("heartbeat = inf", "heartbeat"),
        ('log_level = "loud"', "log_level"),
        ('roots = ["/"]', "roots"),
        ('cors_origins = ["*"]', "cors_origins"),
        ('cors_origins = ["https://a.example/path"]', "cors_origins"),
        ('cors_origins = ["https://user@"]', "cors_origins"),
        ('allowed_hosts = ["a b"]', "allowed_hosts"),
        ('allowed_hosts = ["http://a"]', "allowed_hosts"),
        ('database = "mysql://x"', "database"),
        ("log_min_free_percent = 101", "log_min_free_percent"),
    ],
)
def test_a_value_that_does_not_fit_names_the_file_and_the_key(tmp_path: Path, file: str, key: str) -> None:
    problem = bad(tmp_path, file)
    assert problem.extra == {"source": str(tmp_path / "att.toml"), "key": key}
    assert f"`{key}`" in problem.detail
    assert problem.advice.startswith(f"`{key}`: ")


def test_a_wrong_variable_and_a_wrong_flag_are_named(tmp_path: Path) -> None:
    assert bad(tmp_path, ATT_LOG_WAIT="soon").extra["source"] == "the variable ATT_LOG_WAIT"
    assert bad(tmp_path, flags={"log_wait": "soon"}).extra["source"] == "the flag --log-wait"
    assert bad(tmp_path, flags={"nonsense": "x"}).extra["key"] == "nonsense"


def test_a_wrong_value_is_not_repeated_since_it_may_be_a_secret(tmp_path: Path) -> None:
    problem = bad(tmp_path, ATT_DATABASE="mysql://me:hunter2@host/db")
    assert "hunter2" not in problem.detail + problem.advice
    assert "hunter2" not in repr(
        load({"database": "postgresql://me:hunter2@host/db"}, {"ATT_HOME": str(tmp_path)})
    )


def test_a_file_that_is_no_toml_or_cannot_be_read(tmp_path: Path) -> None:
    assert "line 2" in bad(tmp_path, "\nlisten = \n").detail
    (tmp_path / "att.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSettings, match="not valid TOML"):
        load({}, {"ATT_HOME": str(tmp_path)})
    (tmp_path / "att.toml").unlink()
    (tmp_path / "att.toml").mkdir()
    with pytest.raises(BadSettings, match="cannot be read"):
        load({}, {"ATT_HOME": str(tmp_path)})


def test_the_file_is_only_ever_read(tmp_path: Path) -> None:
    bad(tmp_path, "wrong = 1\n")
    assert (tmp_path / "att.toml").read_text() == "wrong = 1\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "att.toml"]


def test_listening_beyond_this_machine_must_be_meant_and_is_warned_of(tmp_path: Path) -> None:
    for address in ("0.0.0.0:1", "[::]:1", "192.0.2.1:1", "att.example:1"):
        assert "allow_remote" in bad(tmp_path, flags={"listen": address}).detail
        found = load({"listen": address, "allow_remote": True}, {"ATT_HOME": str(tmp_path)})
        assert address in config.warnings(found)[0]
    for address in ("localhost:1", "127.0.0.5:1", "[::1]:1", ":1"):
        assert load({"listen": address}, {"ATT_HOME": str(tmp_path)}).listen.loopback


def test_the_url_is_one_that_can_be_asked(tmp_path: Path) -> None:
    def url(listen: str) -> str:
        return load({"listen": listen, "allow_remote": True}, {"ATT_HOME": str(tmp_path)}).url

    assert url("0.0.0.0:5") == "http://127.0.0.1:5"
    assert url("[::]:5") == "http://[::1]:5"
    assert url("[::1]:5") == "http://[::1]:5"


def test_a_variable_that_looks_like_a_setting_is_pointed_out() -> None:
    told = config.hints(
        {"ATT_LISTN": "x", "ATT_RUN": "y", "ATT_TOKEN": "z", "ATT_SOMETHING_ELSE": "w", "PATH": "p"}
    )
    assert told == ["The variable ATT_LISTN is not known and does nothing; ATT_LISTEN is."]


hosts = st.sampled_from(["127.0.0.1", "localhost", "::1", "127.9.9.9"])


@given(st.builds(Address, hosts, st.integers(0, 65535)))
def test_an_address_reads_as_it_is_written(address: Address) -> None:
    assert config.parse_address(str(address)) == address


@given(st.integers(0, 2**40), st.sampled_from(["", "b", "B"]))
def test_a_size_in_bytes_is_itself(count: int, unit: str) -> None:
    assert config.parse_size(f"{count}{unit}") == config.parse_size(count) == count


@given(
    st.integers(0, 2**20),
    st.sampled_from("kmgt"),
    st.sampled_from(["", "b", "ib", "iB", "B"]),
    st.sampled_from(["", " "]),
)
def test_a_size_in_a_unit_is_a_multiple(count: int, unit: str, end: str, between: str) -> None:
    assert config.parse_size(f"{count}{between}{unit}{end}") == count << (10 * (" kmgt".index(unit)))


@given(st.text(max_size=20))
def test_any_text_is_an_address_and_a_size_or_a_typed_error(text: str) -> None:
    for parse in (config.parse_address, config.parse_size):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    address=st.builds(Address, hosts, st.integers(0, 65535)),
    ring=st.integers(1 << 16, 1 << 34),
    wait=st.floats(0, 60),
    roots=st.lists(st.from_regex(r"/[a-z ,]{1,8}[a-z]", fullmatch=True), max_size=3),
    level=st.sampled_from(["debug", "info", "warning", "error"]),
)
def test_settings_are_the_same_from_a_file_from_variables_and_from_flags(
    tmp_path: Path, address: Address, ring: int, wait: float, roots: list[str], level: str
) -> None:
    file = tmp_path / "att.toml"
    file.write_text(
        f'listen = "{address}"\nlog_ring = {ring}\nlog_wait = {wait!r}\nroots = {roots!r}\nlog_level = "{level}"\n'
    )
    home = {"ATT_HOME": str(tmp_path)}
    from_file = load({}, home)
    file.unlink()
    told = {
        "LISTEN": str(address),
        "LOG_RING": str(ring),
        "LOG_WAIT": repr(wait),
        "ROOTS": os.pathsep.join(roots),
        "LOG_LEVEL": level,
    }
    from_variables = load({}, {**home, **{f"ATT_{name}": value for name, value in told.items()}})
    from_flags = load({name.lower(): value for name, value in told.items() if value}, home)
    assert from_file == from_variables == from_flags
    assert (from_file.listen, from_file.log_ring, from_file.log_wait) == (address, ring, wait)
    assert [str(root) for root in from_file.roots] == roots


def test_every_setting_says_what_it_is() -> None:
    for name, info in Settings.model_fields.items():
        assert info.description, name
