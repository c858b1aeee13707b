"""The walls of the house: who may import whom, which files only decide, and how large a file may grow.

They are read from the source, so that a wall also holds for an import inside a function, and checked once more
at run time where it is about what a start costs.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("launcher", "supervisor", "att")
DOORS = {"att.__main__", "att.http", "att.cli", "att.mcp"}
WIRING = ("att.daemon", "att.workbench")  # the only files that know everything

# Where a dependency may be used; what is not named here may be used nowhere.
THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "anyio": ("att.mcp",),
    "aiohttp": (
        *("att.http", "att.mcp", "att.daemon", "att.runtime", "att.project.download", "att.git.forge"),
        "supervisor.probes",
    ),
    "alembic": ("att.store",),
    "asyncpg": ("att.store",),
    "click": ("att.cli",),
    "gidgethub": ("att.git",),
    "markdown_it": ("att.http.docs",),
    "mcp": ("att.mcp",),
    "mcp_types": ("att.mcp",),
    "multidict": ("att.http", "att.mcp"),
    "packaging": ("att.runtime",),
    "prometheus_client": ("att.http", "att.health", "att.metrics"),
    "psutil": (
        "att.cli.doctor",
        "att.runtime",
        "att.shortrun",
        "att.release",
        "att.health",
        "att.daemon",
        "supervisor",
    ),
    "pydantic": ("att",),
    "pydantic_core": ("att",),
    "regex": ("supervisor.logs.select",),
    "rich": ("att.cli",),
    "sqlalchemy": (
        *("att.store", "att.event", "att.project", "att.runtime"),
        *("att.token", "att.git", "att.testing", "att.deploy", "att.workflow"),
    ),
    "starlette": ("att.mcp",),
    "structlog": ("att",),
    "tenacity": ("att.git", "att.deploy", "att.workflow"),
    "uv": ("att.runtime", "att.release", "att.testing", "att.cli.doctor"),
    "watchfiles": ("supervisor.watch",),
    "yaml": ("att.runtime", "att.project"),
    "yarl": ("att.http",),
}

# Files that decide: no I/O, no clock; what they need to know comes in as an argument.
DECIDING = {
    "att/catalogue.py",
    "att/problems.py",
    "supervisor/health.py",
    "supervisor/lifecycle.py",
    "supervisor/logs/records.py",
    "supervisor/restart.py",
    "supervisor/spec.py",
}
IO = {
    *(
        "aiohttp",
        "asyncio",
        "http",
        "logging",
        "os",
        "psutil",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
    ),
    *("sqlite3", "subprocess", "tempfile", "threading", "time", "urllib"),
}
CLOCKS = {"now", "utcnow", "today", "monotonic", "perf_counter"}


def _files(*folders: str) -> list[Path]:
    return sorted(
        p for folder in folders for p in (ROOT / folder).rglob("*.py") if "templates" not in p.parts
    )


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _inside(module: str, *places: str) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


SOURCES = _files(*PACKAGES)
MODULES = {_name(path): path for path in SOURCES}
every_source = pytest.mark.parametrize("path", SOURCES, ids=_id)


def _imports(path: Path, tree: ast.AST) -> Iterator[str]:
    """Every module that the source names, as an absolute dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = _name(path).split(".")
                above = package if path.stem == "__init__" else package[:-1]
                base = ".".join([*above[: len(above) - node.level + 1], *([base] if base else [])])
            for alias in node.names:  # `from att import config` names the module att.config
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@every_source
def test_imports_run_one_way(path: Path) -> None:
    module = _name(path)
    allowed = {
        "launcher": ("launcher",),
        "supervisor": ("supervisor", "launcher.protocol"),
        "att": ("att", "supervisor"),
    }[module.split(".")[0]]
    wrong = [
        name
        for name in _imports(path, _parsed(path))
        if _inside(name, *PACKAGES, "tests", "scripts") and not _inside(name, *allowed)
    ]
    assert not wrong, f"{module} must not import {wrong}"


