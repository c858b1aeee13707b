"""Secrets come from where the reference says, and are never told."""

from pathlib import Path

import pytest

from att.runtime.errors import SecretMissing
from att.runtime.secrets import files, references, resolve


def test_a_variable_and_a_file_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    found = resolve(
        {"A": "x-${env:NAME}", "B": "${file:key}", "C": "plain ${OTHER}"}, {"NAME": "value"}, tmp_path
    )
    assert found == {"A": "x-value", "B": "from the file", "C": "plain ${OTHER}"}


@pytest.mark.parametrize(
    "reference", ["${env:NOT_SET}", "${file:not-there}", "${file:~no.such-user/key}", "${file:a\0b}"]
)
def test_a_missing_one_is_named(tmp_path: Path, reference: str) -> None:
    with pytest.raises(SecretMissing) as caught:
        resolve({"KEY": reference}, {}, tmp_path)
    assert caught.value.code == "secret_missing"
    assert reference in caught.value.detail
    assert caught.value.extra == {"reference": reference, "variable": "KEY"}


def test_a_file_that_cannot_be_a_secret_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "nul").write_bytes(b"top\0secret")
    (tmp_path / "large").write_bytes(b"topsecret" * 10_000)
    (tmp_path / "raw").write_bytes(b"topsecret\xff")
    for name in ("nul", "large", "raw", "."):
        with pytest.raises(SecretMissing) as caught:
            resolve({"KEY": f"${{file:{name}}}"}, {}, tmp_path)
        assert "secret" not in caught.value.detail.replace("a secret", "")


def test_references_are_listed_as_written() -> None:
    assert references({"A": "${env:X} and ${file:y}", "B": "no"}) == ["${env:X}", "${file:y}"]
    assert files({"A": "${env:X} and ${file:y}", "B": "${file:/z}"}, Path("/a")) == [Path("/a/y"), Path("/z")]
