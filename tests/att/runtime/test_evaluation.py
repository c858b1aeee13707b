"""`nat eval` as a short run: what it wrote is read, what went wrong is told."""

import asyncio
import os
from pathlib import Path

import pytest

from att.runtime import evaluation
from att.runtime.config import NatConfig
from att.runtime.environment import Environment, Standing
from att.runtime.errors import EvalFailed, EvalNotInstalled, EvalTimeout


def environment(**packages: str) -> Environment:
    installed = {name.replace("_", "-"): version for name, version in packages.items()}
    return Environment(Path(".venv"), Standing.READY, installed=installed)


def test_the_extra_that_is_missing_is_named() -> None:
    with pytest.raises(EvalNotInstalled) as caught:
        evaluation.check_installed(environment(nvidia_nat_core="1.9.0"))
    assert caught.value.extra["extra"] == "nvidia-nat[eval]"
    evaluation.check_installed(environment(nvidia_nat_core="1.9.0", nvidia_nat_eval="1.9.0"))
    evaluation.check_installed(environment(nvidia_nat="1.4.3"))


def test_results_are_where_the_config_says() -> None:
    folder = Path("/p")

    def where(data: dict[str, object]) -> Path:
        return evaluation.output_dir(NatConfig(folder / "c.yml", {"eval": data}), folder)

    assert where({"general": {"output_dir": "out"}}) == Path("/p/out")
    assert where({"general": {"output": {"dir": "there"}}}) == Path("/p/there")
    assert where({}) == Path("/p/.tmp/nat/examples/default")


def run(folder: Path, script: str, timeout: float = 20) -> evaluation.Outcome:
    return asyncio.run(
        evaluation.run(
            ("sh", "-c", script), folder=folder, env=os.environ, into=folder / "out", timeout=timeout
        )
    )


def test_files_and_scores_are_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    old = tmp_path / "out" / "old.json"
    old.write_text("{}")
    os.utime(old, (1, 1))
    outcome = run(
        tmp_path,
        """echo working; echo '{"average_score": 0.75}' > out/accuracy_output.json; echo x > out/notes.txt""",
    )
    assert outcome.scores == {"accuracy": 0.75}
    assert set(outcome.files) == {"accuracy_output.json", "notes.txt"}
    assert outcome.lines == ("working",)


def test_a_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(EvalFailed, match="no such dataset") as caught:
        run(tmp_path, "echo 'Error: no such dataset' >&2; exit 1")
    assert caught.value.extra["exit_code"] == 1
    with pytest.raises(EvalNotInstalled):
        run(tmp_path, """echo "Error: No such command 'eval'." >&2; exit 2""")


def test_the_time_limit_is_kept(tmp_path: Path) -> None:
    with pytest.raises(EvalTimeout):
        run(tmp_path, "sleep 60", timeout=0.3)
