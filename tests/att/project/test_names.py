"""What a project may be called."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from att.project.errors import InvalidName
from att.project.names import distribution_name, is_project_id, package_name, project_id, sanitised


@pytest.mark.parametrize(
    "name", ["demo", "Demo-2", "a", "x" * 64, "my_app.v2", "_x", "7up", "a-", "a__b--c..d"]
)
def test_a_good_name_stays(name: str) -> None:
    assert sanitised(name) == name


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("My App!", "My-App"),
        ("  demo  ", "demo"),
        ("Zoë's café", "Zoe-s-cafe"),
        (".hidden", "hidden"),
        ("--force", "force"),
        ("a" * 70, "a" * 64),
        ("trailing...", "trailing"),
        ("a b   c", "a-b-c"),
        ("日本 app", "app"),
    ],
)
def test_another_is_made_good(wanted: str, name: str) -> None:
    assert sanitised(wanted) == name


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        " ",
        ".",
        "..",
        "...",
        "-",
        "__",
        "日本",
        "!!!",
        "a/b",
        "../etc",
        "a\\b",
        "a\0b",
        "a\nb",
        "\ud800",
        "a／c",
    ],
)
def test_what_cannot_be_made_good_is_refused_with_the_rule(wanted: str) -> None:
    with pytest.raises(InvalidName) as told:
        sanitised(wanted)
    assert "64" in told.value.advice
    assert told.value.extra["fields"][0]["field"] == "name"


@given(st.text(max_size=100))
@example("0.:")
def test_sanitising_twice_changes_nothing_and_keeps_the_rule(wanted: str) -> None:
    try:
        name = sanitised(wanted)
    except InvalidName:
        return
    assert sanitised(name) == name
    assert 1 <= len(name) <= 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert is_project_id(project_id(name))
    package = package_name(name)
    assert package.isidentifier()
    assert not keyword.iskeyword(package)
    assert distribution_name(name)[0].isalnum()
    assert distribution_name(name)[-1].isalnum()


@given(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}[A-Za-z0-9_-]", fullmatch=True).filter(
        lambda s: s.strip("._-")
    )
)
def test_names_within_the_rule_are_not_touched(name: str) -> None:
    assert sanitised(name) == name


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("demo", "demo"),
        ("My-App.v2", "my_app_v2"),
        ("7up", "app_7up"),
        ("json", "json_app"),
        ("class", "class_app"),
        ("nat", "nat_app"),
    ],
)
def test_a_package_hides_no_other(name: str, package: str) -> None:
    assert package_name(name) == package


@pytest.mark.parametrize("text", ["", "..", "A", "-x", ".x", "a/b", "x" * 65, "a b", "a\n"])
def test_what_is_no_id(text: str) -> None:
    assert not is_project_id(text)
