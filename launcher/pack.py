"""Puts the launcher into one file that any Python of its kind can run: `python -m launcher.pack FILE`.

The file is a zip that holds each module compiled (without assertions and docstrings; a start that compiles its own code costs a
megabyte for the whole life of the process) and as source, for another Python than the one that packed it. It replaces
what was there in one step. The same source gives the same bytes.
"""

from __future__ import annotations

import os
import sys

from launcher.disk import Disk, replace_file

WHEN = (2020, 1, 1, 0, 0, 0)
MAIN = "import sys\n\nfrom launcher.__main__ import main\n\nsys.exit(main())\n"
LEFT_OUT = {"pack.py"}


def sources(folder: str) -> dict[str, str]:
    """Path in the zip → text, of a package folder."""
    found = {"__main__.py": MAIN}
    above = os.path.dirname(folder)
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py") and name not in LEFT_OUT:
                path = os.path.join(place, name)
                with open(path, encoding="utf-8") as file:
                    found[os.path.relpath(path, above).replace(os.sep, "/")] = file.read()
    return found


def packed(texts: dict[str, str]) -> bytes:
    import importlib._bootstrap_external as loading
    import importlib.util
    import io
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for path, text in texts.items():
            code = compile(text, path, "exec", dont_inherit=True, optimize=2)
            hashed = importlib.util.source_hash(text.encode())
            compiled = loading._code_to_hash_pyc(code, hashed, False)  # type: ignore[attr-defined]  # not looked at again
            for name, data in ((path + "c", bytes(compiled)), (path, text.encode())):
                file.writestr(zipfile.ZipInfo(name, WHEN), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def main(argv: list[str]) -> int:
    if len(argv) != 1 or argv[0].startswith("-"):
        os.write(2, b"usage: python -m launcher.pack FILE\n")
        return 2
    replace_file(Disk(), os.path.abspath(argv[0]), packed(sources(os.path.dirname(os.path.abspath(__file__)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
