"""JSON by the C parts of `json` alone.

The rest of that package loads `re`: a third of a megabyte for the life of a process that is to stay small. It is loaded after all
when a text is not JSON, to say what is wrong with it, and on a Python whose parts are not the ones that are known here.
"""

from __future__ import annotations

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


def _parts() -> Any:
    """How texts are scanned and values encoded; None where the interpreter's parts are others."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner

        encode = make_encoder(None, _no_json, encode_basestring_ascii, None, ":", ",", False, False, True)
        scan = make_scanner(_Usual)  # type: ignore[arg-type]
        known = scan("[0]", 0) == ([0], 3) and "".join(encode([0], 0)) == "[0]"
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return (scan, encode) if known else None


PARTS = _parts()


def dumps(value: object) -> str:
    """In one line, without spaces; TypeError for what JSON has no words for."""
    if PARTS is not None:
        return "".join(PARTS[1](value, 0))
    import json

    return json.dumps(value, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """The value; ValueError when it is none, RecursionError when it is nested too deep."""
    if not isinstance(text, str):
        text = text.decode()
    text = text.strip(WHITE)
    if PARTS is not None:
        try:
            value, end = PARTS[0](text, 0)
        except (StopIteration, SystemError):  # without the rest it has no words for what is wrong
            end = -1
        if end == len(text):
            return value
    import json

    return json.loads(text)
