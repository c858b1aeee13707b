"""The launcher's part of the home folder.

Boot record, releases, journal, and the folders for sockets and logs of daemon lives.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable

from launcher.disk import Disk, read_file, replace_file, sync_folder
from launcher.journal import remembered
from launcher.poller import Poller, Timer
from launcher.protocol import notation
from launcher.protocol.words import NamedTuple, suppress
from launcher.record import INSTALLED, BadRecordError, Record, is_release_name, parse, rebuild

SMALL = 1 << 20
CONFIG_PERIOD = 2.0
SOCKET_PATH_LIMIT = 100  # the kernel's is 107 bytes on Linux, 103 on macOS


class Program(NamedTuple):
    """How a release is started."""

    python: str
    module: str


class MissingReleaseError(Exception):
    """The release is not there to be started."""


class Home:
    """Paths, and what is read from and written to them."""

    def __init__(self, path: str, disk: Disk) -> None:
        self.path, self.disk = os.path.abspath(path), disk
        self.record_path = os.path.join(self.path, "boot.json")
        self.journal_path = os.path.join(self.path, "launcher.ndjson")
        self.releases_path = os.path.join(self.path, "releases")
        self.lives_path = os.path.join(self.path, "lives")
        self.run_path = os.path.join(self.path, "run")
        self.launcher_path = os.path.join(self.path, "launcher.pyz")
        self.config_path = os.path.join(self.path, "att.toml")

    def prepare(self) -> None:
        """Make the folders; only for the one who holds the lock, since sockets of dead lives are removed."""
        for folder in (self.path, self.run_path, self.lives_path):
            self.disk.make_folder(folder)
        if len(os.fsencode(self.run_path)) + len("/health-00000000.sock") > SOCKET_PATH_LIMIT:
            self.run_path = short_folder(self.path)
            self.disk.make_folder(self.run_path)
            if os.stat(self.run_path).st_uid != os.getuid():
                raise PermissionError(f"{self.run_path} belongs to somebody else")
        for name in os.listdir(self.run_path):
            if name.startswith("health-") and name.endswith(".sock"):
                os.unlink(os.path.join(self.run_path, name))

    def resume(self, run_path: str) -> None:
        """Instead of `prepare`, after this process has executed other code: its folders are there and in use."""
        self.run_path = run_path

    def leave(self) -> None:
        """Take away what lies outside of the home."""
        if not self.run_path.startswith(self.path + os.sep):
            with suppress(OSError):  # something of somebody else is in it
                os.rmdir(self.run_path)

    def load(self) -> tuple[Record, str]:
        """The boot record, and why it had to be made anew ("" when it had not, or at a first start)."""
        try:
            data = read_file(self.record_path, SMALL)
            if data is not None:
                return self._with_installed(parse(data.decode())), ""
            why = "there was none"
        except (OSError, UnicodeDecodeError, BadRecordError) as error:
            why = str(error)
            self._put_aside()
        found = self.releases()
        if not found and why == "there was none":
            why = ""  # a first start
        return rebuild(found, remembered(self.journal_path)), why

    def _with_installed(self, record: Record) -> Record:
        fresh = rebuild((), {})
        record.releases.setdefault(INSTALLED, fresh.releases[INSTALLED])
        return record

    def _put_aside(self) -> None:
        """Keep what could not be read, for a person to look at."""
        try:
            self.disk.rename(self.record_path, self.record_path + ".unreadable")
        except OSError:
            return  # it is about to be overwritten; that is what matters

    def save(self, record: Record) -> None:
        replace_file(self.disk, self.record_path, record.dump().encode())

    def releases(self) -> list[str]:
        """The complete releases on disk, oldest first: `release.json` is written last."""
        found = []
        try:
            names = os.listdir(self.releases_path)
        except OSError:
            return []
        for name in names:
            if is_release_name(name) and name != INSTALLED:
                body = self.release_body(name)
                if body is not None:
                    found.append((str(body.get("built_at", "")), name))
        return [name for _, name in sorted(found)]

    def release_body(self, release: str) -> dict[str, object] | None:
        try:
            return self._release_body(release)
        except OSError:
            return None

    def _release_body(self, release: str) -> dict[str, object] | None:
        """OSError when it could not be read: for want of a descriptor, say, which is no word about it."""
        data = read_file(os.path.join(self.releases_path, release, "release.json"), SMALL)
        try:
            body = notation.loads(data) if data is not None else None
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def program(self, release: str, default: Program) -> Program:
        """The interpreter and module of a release; its `release.json` may name others than the usual ones."""
        if release == INSTALLED:
            return default
        body = self._release_body(release)
        if body is None:
            raise MissingReleaseError(f"{release} has no readable release.json")
        folder = os.path.join(self.releases_path, release)
        python = os.path.normpath(os.path.join(folder, str(body.get("python", "env/bin/python"))))
        if not python.startswith(folder + os.sep):
            raise MissingReleaseError(f"the interpreter of {release} lies outside of it")
        if not os.access(python, os.X_OK):
            raise MissingReleaseError(f"{release} has no interpreter at {python}")
        return Program(python, str(body.get("module", default.module)))

    def config_stamp(self) -> list[int] | None:
        """Changes when the configuration file does."""
        try:
            found = os.stat(self.config_path)
        except OSError:
            return None
        return [found.st_mtime_ns, found.st_size]

    def sync(self) -> None:
        sync_folder(self.disk, self.path)


class ConfigWatch:
    """`changed()` when the configuration file is another than it was at `begin`; until `stop`."""

    def __init__(self, poller: Poller, home: Home, changed: Callable[[], None]) -> None:
        self._poller, self._home, self._changed = poller, home, changed
        self._timer: Timer | None = None
        self.stamp: list[int] | None = None

    def begin(self) -> None:
        self.stop()
        self.stamp = self._home.config_stamp()
        self._timer = self._poller.after(CONFIG_PERIOD, self._look)

    def _look(self) -> None:
        self._timer = self._poller.after(CONFIG_PERIOD, self._look)
        before, self.stamp = self.stamp, self._home.config_stamp()
        if self.stamp != before:
            self._changed()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def short_folder(home: str) -> str:
    """A folder for sockets when the home's own path is too long for one: same home, same folder."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 -- made 0700 and its owner checked
    return os.path.join(base, f"att-{os.getuid()}-{zlib.crc32(os.fsencode(home)):08x}")
