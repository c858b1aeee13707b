"""Commands made from the catalogue: what they send, what they print, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from att.cli.client import Client
from tests.att.cli.conftest import Said
from tests.att.http.house import READER, TOKEN, Served
from tests.support import free_port, unmeasured

Att = Callable[..., Said]


def test_one_thing_is_shown_as_its_fields(att: Att) -> None:
    said = att("thing", "get", "lamp")
    assert said.code == 0
    assert said.out.splitlines() == ["name    lamp", "size    5", "colour  red", "tags    a", "loud    no"]


def test_many_are_shown_as_a_table(att: Att) -> None:
    said = att("thing", "list", "--tag", "a")
    assert said.out.splitlines() == ["name  size  colour  tags  loud", "lamp  5     red     a     no"]
    assert att("thing", "list", "--tag", "none").out == "There are no things.\n"


def test_json_is_the_answer_unchanged(att: Att, house: Served) -> None:
    answer = house.ask("GET", "/things/lamp").body.decode()
    assert att("thing", "get", "lamp", "--json").out == answer + "\n"
    assert att("--json", "thing", "get", "lamp").out == answer + "\n"


def test_an_alias_is_the_same_command(att: Att) -> None:
    assert att("thing", "show", "lamp").out == att("thing", "get", "lamp").out
    assert " show " not in att("thing", "--help").out


def test_verbs_of_two_words_may_be_written_apart(att: Att) -> None:
    assert att("thing", "work", "get", "lamp").out == att("thing", "work-get", "lamp").out != ""


def test_every_kind_of_field_travels(att: Att, house: Served) -> None:
    said = att(
        *("thing", "create", "--name", "vase", "--size", "7", "--price", "1.5", "--colour", "blue", "--loud"),
        *("--tags", "x", "--tags", "y", "--parts", '[{"name": "p", "weight": 2}]', "--extra", '{"k": [1]}'),
        *("--folder", "sub/dir", "--json"),
    )
    assert said.code == 0, said
    assert said.json == {
        "name": "vase",
        "size": 7,
        "price": 1.5,
        "colour": "blue",
        "tags": ["x", "y"],
        "parts": [{"name": "p", "weight": 2.0}],
        "extra": {"k": [1]},
        "loud": True,
        "folder": str(house.settings.home / "sub/dir"),
    }


def test_a_field_that_travels_in_the_query(att: Att, house: Served) -> None:
    assert att("thing", "create", "--name", "ghost", "--dry-run").code == 0
    assert house.ask("GET", "/things/ghost").status == 404


def test_help_says_what_a_field_is(att: Att) -> None:
    told = att("thing", "create", "--help").out
    assert "--size INTEGER" in told
    assert "How large it is. [default: 1]" in " ".join(told.split())
    assert "[red|blue]" in told
    assert "--loud / --no-loud" in told
    assert "Make a thing." in told


def test_the_first_word_of_a_verb_alone_is_told_what_may_follow(att: Att) -> None:
    for argv in (("git", "pr"), ("git", "pr", "--help"), ("git", "pr", "nothing")):
        said = att(*argv)
        assert (said.code, said.out) == (2, "")
        assert "'pr' needs another word: pr close, pr create, pr get" in said.err
    assert "needs another word" not in att("git", "nothing").err


def test_no_help_says_what_only_programs_understand(att: Att) -> None:
    from att.rooms import catalogue

    for operation in catalogue():
        said = att(*operation.name.replace("_", "-").split("."), "--help")
        assert said.code == 0
        assert "Undefined" not in said.out, operation.name


@pytest.mark.parametrize(
    "argv",
    [
        ("thing",),
        ("nothing",),
        ("thing", "nothing"),
        ("thing", "get"),
        ("thing", "create"),
        ("thing", "create", "--name", "x", "--size", "many"),
        ("thing", "create", "--name", "x", "--colour", "green"),
        ("thing", "create", "--name", "x", "--extra", "{"),
        ("thing", "get", "lamp", "--wrong"),
        ("--wrong",),
    ],
)
def test_a_command_that_is_not_understood_ends_with_2(att: Att, argv: tuple[str, ...]) -> None:
    said = att(*argv)
    assert (said.code, said.out) == (2, "")
    assert "Usage: " in said.err


def test_a_refusal_is_a_sentence_and_a_hint_and_ends_with_1(att: Att) -> None:
    said = att("thing", "get", "none")
    assert (said.code, said.out) == (1, "")
    assert (
        said.err
        == "Error: There is no thing called 'none'.\nHint: Check the id; a list tells which there are.\n"
    )


def test_all_failing_fields_are_named(att: Att) -> None:
    said = att("thing", "create", "--name", "a/b", "--size", "5000")
    assert said.code == 1
    assert "`name`" in said.err
    assert "size: Input should be less than or equal to 1000" in said.err


def test_a_refusal_for_programs_is_the_problem_unchanged(att: Att) -> None:
    said = att("thing", "get", "none", "--json")
    assert (said.code, said.err) == (1, "")
    assert json.loads(said.out)["code"] == "thing_not_found"


def test_an_unforeseen_error_names_the_request(att: Att) -> None:
    said = att("thing", "crash", "lamp")
    assert said.code == 1
    assert "Request id: " in said.err
    assert "inside" not in said.err


def test_nobody_there_ends_with_4(att: Att) -> None:
    said = att("thing", "list", "--url", f"http://127.0.0.1:{free_port()}")
    assert said.code == 4
    assert "cannot be reached: Connection refused" in said.err
    assert "att up" in said.err
    said = att("thing", "list", "--json", "--url", f"http://127.0.0.1:{free_port()}")
    assert (said.code, json.loads(said.out)["code"]) == (4, "unreachable")


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://localhost", "http://localhost:1/path", "http://localhost:port"]
)
def test_an_address_that_is_none(att: Att, url: str) -> None:
    said = att("thing", "list", "--url", url)
    assert said.code == 1
    assert "http://HOST:PORT" in said.err


def test_the_token_of_the_home_is_used_by_itself(att: Att, monkeypatch: pytest.MonkeyPatch) -> None:
    assert att("thing", "list").code == 0
    assert "not accepted" in att("thing", "list", "--token", "wrong-token-of-nobody").err
    monkeypatch.setenv("ATT_TOKEN", READER)
    assert "lacks the scope" in att("thing", "create", "--name", "x").err
    assert att("thing", "create", "--name", "by-flag", "--token", TOKEN).code == 0


def test_the_token_of_the_home_is_sent_to_no_other_machine(tmp_path: Path) -> None:
    from att.cli.client import find

    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    env = {"ATT_HOME": str(tmp_path)}
    assert find("http://localhost:9", None, None, env).token == TOKEN
    assert find("http://192.0.2.1:8484", None, None, env).token is None
    assert find("http://192.0.2.1:8484", "given", None, env).token == "given"


def test_a_setting_that_is_wrong_ends_with_78(att: Att, tmp_path: Path) -> None:
    (tmp_path / "att.toml").write_text("lisen = 'x'\n")
    for argv in (("thing", "list"), ("serve", "--standalone"), ("up",), ("status",)):
        said = att("--home", str(tmp_path), *argv)
        assert said.code == 78, said
        assert f"{tmp_path}/att.toml has the unknown key `lisen`" in said.err
        assert "Did you mean `listen`?" in said.err


def test_a_flag_that_is_wrong_ends_with_78_and_names_it(att: Att, tmp_path: Path) -> None:
    said = att("serve", "--standalone", "--home", str(tmp_path), "--log-ring", "huge")
    assert said.code == 78
    assert "--log-ring" in said.err
    said = att("up", "--home", str(tmp_path), "--listen", "0.0.0.0:1")
    assert said.code == 78
    assert "allow_remote" in said.err


def test_what_was_begun_is_followed_until_it_is_done(att: Att) -> None:
    said = att("thing", "work", "begin", "lamp")
    assert said.code == 0
    assert said.err.splitlines() == ["step 0", "step 1", "step 2"]
    assert "name    lamp" in said.out
    assert att("thing", "work", "begin", "lamp", "--no-wait").err == ""
    said = att("thing", "work", "begin", "lamp", "--json", "--wait")
    assert (said.code, json.loads(said.out)["name"], said.err) == (0, "lamp", "")


def test_what_was_begun_and_failed_ends_with_1(att: Att, house: Served) -> None:
    house.ask("POST", "/things", {"name": "broken"})
    said = att("thing", "work", "begin", "broken")
    assert said.code == 1
    assert said.err.endswith("Error: it broke\n")


def test_what_was_begun_is_followed_by_its_own_name() -> None:
    from att.cli.commands import whose_progress
    from att.rooms import catalogue

    known = {operation.name: operation for operation in catalogue()}
    found = whose_progress(
        known["release.status"], {"id": "r7", "roles": ["staged"]}, {"release_id": "staged"}
    )
    assert found == {"release_id": "r7"}
    begun = {"run_id": "u2", "project_id": "demo"}
    found = whose_progress(known["workflow.status"], begun, {"project_id": "demo", "run_id": "u1"})
    assert found == {"project_id": "demo", "run_id": "u2"}


def test_something_is_destroyed_without_a_question_where_nobody_can_answer(att: Att, house: Served) -> None:
    house.ask("POST", "/things", {"name": "old"})
    said = att("thing", "delete", "old")
    assert (said.code, said.out) == (0, "")
    assert house.ask("GET", "/things/old").status == 404


def test_health_is_a_command_of_its_own(att: Att) -> None:
    assert att("health").out.splitlines()[0].split() == ["status", "ok"]


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **env},
        check=False,
    )


@pytest.mark.parametrize(
    ("argv", "heavy"),
    [
        (["--help"], ("aiohttp", "asyncio", "sqlalchemy", "rich", "pydantic", "structlog", "http.client")),
        (["runtime", "logs", "--help"], ("aiohttp", "sqlalchemy", "rich", "structlog", "psutil")),
        (["project", "create", "--help"], ("aiohttp", "sqlalchemy", "rich", "structlog")),
        (["event", "list", "--help"], ("aiohttp", "sqlalchemy", "rich", "structlog")),
        (["serve", "--help"], ("aiohttp", "sqlalchemy", "rich", "structlog")),
    ],
)
def test_nothing_heavy_is_loaded_to_say_little(argv: list[str], heavy: tuple[str, ...]) -> None:
    code = f"import sys; from att.cli.main import main; main({argv!r}); print([m for m in {heavy!r} if m in sys.modules])"
    assert run("-c", code).stdout.splitlines()[-1] == "[]"


def test_every_real_operation_is_a_command() -> None:
    from att.cli.commands import verb
    from att.cli.main import build
    from att.rooms import catalogue

    house = build()
    with house.make_context("att", ["--help"], resilient_parsing=True) as context:
        for operation in catalogue():
            room = house.get_command(context, operation.room)
            if operation.name == operation.room:
                continue
            assert isinstance(room, click.Group)
            found = room.get_command(context, verb(operation.name))
            assert found is not None, operation.name
            names = {parameter.name for parameter in found.params}
            assert set(operation.input.model_fields) <= names, operation.name


def test_a_closed_pipe_is_no_error(house: Served) -> None:
    env = {"ATT_HOME": str(house.settings.home), "ATT_URL": house.url}
    with subprocess.Popen(
        [sys.executable, "-m", "att", "health"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**unmeasured(), **env},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


words = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(0, 1000),
    price=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    tags=st.lists(words, max_size=3),
    extra=st.dictionaries(
        words, st.none() | st.booleans() | st.integers(-(2**62), 2**62) | words, max_size=3
    ),
)
def test_what_is_typed_is_what_arrives(
    att: Att, size: int, price: Any, tags: list[str], extra: dict[str, Any]
) -> None:
    argv = [
        "thing",
        "create",
        "--name=any",
        "--dry-run",
        "--json",
        f"--size={size}",
        f"--extra={json.dumps(extra)}",
    ]
    argv += [f"--price={price!r}"] if price is not None else []
    argv += [f"--tags={tag}" for tag in tags]
    said = att(*argv)
    assert said.code == 0, said
    told = json.loads(said.out)
    assert (told["size"], told["price"], told["tags"], told["extra"]) == (size, price, tags, extra)


def test_paths_are_typed_as_to_git(att: Att, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []

    def ask(_: Client, method: str, target: str, body: Any = None, **__: Any) -> bytes:
        asked.append((target.removeprefix("/api/v1"), body))
        return b"{}"

    monkeypatch.setattr(Client, "ask", ask)
    for words in (
        ("git", "add", "demo", "a b", "--path", "c", "--", "-d"),
        ("git", "add", "demo", "--all"),
        ("git", "commit", "demo", "-m", "why", "a", "b"),
        ("git", "diff", "demo", "a", "b"),
        ("git", "log", "demo", "a"),
        ("test", "run", "demo", "tests/test_a.py", "--wait", "1", "tests/unit"),
    ):
        assert att("--json", *words).code == 0, words
    assert asked == [
        ("/projects/demo/git/add", {"path": ["c", "a b", "-d"]}),
        ("/projects/demo/git/add", {"all": True}),
        ("/projects/demo/git/commit", {"message": "why", "path": ["a", "b"]}),
        ("/projects/demo/git/diff?path=a&path=b", None),
        ("/projects/demo/git/log?path=a", None),
        ("/projects/demo/test/run?wait=1.0", {"paths": ["tests/test_a.py", "tests/unit"]}),
    ]
    for words in (("git", "log", "demo", "a", "--path", "b"), ("git", "log", "demo", "a", "b")):
        assert att(*words).code == 2, words
    assert "[PATH]..." in att("git", "add", "--help").out
