"""The launcher as one file outside of the releases: `ATT_HOME/launcher.pyz`.

Made from the launcher's package of this installation, the same bytes for the same sources and Python: in order, without times,
rights or compression. Beside each source lies its byte code (without docstrings, in a form of marshal that knows no references,
whose presence would depend on what else is in memory): compiling at every start would cost a third of a second, and a megabyte for
the life of the process. Another Python passes it over and takes the source. The file is replaced only when it differs, since a
running launcher may still read the one that it was started from.
"""

from __future__ import annotations

import io
import marshal
import zipfile
from importlib.util import MAGIC_NUMBER, find_spec, source_hash
from pathlib import Path

from att.release.disk import Disk, replace_file

NAME = "launcher.pyz"
UNCHECKED = (1).to_bytes(4, "little")  # the byte code names its source by a hash, which is not compared
WITHOUT_REFERENCES = 2
EPOCH = (1980, 1, 1, 0, 0, 0)
MAIN = b"""import sys

from launcher.__main__ import main

sys.exit(main())
"""


def sources() -> dict[str, bytes]:
    """The files of the launcher's package, by their names inside of the archive."""
    spec = find_spec("launcher")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the launcher's package is not installed", name="launcher")
    package = Path(next(iter(spec.submodule_search_locations)))
    return {
        f"launcher/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in package.rglob("*.py")
    }


def archive(files: dict[str, bytes]) -> bytes:
    """A zip that Python runs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as out:
        for name, content in sorted(with_code({"__main__.py": MAIN, **files}).items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            out.writestr(entry, content)
    return packed.getvalue()


def with_code(files: dict[str, bytes]) -> dict[str, bytes]:
    """The sources and, beside each, what this Python makes of it."""
    found = dict(files)
    for name, content in files.items():
        code = compile(content, f"{NAME}/{name}", "exec", dont_inherit=True, optimize=2)
        head = MAGIC_NUMBER + UNCHECKED + source_hash(content)
        found[f"{name}c"] = head + marshal.dumps(code, WITHOUT_REFERENCES)
    return found


def write_launcher(disk: Disk, home: Path) -> Path:
    """The launcher's file in `home`, made from today's sources."""
    path = home / NAME
    wanted = archive(sources())
    try:
        same = path.read_bytes() == wanted
    except FileNotFoundError:
        same = False
    if not same:
        replace_file(disk, path, wanted)
    return path
