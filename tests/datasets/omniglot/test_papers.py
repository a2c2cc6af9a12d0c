"""The suite of papers' cells runs on the published data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from metabench.benchmarks.model import Benchmark, load_suites
from metabench.cli import cli
from metabench.running.cell import Cell
from metabench.running.run_cell import Conditions, run_cell
from tests.recipes import golden

REGISTRY = golden.built_in()
PAPERS = {b.name: b for b in load_suites(REGISTRY)["papers"].benchmark}
CELLS = [
    *((name, b) for name in ("maml", "anil") for b in PAPERS.values() if "maml-omni" in b.name),
    *(
        (name, b)
        for name in ("protonet", "matchingnet")
        for b in PAPERS.values()
        if "vinyals" in b.name
    ),
    ("maml", PAPERS["papers-maml-sinusoid-5s"]),
]


def test_a_dry_run_lists_every_cell_of_the_papers(data: Path, tmp_path: Path) -> None:
    options = ["--suite", "papers", "--recipe", "paper", "--dry-run", "--json"]
    where = ["--data", str(data), "--results", str(tmp_path)]
    done = CliRunner().invoke(cli, ["run", *options, *where], standalone_mode=False)
    assert done.exception is None, done.output
    found = {
        (row["algorithm"], row["benchmark"])
        for row in json.loads(done.stdout)
        if row["state"] == "new"
    }
    assert found >= {(name, benchmark.name) for name, benchmark in CELLS}


def one_outer_step(name: str, benchmark: Benchmark) -> int:
    """Returns the examples of an outer step with the recipe `paper`."""
    values = golden.resolve(REGISTRY, REGISTRY.get("algorithm", name), benchmark, "paper")
    shots = values.get("train_shots") or benchmark.shots
    ways = values.get("train_ways") or benchmark.ways or 1
    queries = values["train_queries"] or shots
    return int(values["tasks"] * ways * (shots + queries))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "benchmark"), CELLS, ids=lambda x: getattr(x, "name", x))
def test_an_outer_step_of_every_cell_of_the_papers_runs(
    data: Path, name: str, benchmark: Benchmark
) -> None:
    few = {"validations": 1, "validation_episodes": 2, "test_episodes": 4}
    examples = one_outer_step(name, benchmark)
    small = benchmark.model_copy(update=few | {"metrics": benchmark.metrics[:1]})
    cell = Cell(name, small, 0, {"budget": examples}, recipe="paper")
    record = run_cell(cell, REGISTRY, Conditions(data=data))
    assert record.status == "ok", record.reason
    assert (record.training.steps, record.training.examples) == (1, examples)
    assert record.track == ("transductive" if "maml-omni" in benchmark.name else "inductive")
