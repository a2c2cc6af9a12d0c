"""Formats of plugins for leaderboards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metabench.leaderboard.build import Leaderboard, build
from metabench.leaderboard.formats import render
from metabench.plugins import Plugins
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record
from tests.helpers.formats import FORMATS
from tests.helpers.plugin_site import Site

SOURCE = """
import sys
from metabench import Spec, hookimpl

def names(board, columns):
    "The algorithms, the best first."
    print("at work")
    return "\\n".join([row.algorithm for row in board.rows] + list(columns))

def fails(board, columns):
    raise RuntimeError("no luck")

def exits(board, columns):
    sys.exit(7)

def gives_bytes(board, columns):
    return b"maml"

@hookimpl
def metabench_formats():
    return [
        Spec("names", names, "2", "The algorithms"),
        Spec("fails", fails),
        Spec("exits", exits),
        Spec("gives-bytes", gives_bytes),
        Spec("wrong-arguments", lambda: ""),
        Spec("no-module", "zoo_nowhere:X"),
    ]
"""

WRONG = {
    "fails": "format 'fails' of 'zoo-formats' failed: RuntimeError: no luck "
    "(site/zoo_formats.py, line ",
    "exits": "format 'exits' of 'zoo-formats' failed: it called sys.exit(7)",
    "gives-bytes": "format 'gives-bytes' of 'zoo-formats' returned b'maml' instead of text",
    "wrong-arguments": "format 'wrong-arguments' of 'zoo-formats' failed: TypeError",
    "no-module": "'no-module' of 'zoo-formats' cannot be imported: ModuleNotFoundError",
}


@pytest.fixture
def results(site: Site, tmp_path: Path) -> Path:
    """Two records, and the formats on the site."""
    site.add("formats", SOURCE)
    for name, scores in (("maml", (0.25, 0.75)), ("protonet", (0.75, 0.85))):
        ResultsFolder(tmp_path / "r").save(make_record(name, scores))
    return tmp_path / "r"


def test_a_format_of_a_plugin_is_listed_and_used(site: Site, results: Path) -> None:
    rows = {row["name"]: row for row in site.json("list", "formats")}
    assert set(FORMATS) | {"names"} <= rows.keys()
    assert (rows["names"]["distribution"], rows["names"]["version"]) == ("zoo-formats", "2")

    done = site.metabench("leaderboard", results, "--format", "names", "--columns", "pgd_0.1")
    assert done.stdout == "protonet\nmaml\npgd_0.1\n"
    assert "at work" in done.stderr, "what it prints is not on stdout"


@pytest.mark.parametrize("name", WRONG)
def test_a_format_that_fails_is_an_error_with_the_reason(
    site: Site, results: Path, name: str
) -> None:
    done = site.metabench("leaderboard", results, "--format", name, code=4)
    assert done.stdout == ""
    assert f"error: {WRONG[name]}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_format_that_fails_marks_its_plugin_as_broken(site: Site, results: Path) -> None:
    plugins = site.load()
    with pytest.raises(Exception, match="failed: RuntimeError: no luck"):
        render(plugins.registry, "fails", build([make_record()]))
    assert [info.name for info in plugins.broken] == ["formats"]


@pytest.mark.parametrize("name", FORMATS)
def test_built_in_formats_are_in_the_registry(name: str) -> None:
    board: Leaderboard = build([make_record("maml"), make_record("protonet", (0.9, 0.9))])
    registry = Plugins(only=()).registry
    assert registry.get("format", name).distribution == "metabench"
    assert render(registry, name, board) == board.render(name)


def test_an_unknown_format_is_a_usage_error(site: Site, results: Path) -> None:
    error = site.metabench("leaderboard", results, "--format", "nams", code=2).stderr
    assert "unknown format 'nams'. Did you mean 'names'?" in error
    assert "`metabench list formats` shows the " in error


def test_listing_imports_no_format() -> None:
    code = (
        "import sys; from metabench.cli import cli\n"
        "cli.main(['list', 'formats'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules or 'metabench.leaderboard.formats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
