"""``metabench leaderboard``."""

import json
from pathlib import Path

import pytest

from metabench.records.schema import MetricResult
from metabench.records.store import ResultsFolder
from tests.helpers.cells import BLOBS, make_record, suite_file, with_seeds
from tests.helpers.formats import FORMATS
from tests.leaderboard.test_aggregate import of_three_benchmarks


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = ResultsFolder(tmp_path / "results")
    ok = make_record("maml", (0.25, 0.75) * 10), make_record("protonet", (0.75, 0.85) * 10)
    for record in with_seeds(*ok):
        folder.save(record)
    folder.save(make_record("broken", None, reason="it broke", benchmark={"test_episodes": 20}))
    return folder.path


def spoil(results: Path) -> Path:
    """Add a truncated record."""
    path = results / "records" / "truncated.json"
    path.write_text(make_record().model_dump_json()[:100])
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_every_row(metabench, results: Path, form: str) -> None:
    ended = metabench("leaderboard", results, "--format", form)
    assert ended.code == 0
    assert all(name in ended.out for name in ("maml", "protonet", "broken", "it broke"))
    assert ended.err == ""


def test_the_json_has_the_documented_shape(metabench, results: Path) -> None:
    rows = metabench("leaderboard", results, "--format", "json").document
    assert [(row["algorithm"], row["rank"], row["status"]) for row in rows] == [
        ("protonet", 1, "ok"),
        ("maml", 2, "ok"),
        ("broken", None, "failed"),
    ]
    types = {
        "benchmark": str,
        "algorithm": str,
        "status": str,
        "rank": int,
        "rank_low": int,
        "rank_high": int,
        "provisional": bool,
        "beats": dict,
        "score": float,
        "ci95": float,
        "episodes": int,
        "seeds": int,
        "episode_digest": str,
    }
    assert {name: type(rows[0][name]) for name in types} == types
    assert (rows[0]["episodes"], rows[0]["seeds"], rows[0]["episode_digest"]) == (20, 3, "e" * 64)


def test_a_damaged_record_is_named_and_counted_and_an_error_with_strict(
    metabench, results: Path
) -> None:
    path = spoil(results)
    ended = metabench("leaderboard", results)
    assert ended.code == 0
    assert f"left out: {path} is not a record" in ended.err
    assert "1 file is not a valid record." in ended.err
    assert "protonet" in ended.out
    assert metabench("leaderboard", results, "--strict").code == 1


def test_only_the_selected_benchmarks_are_shown(metabench, results: Path) -> None:
    ResultsFolder(results).save(make_record("maml", benchmark={"name": "other"}))
    rows = metabench("leaderboard", results, "--format", "json", "-b", "oth*").document
    assert [row["benchmark"] for row in rows] == ["other@1"]
    ended = metabench("leaderboard", results, "-b", "othr")
    assert ended.code == 2
    assert "unknown benchmark 'othr'. Did you mean 'other'?" in ended.err
    assert "has records of blobs-3w1s, other" in ended.err


def test_a_missing_folder_is_an_error(metabench, tmp_path: Path) -> None:
    ended = metabench("leaderboard", tmp_path / "none")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no results folder" in ended.err
    assert "metabench run --all" in ended.err


@pytest.mark.parametrize("command", ["leaderboard", "report", "backends", "compare", "plot"])
def test_a_file_instead_of_a_folder_is_an_error(metabench, tmp_path: Path, command: str) -> None:
    file = tmp_path / "record.json"
    file.write_text(make_record().model_dump_json())
    arguments = {
        "compare": ("compare", file, file),
        "plot": ("plot", "pareto", file, "--out", tmp_path / "plot.svg"),
    }
    ended = metabench(*arguments.get(command, (command, file)))
    assert ended.code == 2
    assert f"'{file}' is a file, not a results folder." in ended.err


@pytest.mark.parametrize("form", ["table", "json"])
def test_without_records_it_exits_with_5(metabench, tmp_path: Path, form: str) -> None:
    ended = metabench("leaderboard", tmp_path, "--format", form)
    assert ended.code == 5
    assert "has no record to rank" in ended.err
    assert ended.out == "" or json.loads(ended.out) == []


def test_if_all_records_are_left_out_it_does_not_say_to_run_them_again(
    metabench, tmp_path: Path
) -> None:
    ResultsFolder(tmp_path).save(make_record("maml", hyperparameters={"budget": 1}))
    ended = metabench("leaderboard", tmp_path)
    assert ended.code == 5
    assert "1 record trained with another budget" in ended.err
    assert "All were left out, see above." in ended.err
    assert "creates records" not in ended.err


