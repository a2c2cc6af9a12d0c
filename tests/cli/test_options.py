"""The options of ``metabench run`` are the settings of a run."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from metabench.cli.options import given_settings, settings_options
from metabench.cli.run_command import command
from metabench.config import CellSettings, RunSettings
from metabench.errors import UsageError

OPTIONS = {parameter.name: parameter for parameter in command.params}


def given(*arguments: str) -> dict[str, Any]:
    """The settings that these arguments give."""
    found: dict[str, Any] = {}

    @click.command()
    @settings_options(RunSettings)
    def probe(**values: Any) -> None:
        found.update(given_settings(RunSettings, values))

    result = CliRunner().invoke(probe, arguments)
    if isinstance(result.exception, UsageError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return found


@pytest.mark.parametrize("setting", [f.name for f in fields(RunSettings)])
def test_every_setting_is_an_option_with_a_help_text(setting: str) -> None:
    option = OPTIONS[setting]
    assert isinstance(option, click.Option)
    assert f"--{setting.replace('_', '-')}" in option.opts
    assert option.help


def test_without_options_nothing_is_given() -> None:
    assert given() == {}


def test_options_are_parsed_to_the_types_of_the_settings() -> None:
    arguments = "-a maml -a proto* --seeds 2 --metrics cost,noise --set maml.lr=0.1 --quick"
    assert given(*arguments.split()) == {
        "algorithm": ("maml", "proto*"),
        "seeds": (0, 1),
        "metrics": ("cost", "noise"),
        "set": {"maml": {"lr": "0.1"}},
        "quick": True,
    }
    arguments = "--threads 2 --timeout 1.5 --data d --results r --suite core --precision bf16"
    assert given(*arguments.split()) == {
        "threads": 2,
        "timeout": 1.5,
        "data": Path("d"),
        "results": Path("r"),
        "suite": "core",
        "precision": "bf16",
    }


def test_a_given_default_counts_as_given() -> None:
    assert given("--threads", "1", "--device", "cpu") == {"threads": 1, "device": "cpu"}


def test_an_invalid_text_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--seeds 'x' is not valid"):
        given("--seeds", "x")


@pytest.mark.parametrize("arguments", ["--threads 0", "--jobs -1", "--timeout 0", "--jobs x"])
def test_click_checks_the_bounds_of_the_settings(arguments: str) -> None:
    result = CliRunner().invoke(command, arguments.split())
    assert result.exit_code == 2
    assert "Invalid value for '--" in result.output


def test_help_shows_defaults_and_bounds() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    for shown in ("[default: cpu]", "[default: 1; x>=1]", "[x>0]", "[default: processes]"):
        assert shown in text


def test_a_command_can_take_some_of_the_settings() -> None:
    @click.command()
    @settings_options(CellSettings, "data")
    def probe(data: Path | None) -> None: ...

    assert [parameter.name for parameter in probe.params] == ["data"]
