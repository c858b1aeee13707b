"""The token's file, and sessions made from the token."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.access import SESSION_SECONDS, Access, Grant, read_or_make_token, read_token
from att.catalogue import Scope
from att.config import BadSettings

TOKEN = "att_0123456789abcdef"
OTHER = "att_fedcba9876543210"


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    old = os.umask(0)
    try:
        token = read_or_make_token(file)
    finally:
        os.umask(old)
    assert token.startswith("att_")
    assert len(token) > 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_make_token(file) == token
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside it"


def test_of_many_that_start_at_once_all_have_the_same_token(tmp_path: Path) -> None:
    found: list[str] = []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait()
        found.append(read_or_make_token(tmp_path / "token"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"short", b"with blanks in it and more", b"\xff" * 40, b"\0" * 40])
def test_a_file_that_holds_no_token_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(BadSettings, match="does not hold a token"):
        read_or_make_token(file)
    assert file.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    with pytest.raises(BadSettings) as caught:
        read_token(file)
    assert f"chmod 600 {file}" in caught.value.advice
    assert TOKEN not in caught.value.detail


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be made"):
        read_or_make_token(tmp_path / "missing" / "token")
    (tmp_path / "token").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadSettings, match="cannot be read"):
        read_or_make_token(tmp_path / "token")


def test_each_token_has_its_own_name_and_scopes() -> None:
    access = Access([Grant.of("local", TOKEN), Grant.of("reader", OTHER, frozenset({Scope.READ}))])
    owner, reader = access.by_token(TOKEN, 0.0), access.by_token(OTHER, 0.0)
    assert owner is not None
    assert reader is not None
    assert (owner.actor, reader.actor) == ("local", "reader")
    assert owner.scopes == frozenset(Scope)
    assert reader.scopes == {Scope.OPEN, Scope.READ}


@given(st.text(max_size=40))
def test_no_other_text_is_a_token_or_a_session(text: str) -> None:
    access = Access([Grant.of("local", TOKEN)])
    assert (access.by_token(text, 0.0) is None) == (text != TOKEN)
    assert access.by_session(text, 0.0) is None
    assert access.session_for(text, 0.0) is None or text == TOKEN


@given(
    now=st.integers(0, 2**33),
    later=st.integers(0, 2 * SESSION_SECONDS),
    at=st.integers(0, 70),
    put=st.sampled_from("0aZ_.-9"),
)
def test_a_session_holds_until_its_end_and_not_when_it_was_changed(
    now: int, later: int, at: int, put: str
) -> None:
    access = Access([Grant.of("local", TOKEN), Grant.of("other", OTHER)])
    value = access.session_for(TOKEN, now)
    assert value is not None
    assert TOKEN not in value
    found = access.by_session(value, now + later)
    assert (found is not None) == (later < SESSION_SECONDS)
    assert found is None or found.actor == "local"
    changed = value[: at % len(value)] + put + value[at % len(value) + 1 :]
    assert changed == value or access.by_session(changed, now) is None


def test_a_session_ends_with_its_token() -> None:
    value = Access([Grant.of("local", TOKEN)]).session_for(TOKEN, 0.0)
    assert value is not None
    assert Access([Grant.of("local", OTHER)]).by_session(value, 1.0) is None
    assert Access([]).by_session(value, 1.0) is None
