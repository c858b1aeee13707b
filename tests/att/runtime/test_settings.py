"""What att.toml may say, and how it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.runtime.errors import InvalidSettings
from att.runtime.settings import RuntimeSettings, parse, signal_number, size
from supervisor.spec import ProbeKind, Restart, Use


def refused(text: str) -> InvalidSettings:
    with pytest.raises(InvalidSettings) as caught:
        parse(text)
    return caught.value


def test_no_file_means_the_defaults() -> None:
    found = parse("")
    assert found == RuntimeSettings()
    assert (found.serve, found.restart, found.stop_signal, found.stop_grace) == (
        "nat",
        Restart.PERMANENT,
        15,
        10,
    )


def test_everything_can_be_said() -> None:
    found = parse(
        """
        [runtime]
        command = ["python", "-m", "server", "{port}"]
        config = "conf/app.yml"
        port = 0
        serve = "nat"
        env = { KEY = "${env:KEY}" }
        restart = "transient"
        stop_signal = "SIGINT"
        stop_grace = 2.5
        memory_limit = "2GiB"
        watch = ["config.yml", "src/**/*.py"]
        [[runtime.probe]]
        kind = "http"
        path = "/live"
        use = ["liveness"]
        [runtime.environment]
        nat = "1.4"
        """
    )
    assert found.command[0] == "python"
    assert found.memory_limit == 2 * 1024**3
    assert found.stop_signal == 2
    assert found.probe[0].kind is ProbeKind.HTTP
    assert found.probe[0].use == frozenset({Use.LIVENESS})
    assert found.environment.nat == "1.4"
    assert found.env == {"KEY": "${env:KEY}"}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[runtime]\nstop_grase = 3", "runtime.stop_grase"),
        ("[runtime]\nport = 70000", "runtime.port"),
        ('[runtime]\nmemory_limit = "much"', "runtime.memory_limit"),
        ('[runtime]\nstop_signal = "SIGNONE"', "runtime.stop_signal"),
        ('[[runtime.probe]]\nkind = "smell"', "runtime.probe[0].kind"),
        ('[[runtime.probe]]\nkind = "log"\npattern = "("', "runtime.probe[0].pattern"),
        ('[[runtime.probe]]\nkind = "command"', "runtime.probe[0]"),
        ('[runtime.environment]\nnta = "1.4"', "runtime.environment.nta"),
        ("[runtme]\nport = 1", "runtme"),
    ],
)
def test_a_key_that_is_wrong_is_named(text: str, field: str) -> None:
    problem = refused(text)
    assert problem.code == "invalid_settings"
    assert problem.extra["fields"][0]["field"] == field
    assert field in problem.detail


def test_what_is_no_toml_is_refused() -> None:
    assert "TOML" in refused("[runtime").detail


def test_tables_of_other_rooms_are_left_to_them() -> None:
    assert parse("[deploy]\nkeep = 3\n[runtime]\nport = 1").port == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("1k", 1000), ("1KiB", 1024), ("2 GiB", 2**31), ("1.5MB", 1_500_000), (7, 7)],
)
def test_sizes_are_read_with_their_unit(text: object, expected: int) -> None:
    assert size(text) == expected


@given(st.integers(1, 1000), st.sampled_from(["KiB", "MiB", "GiB", "TiB"]))
def test_binary_units_are_powers_of_1024(number: int, unit: str) -> None:
    assert size(f"{number}{unit}") == number * 1024 ** ("KMGT".index(unit[0]) + 1)


@given(st.text(max_size=200))
def test_any_text_is_settings_or_refused(text: str) -> None:
    try:
        parse(text)
    except InvalidSettings as problem:
        assert problem.detail


def test_a_signal_has_a_name_or_a_number() -> None:
    assert signal_number("TERM") == signal_number("SIGTERM") == signal_number(15) == 15
