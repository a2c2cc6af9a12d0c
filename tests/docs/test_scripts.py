"""docs/scripts.md describes the JSON documents, exit codes and variables that the program has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from metabench import errors
from metabench.cli import cli
from tests.helpers.repository import ROOT

PAGE = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([^`]+)` \| (array of .*) \|$", PAGE, re.MULTILINE))
KINDS = (
    "algorithms",
    "benchmarks",
    "suites",
    "datasets",
    "backbones",
    "metrics",
    "executors",
    "formats",
)
STATES = {"stored", "new", "stale", "skipped"}


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert done.exception is None, done.output
    return json.loads(done.stdout)


def promised(command: str) -> set[str]:
    """Returns the keys that the page promises for the objects of a command's array."""
    outside_of_brackets = re.sub(r"\([^()]*\)", "", ROWS[command])
    return set(re.findall(r"`(\w+)`", outside_of_brackets))


@pytest.mark.parametrize("kind", KINDS)
def test_listings_have_the_documented_keys(kind: str) -> None:
    rows = run("list", kind, "--json")
    assert rows
    assert all(promised("list KIND --json") <= row.keys() for row in rows)


def test_recipes_have_the_documented_keys() -> None:
    rows = run("list", "recipes", "--json")
    assert rows
    assert all(promised("list recipes --json") == row.keys() for row in rows)


def test_plugins_have_the_documented_keys() -> None:
    (row,) = (row for row in run("plugins", "--json") if row["name"] == "metabench")
    assert promised("plugins --json") <= row.keys()
    assert f"`{row['status']}`" in ROWS["plugins --json"]


def test_checks_have_the_documented_keys() -> None:
    (row,) = run("check", "nearest-mean", "--only", "constructs", "--json")
    assert promised("check NAME --json") <= row.keys()
    (of_a_check,) = re.findall(r"`checks` \(each (.*)\)", ROWS["check NAME --json"])
    assert set(re.findall(r"`(\w+)`", of_a_check)) <= row["checks"][0].keys()


def test_leaderboards_have_the_documented_keys() -> None:
    rows = run("leaderboard", str(ROOT / "leaderboards" / "ci"), "--format", "json")
    assert all(promised("leaderboard RESULTS --format json") <= row.keys() for row in rows)


def test_a_dry_run_has_the_documented_keys(tmp_path: Path) -> None:
    command = ["run", "-a", "random", "-b", "glyphs-5w1s", "--dry-run", "--json"]
    (row,) = run(*command, "--results", str(tmp_path / "results"))
    assert promised("run --dry-run --json") == row.keys()
    assert row["state"] == "new"
    assert set(re.findall(r"`(\w+)`", ROWS["run --dry-run --json"])) >= STATES


def test_the_documented_exit_codes_are_those_of_the_program() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert documented == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}


def test_the_documented_variables_are_those_that_the_program_reads() -> None:
    sources = (path.read_text(encoding="utf-8") for path in ROOT.glob("metabench/**/*.py"))
    read = {name for source in sources for name in re.findall(r'"(METABENCH_[A-Z_]+)"', source)}
    assert set(re.findall(r"^\| `(METABENCH_\w+)`", PAGE, re.MULTILINE)) == read
