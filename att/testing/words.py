"""From a selection to the words of the test command. Pure: which folders there are is told by the caller.

pytest is run as `python -m pytest`, so that a project whose code lies beside its tests needs no set-up. Coverage comes from
pytest-cov where that is installed (it knows about xdist), else from `coverage run`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from att.testing.errors import SelectionNotSupported
from att.testing.models import Selection
from att.testing.settings import TestSettings

PLUGIN = "att_test_report"
COVERAGE_FILE = "coverage.json"
DATA_FILE = "coverage.data"


@dataclass(frozen=True, slots=True)
class Commands:
    """`main` is the run itself; `after` makes the coverage report, where that is a step of its own."""

    main: tuple[str, ...]
    after: tuple[str, ...] = ()


def places(ask: Selection, settings: TestSettings, is_folder: Callable[[str], bool]) -> tuple[list[str], str]:
    """The paths to give to the runner, and the marker that stands for a kind which has no folder."""
    if ask.kind is None:
        return list(ask.paths), ""
    named = settings.kinds.get(ask.kind)
    found = list(named) if named else [f for f in _folders(ask.kind) if is_folder(f)][:1]
    if not found:
        return list(ask.paths), ask.kind
    if not ask.paths:
        return found, ""
    inside = [path for path in ask.paths if any(_below(path, folder) for folder in found)]
    return (inside, "") if inside else (list(ask.paths), ask.kind)


def _folders(kind: str) -> tuple[str, ...]:
    return (f"tests/{kind}", f"test/{kind}", f"{kind}_tests", f"tests_{kind}")


def _below(path: str, folder: str) -> bool:
    return Path(path.partition("::")[0]).is_relative_to(Path(folder))


def pytest(
    ask: Selection,
    settings: TestSettings,
    *,
    python: Path,
    paths: Sequence[str],
    kind_marker: str,
    has: Collection[str],
    into: Path,
) -> Commands:
    """The words for pytest. `has`: which of pytest_cov and coverage there are; `into`: where reports go."""
    marker = " and ".join(f"({each})" for each in (ask.marker, kind_marker) if each)
    words = ["-p", PLUGIN, "--tb=long", "--color=no"]
    words += [f"-k{ask.keyword}"] if ask.keyword else []
    words += [f"-m{marker}"] if marker else []
    words += [f"--maxfail={ask.max_failures}"] if ask.max_failures else []
    words += list(settings.args)
    if not _measured(ask, settings):
        return Commands((str(python), "-m", "pytest", *words, *paths))
    source = list(ask.coverage_source or settings.coverage_source) or ["."]
    report = into / COVERAGE_FILE
    if "pytest_cov" in has:
        words += [f"--cov={each}" for each in source]
        words += ["--cov-report=", f"--cov-report=json:{report}", "--cov-fail-under=0"]
        return Commands((str(python), "-m", "pytest", *words, *paths))
    data = f"--data-file={into / DATA_FILE}"
    measured = (str(python), "-m", "coverage", "run", data, f"--source={','.join(source)}")
    after = (str(python), "-m", "coverage", "json", data, "--fail-under=0", "-o", str(report))
    return Commands((*measured, "-m", "pytest", *words, *paths), after)


def _measured(ask: Selection, settings: TestSettings) -> bool:
    return ask.coverage or ask.coverage_threshold is not None


def needed(ask: Selection, settings: TestSettings) -> tuple[str, ...]:
    """The modules that must be there; for coverage either of two will do (`pytest_cov|coverage`)."""
    return ("pytest", "pytest_cov|coverage") if _measured(ask, settings) else ("pytest",)


def own(ask: Selection, settings: TestSettings, paths: Sequence[str], report: Path) -> tuple[str, ...]:
    """The project's own command with its placeholders filled; what it cannot be told is refused."""
    takes = "{tests}" in settings.command
    told = {
        "paths": bool(paths) and not takes,
        "kind": ask.kind is not None and not (takes and paths),
        "marker": ask.marker is not None,
        "keyword": ask.keyword is not None,
        "max_failures": ask.max_failures is not None,
        "coverage": _measured(ask, settings),
    }
    refused = [name for name, wrong in told.items() if wrong]
    if refused:
        fields = [{"field": name, "message": "the project's own command takes none"} for name in refused]
        said = f"The project's own test command cannot be told {', '.join(refused)}."
        raise SelectionNotSupported(said, fields=fields)
    filled = [settings.command[0]]
    for word in settings.command[1:]:
        filled += list(paths) if word == "{tests}" else [word.replace("{report}", str(report))]
    return tuple(filled)
