"""``metabench plan``."""

from pathlib import Path

import pytest

from metabench.records.store import ResultsFolder
from tests.compare.test_plan import EPISODES, trained
from tests.helpers.cells import BLOBS, WAVES, suite_file


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return suite_file(tmp_path / "s.toml", BLOBS | {"test_episodes": EPISODES}, WAVES)


def test_the_json_has_the_documented_shape(metabench, suite: Path) -> None:
    rows = metabench("plan", suite, "--seeds", "5", "--json").document
    assert [(row["benchmark"], row["seeds"]) for row in rows] == [
        ("blobs-3w1s@1", 5),
        ("waves@1", 5),
    ]
    assert [row["relative"] for row in rows] == [False, True]
    assert all(row["least_difference"] > 0.01 for row in rows)
    assert all("shipped default" in row["source"] for row in rows)


def test_more_seeds_detect_smaller_differences(metabench, suite: Path) -> None:
    found = [
        metabench("plan", suite, "--seeds", seeds, "--json").document[0]["least_difference"]
        for seeds in (1, 2, 3, 10)
    ]
    assert found[0] is None
    assert found[1] > found[2] > found[3]
    one = metabench("plan", suite, "--seeds", 1, "--base-seeds", 7, "--json").document[0]
    assert one["least_difference"] is not None


def test_records_replace_the_shipped_variances(metabench, suite: Path, tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    for record in trained("a", 0.03, seeds=6):
        folder.save(record)
    rows = metabench("plan", suite, "--results", folder.path, "--json").document
    assert rows[0]["source"] == "a (6 seeds) on blobs-3w1s@1"
    assert 0.01 < rows[0]["seed_sd"] < 0.06
    assert "shipped default" in rows[1]["source"]


def test_the_table_states_the_unit_and_the_source(metabench, suite: Path) -> None:
    out = metabench("plan", suite, "--seeds", "3", "--base-seeds", "7").out
    assert " points" in out
    assert "% of the mean" in out
    assert "3 against 7" in out
    assert "leaderboards/ci" in out


@pytest.mark.parametrize("options", [("--seeds", "0"), ("--alpha", "0"), ("--power", "1")])
def test_values_out_of_range_are_usage_errors(metabench, suite: Path, options) -> None:
    assert metabench("plan", suite, *options).code == 2


def test_an_unknown_suite_is_an_error_with_the_known_ones(metabench) -> None:
    ended = metabench("plan", "cor")
    assert ended.code == 2
    assert "core" in ended.err