def test_if_all_records_are_of_quick_runs_it_names_the_option(metabench, tmp_path: Path) -> None:
    ResultsFolder(tmp_path).save(make_record("maml", benchmark={"quick": True}))
    ended = metabench("leaderboard", tmp_path)
    assert ended.code == 5
    assert "`--quick` shows the records of --quick runs." in ended.err


def test_mixed_versions_are_an_error(metabench, results: Path) -> None:
    ResultsFolder(results).save(make_record("maml", benchmark={"version": "2"}))
    ended = metabench("leaderboard", results)
    assert (ended.code, ended.out) == (2, "")
    assert "blobs-3w1s@1 and blobs-3w1s@2" in ended.err
    assert "another folder" in ended.err


class TestColumns:
    @pytest.fixture
    def results(self, tmp_path: Path) -> Path:
        record = make_record("maml", (0.79, 0.8, 0.81))  # above chance
        values = {"query": {"mean_drop": 0.25}, "both": {"mean_drop": 0.5}}
        record.metrics["shift"] = MetricResult(
            version="1", direction="lower", unit="", values=values
        )
        ResultsFolder(tmp_path).save(record)
        return tmp_path

    def test_a_column_can_be_added(self, metabench, results: Path) -> None:
        assert "0.250" in metabench("leaderboard", results).out
        ended = metabench("leaderboard", results, "--columns", "examples_per_second, shift_drop")
        assert ended.code == 0
        assert "- shift" in ended.out

    def test_an_unknown_column_is_an_error_that_lists_the_known_ones(
        self, metabench, results: Path
    ) -> None:
        ended = metabench("leaderboard", results, "--columns", "shift_dorp")
        assert ended.code == 2
        assert "unknown column 'shift_dorp'. Did you mean 'shift_drop'?" in ended.err
        assert "pgd_0.1" in ended.err


class TestWhatIsShown:
    def test_a_suite_selects_its_benchmarks(self, metabench, planted, tmp_path: Path) -> None:
        folder = ResultsFolder(tmp_path / "results")
        for change in ({"name": "tiny"}, {"name": "tiny", "version": "0"}, {"name": "other"}):
            folder.save(make_record(benchmark=change))
        suite = suite_file(tmp_path / "small.toml", BLOBS | {"name": "tiny"})
        ended = metabench("leaderboard", folder.path, "--suite", suite, "--format", "json")
        assert [row["benchmark"] for row in ended.document] == ["tiny@1"]
        assert "left out: 1 record of other versions of the suite's benchmarks" in ended.err

    def test_a_suite_without_records_is_named(self, metabench, results: Path) -> None:
        ended = metabench("leaderboard", results, "--suite", "omniglot")
        assert ended.code == 5
        assert "has no record of the suite 'omniglot' to rank" in ended.err
        assert "metabench run --suite omniglot" in ended.err

    def test_an_unknown_suite_is_an_error(self, metabench, results: Path) -> None:
        ended = metabench("leaderboard", results, "--suite", "omniglto")
        assert ended.code == 2
        assert "Did you mean 'omniglot'?" in ended.err

    def test_another_metric_can_rank(self, metabench, tmp_path: Path) -> None:
        folder = ResultsFolder(tmp_path)
        folder.save(make_record("good", (0.75, 0.85), cost={"adapt_ms": 90.0}))
        folder.save(make_record("fast", (0.25, 0.35), cost={"adapt_ms": 1.5}))
        rows = metabench(
            "leaderboard", tmp_path, "--metric", "adapt_ms", "--format", "json"
        ).document
        assert [(row["algorithm"], row["score"]) for row in rows] == [("fast", 1.5), ("good", 90.0)]

    @pytest.mark.parametrize("other", [("--metric", "noise"), ("--suite", "core"), ("--quick",)])
    def test_a_page_cannot_be_written_of_a_selection(self, metabench, results, other) -> None:
        ended = metabench("leaderboard", results, "--write", *other)
        assert ended.code == 2
        assert "--metric" in ended.err


def test_aggregate_prints_one_table_over_all_benchmarks(metabench, tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    for record in of_three_benchmarks():
        folder.save(record)
    assert "1.33 (1.33 to 1.33)" in metabench("leaderboard", folder.path, "--aggregate").out
    rows = metabench("leaderboard", folder.path, "--aggregate", "--format", "json").document
    assert [row["algorithm"] for row in rows] == ["b", "a"]
    assert len(rows[0]["profile"]) == len(rows[0]["thresholds"])
    assert metabench("leaderboard", folder.path, "--aggregate", "--format", "csv").code == 2
    assert metabench("leaderboard", folder.path, "--aggregate", "-b", "one").code == 5
    assert metabench("leaderboard", folder.path, "--aggregate", "--write").code == 2
