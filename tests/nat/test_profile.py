"""The profiler of the real NAT: evaluated, and its figures read."""

from __future__ import annotations

from pathlib import Path

import pytest

from att.debug import looking
from att.debug.errors import NoProfile
from att.debug.models import Profile, ReadProfile
from att.runtime.models import EvalRuntime
from tests.nat.prepared import ME, Served

EVAL = """
eval:
  general:
    output_dir: results
    dataset: {_type: json, file_path: data.json, structure: {question_key: question, answer_key: answer}}
    profiler: {compute_llm_metrics: true, csv_exclude_io_text: true}
  evaluators: {}
"""


@pytest.mark.nat
@pytest.mark.slow
def test_an_evaluation_with_the_profiler_is_read_back(tmp_path: Path) -> None:
    app = Served(tmp_path / "home", "1.4")
    try:
        (app.folder / "config.yml").write_text((app.folder / "config.yml").read_text() + EVAL)
        data = '[{"id": 1, "question": "a", "answer": "a"}, {"id": 2, "question": "b", "answer": "b"}]'
        (app.folder / "data.json").write_text(data)

        def profile() -> Profile:
            return app.do(looking.profile(ReadProfile(project_id=app.name), app.house.runtime))

        with pytest.raises(NoProfile):
            profile()
        app.do(app.house.runtime.evaluate(EvalRuntime(project_id=app.name), ME))
        found = profile()
        assert (found.folder, found.requests) == ("results", 2)
        assert {(step.kind, step.calls) for step in found.steps} >= {("workflow", 2), ("function", 2)}
        assert found.steps[0].total_seconds > 0 and len(found.slowest) == 2
    finally:
        app.close()
