"""The launcher as one file outside of the releases: `ATT_HOME/launcher.pyz`.

Made from the launcher's package of this installation, the same bytes for the same sources: in order, without times, rights or
compression. It is replaced only when it differs, since a running launcher may still read the one it was started from.
"""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

from att.release.disk import Disk, replace_file

NAME = "launcher.pyz"
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
        for name, content in sorted({"__main__.py": MAIN, **files}.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            out.writestr(entry, content)
    return packed.getvalue()


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
