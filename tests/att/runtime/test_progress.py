"""How far a build is, from uv's words."""

from hypothesis import given
from hypothesis import strategies as st

from att.runtime.progress import Progress

WORDS = [
    "Using CPython 3.11.7",
    "Resolved 71 packages in 3.07s",
    "Downloading numpy (16.2MiB)",
    " Downloaded numpy",
    "Prepared 1 package in 720ms",
    "Installed 71 packages in 82ms",
    " + aiohttp==3.14.5",
    "Bytecode compiled 5855 files in 7.94s",
    "error: no solution",
]


def test_it_goes_through_the_phases() -> None:
    now, phases = Progress(), []
    for line in WORDS:
        now = now.after(line)
        phases.append(now.phase)
    assert phases == [
        "venv",
        "download",
        "download",
        "download",
        "install",
        "compile",
        "compile",
        "finish",
        "finish",
    ]
    assert now.share < 1


@given(st.lists(st.sampled_from(WORDS), max_size=300))
def test_it_never_goes_back_and_is_never_full_by_itself(lines: list[str]) -> None:
    now = Progress()
    for line in lines:
        after = now.after(line)
        assert now.share <= after.share < 1
        now = after
