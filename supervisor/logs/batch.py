"""Batches: a block of bytes made into lines, column by column, so that a flood costs little a line.

All followers at the same place share one batch, and what was made of it (filtered, framed) stays with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from typing import Final

from launcher.protocol.ring import STDOUT
from supervisor.logs import lines
from supervisor.logs.marks import MID, Mark
from supervisor.logs.reader import Raw
from supervisor.logs.records import UNKNOWN, Kind, kinds
from supervisor.logs.values import PIECE, Line, Lost

Key = tuple[int, int]
NO_PIECES: Final[frozenset[int]] = frozenset()


@lru_cache(maxsize=1024)
def stamp(at: int) -> str:
    """RFC 3339, UTC, microseconds."""
    seconds, rest = divmod(at, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06}Z"


@dataclass(slots=True)
class Span:
    """Lines of one stream of one run that came together."""

    at: int
    stream: str
    run: str
    texts: list[str]
    ends: list[int]
    continued: frozenset[int] = NO_PIECES  # numbers of the lines that are pieces with more to come
    kinds: list[Kind] = field(default_factory=list)


class Batch:
    """The lines that ended in (begin, end]. `lost` comes before them. Not to be changed."""

    def __init__(self, tag: str, begin: int, end: int, spans: list[Span], lost: Lost | None = None) -> None:
        self.tag = tag
        self.begin = begin
        self.end = end
        self.spans = spans
        self.lost = lost
        self.framed: dict[str, bytes] = {}

    @property
    def next_cursor(self) -> str:
        return f"{self.tag}-{self.end}"

    def __len__(self) -> int:
        return sum(len(span.ends) for span in self.spans)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines())

    def lines(self, most: int | None = None) -> list[Line]:
        """The first `most` lines, or all."""
        tag = self.tag
        found: list[Line] = []
        for span in self.spans:
            if most is not None and len(found) >= most:
                return found[:most]
            at, stream, run, pieces = stamp(span.at), span.stream, span.run, span.continued
            found += [
                Line(f"{tag}-{end}", at, stream, run, text, n in pieces, kind.level, kind.logger)
                for n, (text, end, kind) in enumerate(zip(span.texts, span.ends, span.kinds, strict=True))
            ]
        return found[:most]


@dataclass(slots=True)
class _Pending:
    """The open line of a stream while a block is read: known bytes of its present piece, and how many are not known."""

    head: bytes = b""
    unknown: int = 0
    mid: bool = False


def read_spans(
    raw: Raw, head_of: Callable[[Mark], bytes], run_name: Callable[[int], str]
) -> list[tuple[Key, Span]]:
    """The lines that ended in (raw.begin, raw.end], in the order of their ends."""
    pending: dict[Key, _Pending] = {}
    found: list[tuple[Key, Span]] = []
    for mark in raw.marks:
        key = mark.key
        held = pending.get(key)
        if held is None:
            held = _Pending()
            if mark.unfinished:
                head = head_of(mark) if mark.carry else b""
                held = _Pending(head, mark.carry - len(head), bool(mark.flags & MID))
        span = Span(mark.at, "stdout" if mark.stream == STDOUT else "stderr", run_name(mark.run), [], [])
        if mark.eof:
            if held.head or held.unknown or held.mid:
                span.texts, span.ends = [lines.text(held.head)], [mark.end]
            pending[key] = _Pending()
        else:
            pending[key] = _fill(span, held, raw.bytes_of(mark), mark.offset)
        if mark.offset < raw.begin:
            _drop_until(span, raw.begin)
        if span.ends:
            found.append((key, span))
    return found


def _fill(span: Span, held: _Pending, part: bytes, offset: int) -> _Pending:
    """Puts the lines that end in `part` into the span; returns what is open after it."""
    data = held.head + part if held.head else part
    base = offset - len(held.head)
    last = data.rfind(b"\n")
    if last < 0 and len(data) + held.unknown < PIECE:
        return _Pending(data, held.unknown, held.mid)
    if not held.unknown and last >= 0 and len(data) - last <= PIECE:
        whole = data[:last]
        texts, lengths = _decode(whole)
        if max(lengths) < PIECE:
            span.texts = texts
            span.ends = list(accumulate([n + 1 for n in lengths], initial=base))[1:]
            return _Pending(data[last + 1 :])
    return _fill_slowly(span, held, data, base)


def _decode(whole: bytes) -> tuple[list[str], list[int]]:
    """The texts between newlines and their lengths in bytes; the same as `lines.text` of each."""
    if whole.isascii():
        texts = whole.decode("ascii").split("\n")
        lengths = list(map(len, texts))
    else:
        parts = whole.split(b"\n")
        lengths = list(map(len, parts))
        try:
            texts = whole.decode().split("\n")
        except UnicodeDecodeError:
            return [lines.text(part) for part in parts], lengths
    if b"\r" in whole:
        texts = [text.removesuffix("\r") for text in texts]
    return texts, lengths


def _fill_slowly(span: Span, held: _Pending, data: bytes, base: int) -> _Pending:
    """The same where a line is over-long or its beginning is gone."""
    cut, begin, mid = lines.split(data, -held.unknown, held.mid)
    span.texts = [lines.text(data[max(a, 0) : b]) for a, b, _ in cut]
    span.ends = [base + (b if more else b + 1) for _, b, more in cut]
    span.continued = frozenset(n for n, (*_, more) in enumerate(cut) if more)
    return _Pending(data[max(begin, 0) :], max(-begin, 0), mid)


def _drop_until(span: Span, begin: int) -> None:
    """Takes out the lines that ended at or before `begin`."""
    n = sum(end <= begin for end in span.ends)
    if n:
        del span.texts[:n], span.ends[:n]
        span.continued = frozenset(k - n for k in span.continued if k >= n)


def tell_kinds(spans: list[tuple[Key, Span]], before: dict[Key, Kind]) -> None:
    """Gives each line the kind of its record. `before`: the kind of each stream's last line; brought up to date."""
    for key, span in spans:
        span.kinds = kinds(span.texts, before.get(key, UNKNOWN))
        before[key] = span.kinds[-1]