@every_source
def test_rooms_do_not_know_the_doors_and_only_the_doors_know_the_wiring(path: Path) -> None:
    module = _name(path)
    if module in WIRING:
        return
    named = set(_imports(path, _parsed(path)))
    if not _inside(module, *DOORS):
        assert not [name for name in named if _inside(name, *DOORS, *WIRING)]
    elif not _inside(module, "att.cli"):
        assert not named & set(WIRING)


@pytest.mark.parametrize("path", [p for p in SOURCES if "shim" not in p.parts], ids=_id)
def test_a_dependency_is_used_only_where_it_belongs(path: Path) -> None:
    module = _name(path)
    for name in _imports(path, _parsed(path)):
        top = name.split(".")[0]
        if top in PACKAGES or top in sys.stdlib_module_names:
            continue
        assert _inside(module, *THIRD_PARTY.get(top, ())), f"{module} must not use {top}"


@pytest.mark.parametrize("path", [p for p in SOURCES if "shim" in p.parts], ids=_id)
def test_what_runs_inside_the_app_knows_nothing_of_ours(path: Path) -> None:
    assert not [name for name in _imports(path, _parsed(path)) if _inside(name, *PACKAGES)]


def _at_import(path: Path) -> set[str]:
    """What importing the file imports of ours, but for what a function imports later or a type checker reads."""
    found: set[str] = set()

    def walk(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.update(name for name in _imports(path, ast.Module([node], [])) if name in MODULES)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
                walk([*node.body, *node.orelse])
            elif isinstance(node, ast.Try):
                walk([*node.body, *node.orelse, *node.finalbody])

    walk(_parsed(path).body)
    return found


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: _at_import(path) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")


def _claims_to_decide() -> set[str]:
    """Files that say of themselves that they do no I/O: the claim is checked too."""
    return {
        _id(p) for p in SOURCES if "does no I/O" in (ast.get_docstring(_parsed(p)) or "").replace("\n", " ")
    }


@pytest.mark.parametrize("name", sorted(DECIDING | _claims_to_decide()))
def test_a_file_that_decides_does_no_io_and_reads_no_clock(name: str) -> None:
    tree = _parsed(ROOT / name)
    assert not {module.split(".")[0] for module in _imports(ROOT / name, tree)} & IO
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id in ("open", "print", "input"))
            assert not (isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS)


@pytest.mark.parametrize("path", _files(*PACKAGES, "tests", "scripts"), ids=_id)
def test_no_file_grows_past_four_hundred_lines(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= 400


@every_source
def test_a_file_says_what_it_is_for(path: Path) -> None:
    tree = _parsed(path)
    assert not tree.body or ast.get_docstring(tree)


@every_source
def test_no_error_is_swallowed_and_nothing_is_left_undone(path: Path) -> None:
    source = path.read_text("utf-8")
    assert not [word for word in ("TODO", "FIXME", "raise NotImplementedError") if word in source]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(step, ast.Pass) for step in node.body):
            assert node.type is not None and ast.unparse(node.type) not in ("Exception", "BaseException")


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_launcher_loads_only_the_standard_library() -> None:
    assert (
        _loaded_by("import launcher.__main__") & (THIRD_PARTY.keys() | {"att", "supervisor", "asyncio"})
        == set()
    )


def test_the_daemon_loads_nothing_that_most_lives_do_not_need() -> None:
    seldom = {
        "alembic",
        "asyncpg",
        "click",
        "mcp",
        "mcp_types",
        "rich",
        "starlette",
        "uv",
        "watchfiles",
        "yaml",
    }
    assert _loaded_by("import att.daemon") & seldom == set()


def test_one_call_of_the_command_line_loads_no_server() -> None:
    assert (
        _loaded_by("import att.cli.main") & {"aiohttp", "sqlalchemy", "alembic", "uv", "watchfiles"} == set()
    )
