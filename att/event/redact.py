"""Takes secrets out of what is written down: by the name a value stands under, and by the look of a text.

It errs to the side of hiding. Text that is already hidden stays as it is. No I/O.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

HIDDEN = "***"

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "pwd", "secret", "secrets", "authorization"})
_SECRET_WORDS |= {"credential", "credentials", "cookie", "cookies", "apikey", "accesskey", "privatekey"}
_SECRET_PAIRS = frozenset((before, "key") for before in ("api", "access", "private", "secret", "auth"))
_HARMLESS_ENDS = frozenset(
    ["id", "name", "count", "type", "kind", "limit", "expires", "at", "file", "path", "url", "prefix"]
)
"""`token_id` and `secret_name` say which one, not what it is."""


def is_secret(key: str, value: Any) -> bool:
    """Whether what stands under `key` must not be shown."""
    if value is None or value == "" or isinstance(value, bool):
        return False
    words = [word.lower() for word in _WORDS.findall(key)]
    if not words or words[-1] in _HARMLESS_ENDS:
        return False
    if not _SECRET_WORDS.isdisjoint(words) or any(p in _SECRET_PAIRS for p in itertools.pairwise(words)):
        return True
    counts = isinstance(value, int | float)  # max_tokens = 100
    return not counts and ("token" in words or "tokens" in words)


_URL = re.compile(
    r"\b([A-Za-z][A-Za-z0-9+.\-]{0,31}://)[^\s/?#\"'<>@]*(?:@[^\s/?#\"'<>@]*)*@"
)  # scheme://user:pass@
_SCHEME = re.compile(r"(?i)\b(bearer|basic|token)\s+(?!\*\*\*)[A-Za-z0-9._~+/=\-]{8,}")
_PAIR = re.compile(
    r"(?i)([\w\-]{0,64}(?:password|passwd|secret|api[_\-]?key|access[_\-]?key|private[_\-]?key|token|authorization))"
    r"(\"?'?\s*[=:]\s*\"?'?)(?!\*\*\*|(?:bearer|basic|token)\s)[^\s&;,\"'<>]+"
)
_FORM = re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|sk-|nvapi-|xox[abpr]-)[A-Za-z0-9_\-]{10,}")
_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
_WORD = re.compile(r"(?i)pass|secret|key|token|auth|bearer|basic")


def hide(text: str) -> str:
    """`text` without what looks like a secret.

    Passwords in URLs, bearer tokens, `key=value` pairs, the forms of well-known tokens, private keys. Most texts are
    short and harmless, so each pattern is only tried where a plain look says that it could match.
    """
    if "@" in text and "://" in text:
        text = _URL.sub(r"\1***@", text)
    if "-----BEGIN " in text:
        text = _KEY.sub(HIDDEN, text)
    if (" " in text or "=" in text or ":" in text) and _WORD.search(text):
        text = _PAIR.sub(r"\1\2***", _SCHEME.sub(r"\1 ***", text))
    if "-" in text or "_" in text:
        text = _FORM.sub(HIDDEN, text)
    return text
