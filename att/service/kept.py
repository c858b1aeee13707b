"""`python -m att.service.kept FOLDER`: writes the examples that are kept in `systemd/`. A test compares them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from att.service import launchd, systemd
from att.service.description import EXAMPLES, Kind


def kept() -> dict[str, str]:
    """Name and text of each."""
    example = EXAMPLES[Kind.SYSTEMD]
    return {
        "att.service": systemd.service(example),
        "att.socket": systemd.socket(replace(example, socket=True)),
        "att.plist": launchd.plist(EXAMPLES[Kind.LAUNCHD]),
    }


def main(folder: Path) -> None:
    for name, text in kept().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
