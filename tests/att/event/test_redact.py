"""What is hidden, and what stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.event.payload import TEXT, WHOLE, clean, clean_and_encode
from att.event.redact import HIDDEN, hide, is_secret

SECRET_KEYS = [
    *(
        "token",
        "password",
        "PASSWORD",
        "secret",
        "authorization",
        "Authorization",
        "api_key",
        "apiKey",
        "api-key",
    ),
    *(
        "OPENAI_API_KEY",
        "client_secret",
        "githubToken",
        "access_token",
        "db.password",
        "private_key",
        "Set-Cookie",
    ),
    *("credentials", "passwd", "tokens", "accessKey", "aws_secret_access_key", "passphrase", "APIKEY"),
]
HARMLESS_KEYS = [
    "token_id",
    "secret_name",
    "key",
    "monkey",
    "keyboard",
    "author",
    "passed",
    "token_count",
    "tokenizer",
]


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("value", ["hunter2-hunter2", ["a"], {"deep": "hunter2-hunter2"}])
def test_values_of_secret_names_are_hidden(key: str, value: Any) -> None:
    assert clean({"a": [{key: value}]}) == {"a": [{key: HIDDEN}]}


@pytest.mark.parametrize("key", HARMLESS_KEYS)
def test_values_of_harmless_names_stay(key: str) -> None:
    assert clean({key: "a value"}) == {key: "a value"}


def test_counts_of_tokens_stay_and_numbers_as_passwords_do_not() -> None:
    assert clean({"max_tokens": 4096, "password": 1234, "token": True, "secret": None}) == {
        "max_tokens": 4096,
        "password": HIDDEN,
        "token": True,
        "secret": None,
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:pa55word@host/x.git", "https://***@host/x.git"),
        ("https://ghp_0123456789abcdef@host/x", "https://***@host/x"),
        ("see https://a:b@c and ssh://u:p@h:22/", "see https://***@c and ssh://***@h:22/"),
        ("https://a:p@ss@host/", "https://***@host/"),
        ("postgresql://ada:pa55@localhost:5432/db", "postgresql://***@localhost:5432/db"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("bearer abcdefgh12345678", "bearer ***"),
        ("run --api-key=abc123 --x=1", "run --api-key=*** --x=1"),
        ("https://h/p?access_token=abc&x=1", "https://h/p?access_token=***&x=1"),
        ('{"password": "abc", "a": 1}', '{"password": "***", "a": 1}'),
        ("OPENAI_API_KEY=sk-abcdefghijklmnop", "OPENAI_API_KEY=***"),
        ("it said nvapi-ABCDEFGHIJKLMNOP1234", "it said ***"),
        ("ghp_ABCDEFGHIJKLMNOPQRSTUVWX", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n.", "***\n."),
    ],
)
def test_secrets_within_texts_are_hidden(text: str, shown: str) -> None:
    assert hide(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/health",
        "git@github.com:ada/repo.git",
        "ada@example.org wrote",
        "nat serve --config_file config.yml --port 8000",
        "max_tokens reached after 4096 tokens",
        "2026-11-21T01:02:03.456789Z",
        "the task-force risk-averse sk-",
    ],
)
def test_harmless_texts_stay(text: str) -> None:
    assert hide(text) == text


@given(st.text(max_size=300))
def test_hiding_twice_changes_nothing(text: str) -> None:
    once = hide(text)
    assert hide(once) == once


@given(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9!$%^&*()_+=\-]{6,30}", fullmatch=True),
    st.from_regex(r"[a-z]{1,12}(\.[a-z]{2,5})?", fullmatch=True),
)
def test_no_password_of_a_url_is_shown(user: str, password: str, host: str) -> None:
    assert password not in hide(f"cloning https://{user}:{password}@{host}/repo failed").replace(
        host, ""
    ).replace(user, "")


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=12), json_like, max_size=5))
def test_every_payload_becomes_plain_json_and_stays_the_same_then(payload: dict[str, Any]) -> None:
    kept, text = clean_and_encode(payload)
    assert json.loads(text) == kept
    text.encode("ascii")
    json.dumps(kept, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    assert clean(kept) == kept


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert clean({"text": "x" * 20_000})["text"] == "x" * (TEXT - 1) + "…"
    kept, text = clean_and_encode({"small": 1, **{f"k{n}": "x" * 5000 for n in range(50)}})
    assert len(text) <= WHOLE
    assert kept["small"] == 1
    assert "too long" in kept["cut"]


def test_depth_and_number_are_bounded() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(100):
        inner["d"] = {}
        inner = inner["d"]
    assert len(json.dumps(clean(deep))) < 200
    assert len(clean({"many": list(range(5000))})["many"]) == 1000


def test_an_empty_secret_is_no_secret() -> None:
    assert not is_secret("password", "")
    assert not is_secret("", "x")
