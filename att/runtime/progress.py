"""How far a build is, read from the lines that uv prints. Pure.

uv tells what it finished ("Resolved 65 packages", "Prepared …", "Installed …", "Bytecode compiled …") and which large files it
fetches. Each of these is worth a share; downloads move the bar a little each. It never goes back and is full only at the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARKS = (
    (re.compile(r"^(Using CPython|Creating virtual environment)"), "venv", 0.03),
    (re.compile(r"^Resolved \d+ packages?"), "download", 0.15),
    (re.compile(r"^Prepared \d+ packages?"), "install", 0.65),
    (re.compile(r"^Installed \d+ packages?"), "compile", 0.75),
    (re.compile(r"^Bytecode compiled \d+ files?"), "finish", 0.97),
)
_FETCHED = re.compile(r"^\s*(Downloading|Downloaded|Building|Built) ")


@dataclass(frozen=True, slots=True)
class Progress:
    phase: str = "resolve"
    share: float = 0.0

    def after(self, line: str) -> Progress:
        """What it is once uv has printed `line`."""
        for pattern, phase, share in _MARKS:
            if pattern.match(line):
                return Progress(phase, max(share, self.share))
        if _FETCHED.match(line) and self.share < 0.63:
            return Progress("download", self.share + (0.64 - self.share) * 0.06)
        return self
