"""The blocks of Python and TOML in the documentation work."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from metabench.benchmarks.model import read_suite
from metabench.cli import cli
from tests.helpers.repository import PAGES, ROOT, Block, blocks

BLOCKS = [block for page in PAGES for block in blocks(page)]
TESTED = {"python", "sh", "toml"}
TEXT = {"math", "text"}


def example(page: str, marker: str) -> str:
    """Returns the block of TOML that follows a marker on a page of ``docs/``."""
    (path,) = (path for path in PAGES if path.name == page)
    at = path.read_text(encoding="utf-8").partition(f"<!-- {marker} -->")[0].count("\n")
    return next(b.text for b in blocks(path) if b.language == "toml" and b.line > at)


def test_every_block_is_text_or_in_a_language_that_is_tested() -> None:
    assert TESTED <= {block.language for block in BLOCKS} <= TESTED | TEXT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_names_its_language(page: Path) -> None:
    fences = re.findall(r"^ *```(\w*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(fences[::2])


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "python"], ids=lambda block: block.place
)
def test_a_block_of_python_runs(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, block.place, "exec"), {"__name__": "example"})


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "toml"], ids=lambda block: block.place
)
def test_a_block_of_toml_can_be_read(block: Block) -> None:
    assert tomllib.loads(block.text)


def test_the_example_of_a_suite_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(example("suites.md", "example suite"))
    assert [benchmark.name for benchmark in read_suite(path).benchmark] == ["mine-glyphs-5w1s"]


def test_the_example_of_a_configuration_file_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(example("usage.md", "configuration file"))
    done = CliRunner().invoke(cli, ["run", "--config", str(path), "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    cells = json.loads(done.stdout)
    assert {cell["algorithm"] for cell in cells} == {"maml", "protonet"}
    assert {cell["seed"] for cell in cells} == {0, 1, 2}
