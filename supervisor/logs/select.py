"""Filters: which lines of a batch are given out. A filtered batch still moves on over what it left out.

Patterns are run by the `regex` package with a time limit, since those of the standard library can run for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from supervisor.logs.batch import Batch, Span
from supervisor.logs.errors import BadFilter, PatternTooSlow
from supervisor.logs.records import LEVELS, strip_ansi
from supervisor.logs.values import Filters

PATTERN_MOST: Final = 1000
PATTERN_TIME: Final = 0.25
NO_FILTERS: Final = Filters()
STREAMS: Final = ("stdout", "stderr")


def check(filters: Filters) -> None:
    """Raises BadFilter when a filter cannot be used."""
    if filters.stream is not None and filters.stream not in STREAMS:
        raise BadFilter(f"stream is one of {', '.join(STREAMS)}")
    if filters.level is not None and filters.level not in LEVELS:
        raise BadFilter(f"level is one of {', '.join(LEVELS)}")
    if filters.grep is not None:
        _matcher(filters.grep)


@lru_cache(maxsize=64)
def _matcher(pattern: str) -> Callable[[str], bool]:
    if len(pattern) > PATTERN_MOST:
        raise BadFilter(f"a pattern has at most {PATTERN_MOST} characters")
    if re.escape(pattern) == pattern:
        return lambda text: pattern in text
    import regex

    try:
        compiled = regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as fault:
        raise BadFilter(f"the pattern is no regular expression: {fault}") from fault

    def matches(text: str) -> bool:
        try:
            return compiled.search(text, timeout=PATTERN_TIME) is not None
        except TimeoutError as fault:
            raise PatternTooSlow("the pattern takes too long on a line of this log") from fault

    return matches


def select(batch: Batch, filters: Filters) -> Batch:
    """The batch with only the lines that pass. The lost mark stays."""
    if filters == NO_FILTERS:
        return batch
    spans = [
        chosen
        for span in batch.spans
        if filters.stream in (None, span.stream)
        and filters.run in (None, span.run)
        and (chosen := _choose(span, filters)).ends
    ]
    return Batch(batch.tag, batch.begin, batch.end, spans, batch.lost)


def _choose(span: Span, filters: Filters) -> Span:
    texts = [strip_ansi(text) for text in span.texts] if filters.strip_ansi else span.texts
    numbers: Sequence[int] = range(len(texts))
    if filters.level is not None:
        least = LEVELS[filters.level]
        numbers = [n for n in numbers if LEVELS.get(span.kinds[n].level or "", 0) >= least]
    if filters.grep is not None:
        matches = _matcher(filters.grep)
        numbers = [n for n in numbers if matches(texts[n])]
    return Span(
        span.at,
        span.stream,
        span.run,
        [texts[n] for n in numbers],
        [span.ends[n] for n in numbers],
        frozenset(k for k, n in enumerate(numbers) if n in span.continued),
        [span.kinds[n] for n in numbers],
    )


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text holds the pattern, with the time limit; for whom whole records are looked through. Raises BadFilter."""
    return _matcher(pattern)
