"""Projects and environments for tests: real files, as small as they can be."""

from __future__ import annotations

import sys
from pathlib import Path

CONFIG = "workflow:\n  _type: echo\n"
SOURCE = 'class EchoConfig(FunctionBaseConfig, name="echo"):\n    pass\n'


def environment(project: Path, **packages: str) -> Path:
    """A `.venv` as uv makes it, with the names of what is installed and a `nat` that can be run."""
    folder = project / ".venv"
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\nversion_info = 3.11.7\n")
    (folder / "bin" / "python").symlink_to(sys.executable)
    for name, version in packages.items():
        (site / f"{name}-{version}.dist-info").mkdir()
    nat = folder / "bin" / "nat"
    nat.write_text("#!/bin/sh\nexit 0\n")
    nat.chmod(0o755)
    return folder


def nat_project(folder: Path) -> Path:
    """A project with a config, its component, and an environment with NAT 1.9."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text(CONFIG)
    (folder / "echo.py").write_text(SOURCE)
    environment(folder, nvidia_nat="1.9.0", nvidia_nat_core="1.9.0", sqlalchemy="2.1.9", greenlet="3.5.6")
    return folder
