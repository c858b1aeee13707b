"""JSON by the C parts of `json` alone.

The rest of that package loads `re`: a third of a megabyte for the life of a process that is to stay small. It is loaded after all
when a text is not JSON, to say what is wrong with it.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

from launcher.protocol.words import Any

WHITE = " \t\n\r"
CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Usual:
    """What `json.loads` does when it is told nothing else."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, CONSTANTS.__getitem__


def _no_json(value: object) -> None:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_scan = make_scanner(_Usual)  # type: ignore[arg-type]
_encode = make_encoder(None, _no_json, encode_basestring_ascii, None, ":", ",", False, False, True)


def dumps(value: object) -> str:
    """In one line, without spaces; TypeError for what JSON has no words for."""
    return "".join(_encode(value, 0))


def loads(text: str | bytes) -> Any:
    """The value; ValueError when it is none, RecursionError when it is nested too deep."""
    if not isinstance(text, str):
        text = text.decode()
    text = text.strip(WHITE)
    try:
        value, end = _scan(text, 0)
    except (StopIteration, SystemError):  # without the rest it has no words for what is wrong
        end = -1
    if end != len(text):
        import json

        return json.loads(text)
    return value
