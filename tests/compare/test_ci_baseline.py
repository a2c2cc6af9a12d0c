"""The committed baseline of continuous integration, and the workflow that compares with it."""

import itertools
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from metabench.benchmarks.model import read_suite
from metabench.cli import cli
from metabench.compare import compare
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.stats import t_interval
from metabench.utils.grouping import grouped

ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "leaderboards" / "ci"
WORKFLOW = (ROOT / ".github" / "workflows" / "leaderboard.yml").read_text()
ALGORITHMS = {"protonet", "fomaml-zero-head", "nearest-mean"}


def metabench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    records, unreadable = ResultsFolder(BASELINE).load()
    assert not unreadable
    return records


def steps() -> list[list[str]]:
    """Returns the commands of the workflow as lists of arguments, folded lines joined."""
    runs = re.findall(r"run: (?:>\n((?: {10}.*\n)+)|(.*)\n)", WORKFLOW)
    return [shlex.split(" ".join((folded or line).split())) for folded, line in runs]


def test_the_baseline_has_the_current_suite_and_seven_seeds(
    records: list[Record],
) -> None:
    suite = read_suite(ROOT / "metabench" / "benchmarks" / "suites" / "ci.toml")
    defined = {benchmark.name: benchmark.scored for benchmark in suite.benchmark}
    assert {r.benchmark.name: r.benchmark.scored for r in records} == defined
    assert {(r.algorithm.name, r.seed) for r in records} == {
        (a, s) for a in ALGORITHMS for s in range(7)
    }
    assert {r.status for r in records} == {"ok"}


def test_the_baseline_equals_itself() -> None:
    result = metabench("compare", BASELINE, BASELINE, "--require-baseline", "--json")
    document = json.loads(result.stdout)
    assert (result.return_value, document["exit_code"]) == (0, 0)
    assert {row["verdict"] for row in document["rows"]} == {"equivalent"}


def test_the_committed_seeds_among_themselves_are_no_regression(records: list[Record]) -> None:
    """Three of the seven seeds against the other four, in all 35 ways: the same code."""
    alarms = 0
    for chosen in itertools.combinations(range(7), 3):
        # Common numbers make them comparable; the test over seeds does not pair by them.
        base, new = (
            _numbered([r for r in records if (r.seed in chosen) == side]) for side in (False, True)
        )
        alarms += any(row.verdict == "worse" for row in compare(base, new).rows)
    assert alarms <= 0.05 * 35


def _numbered(records: list[Record]) -> list[Record]:
    """Returns the records of each cell with the seeds 0, 1, 2, ..."""
    cells = grouped(records, lambda r: (r.algorithm.name, r.benchmark.name))
    return [
        record.model_copy(update={"seed": seed})
        for group in cells.values()
        for seed, record in enumerate(group)
    ]


def test_a_loss_of_two_points_fails_and_is_named_in_the_outputs_of_the_workflow(
    records: list[Record], tmp_path: Path
) -> None:
    new = ResultsFolder(tmp_path / "new")
    for record in records:
        if record.seed < 3:
            new.save(lowered(record) if record.algorithm.name == "protonet" else record)
    markdown, entries = tmp_path / "summary.md", tmp_path / "benchmark.json"
    result = metabench(
        "compare", BASELINE, new.path, "--markdown", markdown, "--benchmark-json", entries
    )
    assert result.return_value == 3
    assert "1 of 3 cells is worse: protonet on ci-glyphs-5w5s@1 by 2.0 points" in result.stdout
    assert "1 of 3 cells is worse: protonet on ci-glyphs-5w5s" in markdown.read_text()
    for entry in json.loads(entries.read_text()):  # the schema of customBiggerIsBetter
        assert {name: type(value) for name, value in entry.items()} == {
            "name": str, "unit": str, "value": float, "range": str, "extra": str,
        }  # fmt: skip
        assert entry["value"] > 0


def lowered(record: Record) -> Record:
    """Returns the record with an accuracy lower by two points: half of the episodes lose four."""
    if record.status != "ok":
        return record
    result = record.metrics["accuracy"]
    scores = [max(0.0, score - 0.04 * (i % 2)) for i, score in enumerate(result.episodes)]
    mean, half_width = t_interval(scores)
    changed = result.model_copy(update={"episodes": scores, "mean": mean, "ci95": half_width})
    return record.model_copy(update={"metrics": record.metrics | {"accuracy": changed}})


def test_the_workflow_runs_the_suite_and_compares_it_with_the_baseline() -> None:
    commands = [step[1:] for step in steps() if step[0] == "metabench"]
    assert [command[0] for command in commands] == ["run", "compare"]
    run, compare = commands
    assert {name for flag, name in pairwise(run) if flag == "-a"} == ALGORITHMS
    assert run[run.index("--results") + 1] == compare[2]
    assert compare[1] == BASELINE.relative_to(ROOT).as_posix()
    for command in commands:  # every option must exist
        found = cli.get_command(click.Context(cli), command[0])
        assert found is not None
        found.make_context(command[0], command[1:])


def test_the_workflow_passes_its_scores_to_the_benchmark_action() -> None:
    file = re.search(r"--benchmark-json (\S+)", WORKFLOW)
    assert file is not None
    assert "uses: benchmark-action/github-action-benchmark@" in WORKFLOW
    assert "tool: customBiggerIsBetter" in WORKFLOW
    assert f"output-file-path: {file[1]}" in WORKFLOW
