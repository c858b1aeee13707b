"""Ours, changed by hand, foreign."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from att.service.marking import Standing, examine, mark

texts = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(texts, min_size=2, max_size=5), st.dictionaries(st.sampled_from(["home", "listen"]), texts))
def test_what_was_marked_is_ours_and_tells_its_facts(lines: list[str], facts: dict[str, str]) -> None:
    for around in (("# ", ""), ("<!-- ", " -->")):
        text = mark(lines, 1, facts, around)
        found = examine(text)
        assert (found.standing, dict(found.facts)) == (Standing.OURS, facts)
        marked = text.split("\n")[1].removeprefix(around[0])
        assert "--" not in marked.removesuffix(" -->")


@given(st.lists(texts, min_size=2, max_size=5), st.data())
def test_any_change_of_another_line_is_seen(lines: list[str], data: st.DataObject) -> None:
    told = mark(lines, 1, {"home": "/x"}, ("# ", "")).split("\n")
    at = data.draw(st.sampled_from([n for n in range(len(lines) + 1) if n != 1]))
    told[at] += "x"
    assert examine("\n".join(told)).standing is Standing.EDITED


@given(st.text(max_size=300))
def test_any_other_text_is_foreign(text: str) -> None:
    assert examine(text).standing is Standing.FOREIGN


def test_a_mark_that_was_cut_is_a_change_by_hand() -> None:
    assert examine('# a\n# att-service {"digest": "12\n').standing is Standing.EDITED
