"""``metabench run``: tables, records, dry runs, configuration files and the choice of metrics."""

from pathlib import Path

import pytest

from tests.helpers.cells import records_in

ESCAPE = "\x1b"


@pytest.mark.usefixtures("in_process")
class TestRun:
    def test_it_prints_a_ranked_table_and_stores_a_record_for_each_cell(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "-a", "nearest-mean", "--suite", suite)
        assert ended.code == 0, ended.err
        table = ended.out.splitlines()
        assert table[0].startswith("blobs-3w1s@1, inductive: accuracy on 30 episodes")
        assert "nearest-mean@1" in table[3]
        assert "drifter@1" in table[4]
        assert set(records_in(here / "results")) == {"drifter", "nearest-mean"}

    def test_a_second_run_does_nothing_and_says_so(
        self, metabench, suite: Path, here: Path
    ) -> None:
        command = ("run", "-a", "drifter", "--suite", suite)
        first = metabench(*command)
        before = {p: p.stat().st_mtime_ns for p in here.rglob("*.json")}
        second = metabench(*command)
        assert (first.code, second.code) == (0, 0)
        assert "1 cell: 0 stored, 1 to run" in first.err
        assert "1 cell: 1 stored, 0 to run" in second.err
        assert "nothing to do: every cell is stored" in second.err
        assert second.out == first.out
        assert {p: p.stat().st_mtime_ns for p in here.rglob("*.json")} == before

    def test_fresh_runs_it_again(self, metabench, suite: Path, here: Path) -> None:
        command = ("run", "-a", "drifter", "--suite", suite)
        metabench(*command)
        (path,) = here.rglob("*.json")
        before = path.stat().st_ino
        assert "1 to run" in metabench(*command, "--fresh").err
        (path,) = here.rglob("*.json")
        assert path.stat().st_ino != before

    def test_a_failed_cell_is_a_row_and_it_exits_with_1(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "trouble", "-a", "drifter", "--suite", suite)
        assert ended.code == 1
        assert "failed: ValueError: planted" in ended.out
        assert "1 of 2 cells failed; see the records in 'results/records'." in ended.err
        assert records_in(here / "results")["drifter"].status == "ok"

    def test_a_failed_cell_runs_again(
        self, metabench, suite: Path, here: Path, monkeypatch
    ) -> None:
        command = ("run", "-a", "trouble", "--suite", suite)
        assert metabench(*command).code == 1
        assert "0 stored, 1 to run" in metabench(*command).err

    def test_a_skipped_cell_is_not_a_failure(self, metabench, suite: Path, here: Path) -> None:
        ended = metabench("run", "-a", "trouble", "--suite", suite, "--set", "trouble.how=skip")
        assert ended.code == 0
        assert "skipped: trouble was asked to stay away." in ended.out

    def test_json_is_one_document_on_stdout_whatever_plugins_print(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench(
            *(
                "run",
                "-a",
                "trouble",
                "-a",
                "drifter",
                "--suite",
                suite,
                "--json",
                "--set",
                "trouble.how=noise",
            )
        )
        assert ended.code == 0
        assert {row["algorithm"]: row["status"] for row in ended.document} == {
            "trouble[how=noise]": "ok",
            "drifter": "ok",
        }
        assert "drifter on blobs-3w1s, seed 0" in ended.err

    def test_progress_is_plain_lines_without_a_terminal(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite)
        assert ESCAPE not in ended.err + ended.out
        assert "\r" not in ended.err
        score = records_in(here / "results")["drifter"].score
        assert ended.err.splitlines() == [
            "1 cell: 0 stored, 1 to run",
            "drifter on blobs-3w1s, seed 0: started",
            f"[1/1] drifter on blobs-3w1s, seed 0: accuracy {score:.4f}",
        ]

    def test_a_quick_run_is_marked_and_not_in_the_leaderboard(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite, "--quick")
        assert "blobs-3w1s@1+quick" in ended.out
        board = metabench("leaderboard")
        assert board.code == 5
        assert "1 record of --quick runs" in board.err
        assert "blobs-3w1s@1+quick" in metabench("leaderboard", "--quick").out

    def test_the_seeds_of_an_algorithm_are_one_row(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite, "--seeds", "2", "--json")
        assert [row["seeds"] for row in ended.document] == [2]
        assert len(list(here.rglob("*.json"))) == 2

    def test_a_config_file_has_the_same_settings(self, metabench, suite: Path, here: Path) -> None:
        (here / "run.toml").write_text(
            f'algorithm = ["drifter", "trouble"]\nsuite = "{suite}"\nresults = "out"\n'
            '[set.trouble]\nhow = "skip"'
        )
        ended = metabench("run", "--config", "run.toml", "--dry-run", "--json")
        assert [row["algorithm"] for row in ended.document] == ["drifter", "trouble"]
        ended = metabench("run", "--config", "run.toml")
        assert ended.code == 0, ended.err
        assert records_in(here / "out")["trouble"].status == "skipped"

    def test_the_command_line_has_precedence_over_the_file(
        self, metabench, suite: Path, here: Path
    ) -> None:
        (here / "run.toml").write_text(
            f'algorithm = ["trouble"]\nsuite = "{suite}"\nseeds = [1, 2]'
        )
        ended = metabench(
            "run", "--config", "run.toml", "-a", "drifter", "--seeds", "7,", "--dry-run", "--json"
        )
        assert [(row["algorithm"], row["seed"]) for row in ended.document] == [("drifter", 7)]
        everything = metabench(
            "run", "--config", "run.toml", "--all", "--seeds", "1", "--dry-run", "--json"
        )
        assert {"drifter", "trouble", "maml"} <= {row["algorithm"] for row in everything.document}

    def test_an_invalid_file_among_the_records_is_named(
        self, metabench, suite: Path, here: Path
    ) -> None:
        (here / "results" / "records").mkdir(parents=True)
        (here / "results" / "records" / "odd.json").write_text("{")
        ended = metabench("run", "-a", "drifter", "--suite", suite)
        assert ended.code == 0
        assert "ignored: results/records/odd.json is not a record" in ended.err


class TestDryRun:
    @pytest.mark.usefixtures("in_process")
    def test_it_shows_the_state_of_every_cell_and_the_reason(
        self, metabench, suite: Path, here: Path
    ) -> None:
        metabench("run", "-a", "drifter", "--suite", suite)
        metabench("run", "-a", "trouble", "--suite", suite)
        ended = metabench(
            "run",
            "-a",
            "drifter",
            "-a",
            "trouble",
            "-a",
            "slow",
            "--suite",
            suite,
            "--dry-run",
            "--json",
        )
        assert ended.code == 0
        assert ended.document == [
            {
                "algorithm": "drifter",
                "benchmark": "blobs-3w1s",
                "seed": 0,
                "state": "stored",
                "why": "its record is there",
            },
            {
                "algorithm": "slow",
                "benchmark": "blobs-3w1s",
                "seed": 0,
                "state": "new",
                "why": "there is no record of it",
            },
            {
                "algorithm": "trouble",
                "benchmark": "blobs-3w1s",
                "seed": 0,
                "state": "new",
                "why": "the last attempt ended as failed",
            },
        ]

    def test_it_runs_and_writes_nothing(self, metabench, suite: Path, here: Path) -> None:
        ended = metabench("run", "-a", "slow", "--suite", suite, "--dry-run")
        assert ended.code == 0
        assert "there is no record of it" in ended.out
        assert list(here.iterdir()) == []


@pytest.mark.usefixtures("in_process")
class TestMetrics:
    def test_the_option_selects_the_metrics(self, metabench, suite: Path, here: Path) -> None:
        command = ("run", "-a", "drifter", "--suite", suite)
        assert metabench(*command, "--metrics", "accuracy, cost").code == 0
        assert set(records_in(here / "results")["drifter"].metrics) == {"accuracy", "cost"}
        assert metabench(*command, "--dry-run", "--json").document[0]["state"] == "stored"
        ended = metabench(*command, "--metrics", "mse", "--dry-run", "--json")
        assert ended.document[0]["why"] == "it was not measured for mse"
        assert metabench(*command, "--metrics", "mse").code == 0
        metrics = records_in(here / "results")["drifter"].metrics
        assert {name: m.status for name, m in metrics.items()} == {
            "accuracy": "ok",
            "cost": "ok",
            "mse": "n/a",
        }

    def test_a_named_metric_that_does_not_apply_is_mentioned(
        self, metabench, suite: Path, here: Path
    ) -> None:
        command = ("run", "-a", "drifter", "-a", "nearest-mean", "--suite", suite, "--metrics")
        for metrics in ("mse,cost", "mse"):  # the second time all cells are stored
            ended = metabench(*command, metrics)
            assert ended.code == 0, ended.err
            assert "mse was not measured in 2 cells: it measures distances to real" in ended.err
            assert "cost was not measured" not in ended.err
        assert "was not measured" not in metabench(*command, "*s*").err, "a glob names none"

    def test_an_unknown_metric_is_an_error(self, metabench, suite: Path, here: Path) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite, "--metrics", "accuracy,noize")
        assert ended.code == 2
        assert "unknown metric 'noize'. Did you mean 'noise'?" in ended.err
        assert list(here.iterdir()) == []

    def test_a_config_file_can_select_the_metrics(self, metabench, suite: Path, here: Path) -> None:
        (here / "run.toml").write_text(
            f'algorithm = ["drifter"]\nsuite = "{suite}"\nmetrics = ["cost"]'
        )
        assert metabench("run", "--config", "run.toml").code == 0
        assert set(records_in(here / "results")["drifter"].metrics) == {"accuracy", "cost"}


def test_a_cell_without_the_recipe_is_skipped_and_not_counted_as_one_to_run(
    metabench, suite: Path, here: Path
) -> None:
    command = ("run", "-a", "nearest-mean", "--suite", suite, "--recipe", "paper")
    (row,) = metabench(*command, "--dry-run", "--json").document
    assert (row["state"], row["why"]) == ("skipped", "nearest-mean has no recipe 'paper'.")
    ended = metabench(*command)
    assert ended.code == 0, "a run whose cells are all skipped"
    assert "1 cell: 0 stored, 0 to run, 1 skipped" in ended.err
    assert "nothing to do" not in ended.err
