"""Finding and reading a NAT config without NAT."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.runtime import config
from att.runtime.errors import InvalidYaml, NoConfig

SMALL = "workflow:\n  _type: echo\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_named_config_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "config.yml", SMALL)
    other = write(tmp_path, "conf/other.yml", SMALL)
    assert config.find(tmp_path, "conf/other.yml") == other


@pytest.mark.parametrize(
    "name", ["config.yml", "configs/config.yml", "src/app/configs/config.yml", "my_agent.yaml"]
)
def test_it_is_found_in_the_usual_places(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, SMALL)
    write(tmp_path, "docker-compose.yml", "services: {}\n")
    assert config.find(tmp_path) == path


def test_none_and_several_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoConfig, match="no NAT config"):
        config.find(tmp_path)
    with pytest.raises(NoConfig, match=r"gone\.yml"):
        config.find(tmp_path, "gone.yml")
    write(tmp_path, "one.yml", SMALL)
    write(tmp_path, "two.yml", SMALL)
    with pytest.raises(NoConfig, match=r"one\.yml, two\.yml"):
        config.find(tmp_path)


def test_bad_yaml_is_told_by_line_and_column(tmp_path: Path) -> None:
    path = write(tmp_path, "config.yml", "general: {}\nworkflow:\n  _type: [echo\nllms: {}\n")
    with pytest.raises(InvalidYaml) as caught:
        config.read(path, {})
    assert (caught.value.extra["line"], caught.value.code) == (4, "invalid_yaml")
    assert caught.value.extra["column"] >= 1


@pytest.mark.parametrize(
    "raw", [b"", b"- a\n- b\n", b"ok: \xff\n", b"a: b: c\n", b"key: !!python/object:os.system x\n"]
)
def test_what_is_no_config_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(raw)
    with pytest.raises(InvalidYaml):
        config.read(path, {})


def test_variables_are_replaced_as_nat_does(tmp_path: Path) -> None:
    text = "llms: {a: {_type: openai, api_key: ${KEY}, base: '${BASE:-http://x}'}}\n# ${IN_A_COMMENT}\nworkflow: {_type: echo}\n"
    found = config.read(write(tmp_path, "config.yml", text), {"KEY": "k"})
    assert found.data["llms"]["a"] == {"_type": "openai", "api_key": "k", "base": "http://x"}
    assert found.unset == ()
    assert config.read(tmp_path / "config.yml", {}).unset == ("KEY",)


def test_what_the_config_asks_for_is_seen(tmp_path: Path) -> None:
    text = """
    general: {front_end: {_type: fastapi, host: 0.0.0.0, port: 8010, runner_class: my.Worker}}
    function_groups: {tools: {_type: mcp_client, server: {transport: stdio}}}
    llms: {a: {_type: openai}}
    workflow: {_type: react_agent}
    """
    found = config.read(write(tmp_path, "config.yml", text), {})
    assert (found.host, found.port, found.worker) == ("0.0.0.0", 8010, "my.Worker")
    assert found.has_mcp_clients
    assert found.components == {
        "function_groups.tools": "mcp_client",
        "llms.a": "openai",
        "workflow": "react_agent",
    }


def test_a_base_is_laid_under(tmp_path: Path) -> None:
    write(tmp_path, "base.yml", "workflow: {_type: echo, prefix: a}\nllms: {x: {_type: nim}}\n")
    found = config.read(write(tmp_path, "config.yml", "base: base.yml\nworkflow: {prefix: b}\n"), {})
    assert found.data["workflow"] == {"_type": "echo", "prefix": "b"}
    assert "llms.x" in found.components


def test_a_base_that_is_itself_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidYaml, match="own base"):
        config.read(write(tmp_path, "config.yml", "base: config.yml\n"), {})
    with pytest.raises(NoConfig, match=r"base gone\.yml"):
        config.read(write(tmp_path, "config.yml", "base: gone.yml\n"), {})


@given(st.text(max_size=200))
def test_any_text_is_a_config_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_text(text, "utf-8", "surrogatepass")
    try:
        config.read(path, {})
    except (InvalidYaml, NoConfig) as problem:
        assert problem.detail
