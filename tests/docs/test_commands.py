"""The command lines of the documentation have valid options and names, and cheap ones run."""

from __future__ import annotations

import configparser
import functools
import itertools
import re
import shutil
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from metabench.algorithms.base import parameters_of
from metabench.benchmarks.model import collect_benchmarks, load_suites
from metabench.cli import cli
from metabench.plugins import installed_plugins
from tests.helpers.documented_commands import Command, commands, parse
from tests.helpers.repository import ROOT

COMMANDS = commands()
METABENCH = [command for command in COMMANDS if command.program == "metabench"]

OTHER_PROGRAMS = {
    ".",
    "git",
    "metabench",
    "pip",
    "pre-commit",
    "pytest",
    "python",
    "python3",
    "tox",
}
PLACEHOLDERS = {"example", "mine", "my-algo", "pixel-mean"}
"""Names of algorithms that a reader replaces, or writes on the page."""

OPTIONS_WITH_NAMES = {
    "-a": "algorithm",
    "-b": "benchmark",
    "--executor": "executor",
    "--format": "format",
    "--metrics": "metric",
    "--suite": "suite",
}
"""Options whose values are names or lists of names, by the kind of the names."""


def name(command: Command) -> str:
    return str(command)


def context(command: Command) -> click.Context:
    """Returns the context of the innermost command, with its options and arguments read.

    Raises:
        click.UsageError: If an option, an argument or a command does not exist.
    """
    context = cli.make_context("metabench", command.arguments)
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = context.command.resolve_command(context, rest)
        assert found is not None
        context = found.make_context(name, rest, parent=context)
    return context


@functools.cache
def names_of(kind: str) -> frozenset[str]:
    """Returns the names of a kind in metabench and its adapters, and the placeholders."""
    registry = installed_plugins().registry
    if kind == "benchmark":
        return frozenset(collect_benchmarks(load_suites(registry).values()))
    names = set(registry.names(kind))
    for path in ROOT.glob("plugins/*/metabench_*/*.py"):
        names |= set(
            re.findall(r'^    name(?:: \S+)? = "([\w-]+)"', path.read_text(), re.MULTILINE)
        )
    return frozenset(names | PLACEHOLDERS)


def hyperparameters_of(algorithm: str) -> Collection[str]:
    """Returns what ``--set`` accepts for an algorithm; an adapter accepts the same as ``maml``."""
    registry = installed_plugins().registry
    known = algorithm if algorithm in registry.names("algorithm") else "maml"
    return {*parameters_of(registry.get("algorithm", known).load()), "budget"}


def test_the_pages_have_commands() -> None:
    assert len(METABENCH) > 40


def test_lists_loops_comments_and_continued_lines_are_read() -> None:
    assert parse("a 'b c' && d \\\n  e  # why\n# f") == [("a", "b c"), ("d", "e")]
    assert parse("for x in 1 2; do\nf --y=$x > out\ndone\n") == [("f", "--y=1"), ("f", "--y=2")]


@pytest.mark.parametrize("command", COMMANDS, ids=name)
def test_the_program_of_a_command_is_available_to_a_reader(command: Command) -> None:
    assert command.program in OTHER_PROGRAMS


@pytest.mark.parametrize("command", METABENCH, ids=name)
def test_the_options_of_a_command_exist(command: Command) -> None:
    if {"--help", "--version"} & set(command.words):
        return
    context(command)


@pytest.mark.parametrize("command", METABENCH, ids=name)
def test_the_names_in_a_command_exist(command: Command) -> None:
    words = command.arguments
    for option, value in itertools.pairwise(words):
        if option in OPTIONS_WITH_NAMES and "*" not in value and not value.endswith(".toml"):
            assert set(value.split(",")) <= names_of(OPTIONS_WITH_NAMES[option])
        if option == "--set":
            algorithm, parameter = value.split("=")[0].split(".")
            assert algorithm in names_of("algorithm")
            if algorithm not in PLACEHOLDERS:
                assert parameter in hyperparameters_of(algorithm)
    if words[0] == "check":
        assert words[1] in names_of("algorithm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder like the repository with records in ``results``, in which commands may write."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "leaderboards", folder / "leaderboards")
    (folder / "docs").mkdir()
    records = folder / "results" / "records"
    for board in ("ci", "core"):
        shutil.copytree(ROOT / "leaderboards" / board / "records", records, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def is_cheap(command: Command) -> bool:
    """Whether a command takes seconds and needs neither a network, nor adapters, nor data."""
    words = set(command.words)
    if words & PLACEHOLDERS:
        return command.words[1] == "new-plugin"
    if command.words[1] in ("run", "tune"):
        return "--dry-run" in words
    if "--recheck" in words:  # it runs the cells whose code has changed
        return False
    return command.words[1:3] not in {("data", "download"), ("data", "verify")}


@pytest.mark.parametrize("command", [c for c in METABENCH if is_cheap(c)], ids=name)
def test_a_cheap_command_succeeds(command: Command, folder: Path) -> None:
    for made in folder.glob("metabench-*"):  # several pages make the same project
        shutil.rmtree(made)
    done = CliRunner().invoke(cli, command.arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.program == "tox"], ids=name)
def test_the_environment_of_a_tox_command_exists(command: Command) -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    words = command.arguments
    for option, value in itertools.pairwise(words):
        if option == "-e" and value != "py":
            assert f"testenv:{value}" in tox


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.program == "pip"], ids=name)
def test_what_pip_installs_exists(command: Command) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    verb, *words = command.arguments
    assert verb == "install"
    for word in words:
        if found := re.fullmatch(r"\.\[([\w,]+)\]", word):
            assert set(found[1].split(",")) <= extras.keys()
        elif "/" in word or word.endswith(".txt"):
            assert (ROOT / word).exists() or "metabench-example" in command.place
        else:
            assert word.startswith("-") or word in {".", "tox", ".[test]"}
